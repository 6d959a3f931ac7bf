//! Opening by URL.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use futures_executor::block_on;
use stead_core::{BackendExt, Durability, Error, ErrorKind, Key, Partition};

fn refused(url: &str) -> Error {
    let error = block_on(stead_fjall::open_url(url.parse().unwrap()))
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    error
}

#[test]
fn options_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!(
        "fjall:{}/store?cache=1MiB&compression=none&write_buffer=2MiB&journal=64MiB&durability=buffered",
        dir.path().display()
    );
    let key = Key::new(&Partition::new("p").unwrap(), "k").unwrap();
    let store = block_on(stead_fjall::open_url(url.parse().unwrap())).unwrap();
    assert_eq!(store.capabilities().default_durability, Durability::Buffered);
    block_on(store.put(key.clone(), "v")).unwrap();
    block_on(store.close()).unwrap();
    let url = format!("fjall:{}/store?read_only=true", dir.path().display());
    let store = block_on(stead_fjall::open_url(url.parse().unwrap())).unwrap();
    assert!(block_on(store.get(&key)).unwrap().is_some());
    assert!(!store.capabilities().writable);
}

#[test]
fn wrong_options_are_named() {
    assert!(refused("fjall:").to_string().contains("names no directory"));
    let error = refused("fjall:./nowhere?cach=1MiB").to_string();
    assert!(error.contains("cach") && error.contains("cache"), "{error}");
    let error = refused("fjall:./nowhere?compression=zstd").to_string();
    assert!(
        error.contains("none or lz4") && error.contains("compression"),
        "{error}"
    );
    let error = refused("fjall:./nowhere?write_buffer=much").to_string();
    assert!(error.contains("write_buffer"), "{error}");
    assert!(!std::path::Path::new("nowhere").exists());
}
