//! What keeps a store from opening, and what an opened one claims.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{key, open, refusal, server};
use stead_core::{
    Backend, BackendExt, ErrorKind, Extent, KeyRange, Partition, Read, Strength, WatchEvent, WatchSpec,
};
use stead_servers::{AppendFsync, RedisOptions, RedisServer, TlsFiles, Transport};

fn start(options: RedisOptions) -> RedisServer {
    RedisServer::start(options).unwrap()
}

#[tokio::test]
async fn wrong_logins_are_denied_and_never_shown() {
    let server = start(RedisOptions::default().with_password("right-one"));
    let url = server.url();
    open(&url).await;
    let wrong = url.replace("right-one", "hunter2");
    let none = url.replace(":right-one@", "");
    for url in [wrong.as_str(), none.as_str()] {
        let error = refusal(url).await;
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.to_string().contains("password"), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn server_that_cannot_be_reached_is_named() {
    for url in [
        "redis://no-such-host.invalid",
        "redis://:hunter2@127.0.0.1:1",
        "redis+unix:///nowhere/redis.sock",
    ] {
        let error = refusal(url).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("server="), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn tls_is_checked_and_its_absence_told() {
    let files = TlsFiles::make().unwrap();
    let server = start(RedisOptions::default().with_tls(&files));
    let ca = files.ca();
    let url = format!("{}?ca={}", server.url(), ca.display());
    let store = open(&url).await;
    store.put(key("a"), "1").await.unwrap();
    assert!(store.get(&key("a")).await.unwrap().is_some());
    let error = refusal(&server.url()).await;
    assert_eq!(
        error.kind(),
        ErrorKind::Invalid,
        "an authority that nobody named: {error}"
    );
    assert!(error.to_string().contains("ca"), "{error}");
    let error = refusal(&server.url().replace("rediss", "redis")).await;
    assert!(
        matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unavailable),
        "{error}"
    );
    let plain = common::server();
    let error = refusal(&format!(
        "{}?ca={}",
        plain.url().replace("redis:", "rediss:"),
        ca.display()
    ))
    .await;
    assert!(
        matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unavailable),
        "{error}"
    );
    assert!(error.to_string().contains("redis://"), "{error}");
    assert!(
        refusal("rediss://127.0.0.1:1?ca=/nowhere.pem")
            .await
            .to_string()
            .contains("/nowhere.pem")
    );
}

#[tokio::test]
async fn socket_is_a_way_in() {
    let server = start(
        RedisOptions::default()
            .with_transport(Transport::Unix)
            .with_password("x@y"),
    );
    let store = open(&server.url()).await;
    store.put(key("a"), "1").await.unwrap();
    assert!(store.get(&key("a")).await.unwrap().is_some());
}

#[tokio::test]
async fn database_that_is_not_there_is_refused() {
    let server = server();
    open(&format!("{}3", server.url())).await;
    let error = refusal(&format!("{}99", server.url())).await;
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("databases"), "{error}");
}

#[tokio::test]
async fn prefix_in_use_by_something_else_is_refused_and_named() {
    let server = server();
    server.command(&["SET", "one:{root}", "x"]).unwrap();
    server.command(&["HSET", "two:{root}", "x", "y"]).unwrap();
    server.command(&["SET", "three:{0}:d", "x"]).unwrap();
    server.command(&["HSET", "four:{0}:d", "x", "y"]).unwrap();
    for (prefix, named) in [
        ("one", "one:{root}"),
        ("two", "two:{root}"),
        ("three", "three:{0}:d"),
        ("four", "four:{0}:d"),
    ] {
        let error = refusal(&format!("{}?prefix={prefix}:", server.url())).await;
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
    open(&format!("{}?prefix=five:", server.url())).await;
}

#[tokio::test]
async fn newer_format_is_refused() {
    let server = server();
    drop(open(&server.url()).await);
    server.command(&["HSET", "stead:{root}", "format", "2"]).unwrap();
    let error = refusal(&server.url()).await;
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("newer"), "{error}");
}

#[tokio::test]
async fn store_keeps_its_number_of_shards() {
    let server = server();
    let url = format!("{}?shards=4", server.url());
    let store = open(&url).await;
    assert_eq!(store.capabilities().atomicity, Extent::Partition);
    for number in 0..40 {
        let partition = Partition::new(format!("p{number:02}")).unwrap();
        store
            .put(stead_core::Key::new(&partition, "k").unwrap(), "x")
            .await
            .unwrap();
    }
    drop(store);
    let store = open(&server.url()).await;
    assert_eq!(store.stats().await.unwrap().entries, 40);
    let listed = store.partitions(&KeyRange::all(), 100).await.unwrap();
    let sorted = listed.windows(2).all(|two| two[0] < two[1]);
    assert!(listed.len() == 40 && sorted, "{listed:?}");
    let error = refusal(&format!("{}?shards=5", server.url())).await;
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

#[tokio::test]
async fn part_of_a_store_that_is_missing_is_told() {
    let server = server();
    let url = format!("{}?shards=4", server.url());
    drop(open(&url).await);
    server.command(&["DEL", "stead:{0}:m"]).unwrap();
    let error = refusal(&url).await;
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("stead:{0}:m"), "{error}");
}

#[tokio::test]
async fn reading_only_makes_no_store() {
    let server = server();
    let error = refusal(&format!("{}?read_only=true", server.url())).await;
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(server.command(&["DBSIZE"]).unwrap().text(), "0");
}

#[tokio::test]
async fn server_that_may_evict_is_refused_unless_told_otherwise() {
    let server = start(RedisOptions::default().with_max_memory(100 << 20, "allkeys-lru"));
    let error = refusal(&server.url()).await;
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("maxmemory-policy"), "{error}");
    open(&format!("{}?allow_eviction=true", server.url())).await;
    let harmless = start(RedisOptions::default().with_max_memory(100 << 20, "volatile-lru"));
    open(&harmless.url()).await;
}

