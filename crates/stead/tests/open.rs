//! Opening stores by URL.
#![cfg(all(feature = "memory", feature = "redb", feature = "state"))]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use futures_executor::block_on;
use stead::core::{BackendExt, Durability, Key, Partition};
use stead::{ErrorKind, StateScope};

fn key() -> Key {
    Key::new(&Partition::new("p").unwrap(), "k").unwrap()
}

/// The engines that are compiled in, with the options that only they have.
const ENGINES: &[(&str, &str)] = &[
    ("redb", ""),
    #[cfg(feature = "fjall")]
    ("fjall", "&compression=none&write_buffer=8MiB&journal=64MiB"),
    #[cfg(feature = "rocksdb")]
    ("rocksdb", "&compression=zstd&max_open_files=64&write_buffer=8MiB"),
    #[cfg(feature = "sled")]
    ("sled", "&compression=true&flush_every=100"),
];

#[test]
fn url_opens_what_was_left_there() {
    for (engine, options) in ENGINES {
        opens_what_was_left_there(engine, options);
    }
}

fn opens_what_was_left_there(engine: &str, options: &str) {
    let dir = tempfile::tempdir().unwrap();
    let url = format!(
        "{engine}:{}?durability=durable&cache=16MiB{options}",
        dir.path().join("data").display()
    );
    block_on(async {
        let store = stead::open(&url).await.unwrap();
        assert_eq!(store.capabilities().default_durability, Durability::Durable);
        store.put(key(), "here").await.unwrap();
        store.close().await.unwrap();
        let store = stead::open(&url).await.unwrap();
        assert_eq!(store.get(&key()).await.unwrap().unwrap().value(), b"here");
    });
}

#[test]
fn store_of_another_engine_is_recognised_and_named() {
    for (engine, _) in ENGINES {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("data");
        block_on(async {
            let store = stead::open(&format!("{engine}:{}", place.display()))
                .await
                .unwrap();
            store.put(key(), "here").await.unwrap();
            store.close().await.unwrap();
            for (other, _) in ENGINES.iter().filter(|(other, _)| other != engine) {
                let error = stead::open(&format!("{other}:{}", place.display()))
                    .await
                    .err()
                    .unwrap();
                assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
                let text = error.to_string();
                assert!(text.contains(&format!("engine={engine} ")), "{other}: {text}");
            }
        });
    }
}

#[test]
fn option_of_another_engine_is_refused_with_the_nearest() {
    for (engine, _) in ENGINES {
        let error = block_on(stead::open(&format!("{engine}:./x?cahce=1MiB")))
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.to_string();
        assert!(
            text.contains("option=cahce") && text.contains("did_you_mean=cache"),
            "{text}"
        );
    }
    assert!(!std::path::Path::new("./x").exists());
}

#[test]
fn read_only_store_refuses_writes() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("redb:{}", dir.path().join("data").display());
    block_on(async {
        let store = stead::open(&url).await.unwrap();
        store.put(key(), "here").await.unwrap();
        store.close().await.unwrap();
        let store = stead::open(&format!("{url}?read_only=true")).await.unwrap();
        assert_eq!(
            store.put(key(), "there").await.unwrap_err().kind(),
            ErrorKind::Unsupported
        );
        assert_eq!(store.get(&key()).await.unwrap().unwrap().value(), b"here");
    });
}

#[test]
fn wrong_urls_are_refused_with_what_to_do() {
    let cases = [
        ("data", ErrorKind::Invalid, "scheme"),
        ("etcd:somewhere", ErrorKind::Unsupported, "memory, redb"),
        ("rebd:./x", ErrorKind::Unsupported, "did_you_mean=redb"),
        ("memory:place", ErrorKind::Invalid, "memory:"),
        ("memory:?capacity=big", ErrorKind::Invalid, "option=capacity"),
        ("redb:", ErrorKind::Invalid, "redb:./data"),
        (
            "redb:./x?durabilty=durable",
            ErrorKind::Invalid,
            "did_you_mean=durability known_options=cache, durability",
        ),
        ("redb:./x?flush=soon", ErrorKind::Invalid, "option=flush"),
    ];
    for (url, kind, part) in cases {
        let error = block_on(stead::open(url)).err().unwrap();
        assert_eq!(error.kind(), kind, "{url}: {error}");
        assert!(error.to_string().contains(part), "{url}: {error}");
    }
    assert!(!std::path::Path::new("./x").exists());
}

#[test]
fn state_has_a_place_for_ephemeral_values() {
    block_on(async {
        let state = stead::open_state("memory:").await.unwrap();
        let session = StateScope::session("s");
        let ephemeral = stead::state::StateClass::Ephemeral;
        state
            .set_with_class(&session, "draft", "short-lived", ephemeral)
            .await
            .unwrap();
        assert_eq!(
            state
                .get_as::<String>(&session, "draft")
                .await
                .unwrap()
                .as_deref(),
            Some("short-lived")
        );
    });
}