#[tokio::test]
async fn claims_are_what_the_server_gives() {
    let strength = async |fsync: Option<AppendFsync>| {
        let options = RedisOptions::default();
        let server = start(match fsync {
            Some(fsync) => options.with_append_only(fsync),
            None => options,
        });
        let store = open(&server.url()).await;
        let declared = store.capabilities();
        assert_eq!(declared.buffered, declared.durable);
        declared.durable
    };
    assert_eq!(strength(Some(AppendFsync::Always)).await, Strength::PowerLoss);
    assert_eq!(strength(Some(AppendFsync::No)).await, Strength::ProcessCrash);
    assert_eq!(strength(Some(AppendFsync::EverySecond)).await, Strength::Volatile);
    assert_eq!(strength(None).await, Strength::Volatile);
}

#[tokio::test]
async fn server_that_hides_its_settings_is_believed_what_the_url_says() {
    let rules = "~* &* +@all -config";
    let server = start(RedisOptions::default().with_user("app", "secret", rules));
    let store = open(&server.url()).await;
    assert_eq!(store.capabilities().durable, Strength::Volatile);
    let store = open(&format!("{}?survives=power", server.url())).await;
    assert_eq!(store.capabilities().durable, Strength::PowerLoss);
}

#[tokio::test(flavor = "multi_thread")]
async fn user_who_may_not_publish_can_still_watch() {
    let server = start(RedisOptions::default().with_user("app", "secret", "~* resetchannels +@all"));
    let store = open(&server.url()).await;
    let partition = KeyRange::partition(&Partition::new("p").unwrap());
    let mut watcher = store.watch(&WatchSpec::new(partition)).unwrap();
    for _ in 0..3 {
        let revision = store.put(key("a"), "1").await.unwrap();
        match watcher.next().await.unwrap() {
            WatchEvent::Changes(set) => assert_eq!(set.revision, revision),
            other => panic!("the watch ended: {other:?}"),
        }
    }
}

#[tokio::test]
async fn value_over_the_limit_of_the_server_is_refused_before_it_is_sent() {
    let server = start(RedisOptions::default().with_setting("proto-max-bulk-len", "1mb"));
    let store = open(&server.url()).await;
    let limit = store.capabilities().limits.value_bytes;
    assert!(limit < 1 << 20);
    store.put(key("a"), vec![7; limit]).await.unwrap();
    assert_eq!(store.get(&key("a")).await.unwrap().unwrap().value().len(), limit);
    let error = store.put(key("a"), vec![7; limit + 1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

#[tokio::test]
async fn cluster_and_server_are_not_mixed_up() {
    let server = server();
    let error = refusal(&server.url().replace("redis:", "redis+cluster:")).await;
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("redis://"), "{error}");
}
