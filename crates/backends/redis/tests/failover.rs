//! A Cluster that loses a master, and one whose slots move.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{open, options, refusal};
use stead_core::{
    Backend, BackendExt, ErrorKind, Key, KeyRange, Partition, Read, RequestId, WatchEvent, WatchSpec,
    WriteBatch,
};
use stead_servers::{RedisCluster, RedisOptions, TlsFiles};

fn key(number: usize) -> Key {
    Key::new(&Partition::new(format!("p{number}")).unwrap(), "k").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_master_is_followed_by_its_replica() {
    let cluster = RedisCluster::start().unwrap();
    let mut options = options(&cluster.url());
    options.network.retry_deadline = std::time::Duration::from_secs(90);
    let store = stead_redis::open(options).await.unwrap();
    for number in 0..60 {
        store.put(key(number), "before").await.unwrap();
    }
    let range = KeyRange::partition(&key(0).partition());
    let mut watcher = store.watch(&WatchSpec::new(range)).unwrap();
    cluster.kill_master(0).unwrap();
    for number in 0..60 {
        // With ids, the writes may be repeated until the replica has taken over.
        let id = RequestId::new(format!("after {number}")).unwrap();
        let batch = WriteBatch::new().put(key(number), "after").request_id(id);
        store.apply(batch).await.unwrap().committed().unwrap();
    }
    for number in 0..60 {
        let entry = store.get(&key(number)).await.unwrap().unwrap();
        assert_eq!(entry.value(), b"after", "partition {number}");
    }
    let event = watcher.next().await.unwrap();
    assert!(
        matches!(&event, WatchEvent::Changes(set) if set.changes[0].key == key(0)),
        "{event:?}"
    );
    store.check(&|_| ()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_is_reached_by_tls_with_its_authority_and_followed() {
    let files = TlsFiles::make().unwrap();
    let tls = RedisOptions::default()
        .with_tls(&files)
        .with_password("right-one");
    let cluster = RedisCluster::start_with(tls).unwrap();
    let error = refusal(&cluster.url()).await;
    assert_eq!(error.kind(), ErrorKind::Invalid, "an unknown authority: {error}");
    assert!(error.to_string().contains("ca"), "{error}");
    let authority = format!("?ca={}", files.ca().display());
    let plain = cluster.url().replace("rediss", "redis");
    let error = refusal(&plain).await;
    assert!(
        matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unavailable),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("right-one"), "{error:?}");
    // The nodes that the seed names are reached by TLS as well.
    let seed = cluster.addresses()[4].to_string();
    let url = format!("rediss+cluster://:right-one@{seed}{authority}");
    let mut options = options(&url);
    options.network.retry_deadline = std::time::Duration::from_secs(90);
    let store = stead_redis::open(options).await.unwrap();
    for number in 0..20 {
        store.put(key(number), "before").await.unwrap();
    }
    cluster.kill_master(1).unwrap();
    for number in 0..20 {
        let id = RequestId::new(format!("after {number}")).unwrap();
        let batch = WriteBatch::new().put(key(number), "after").request_id(id);
        store.apply(batch).await.unwrap().committed().unwrap();
    }
    let keys: Vec<_> = (0..20).map(key).collect();
    let entries = store.get_many(&keys).await.unwrap();
    assert!(entries.iter().flatten().all(|entry| entry.value() == b"after"));
    assert_eq!(entries.iter().flatten().count(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn node_of_a_cluster_is_no_single_server() {
    let cluster = RedisCluster::start().unwrap();
    let error = refusal(&format!("redis://{}", cluster.addresses()[0])).await;
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("redis+cluster://"), "{error}");
    // One node is enough to find the others.
    let store = open(&format!("redis+cluster://{}", cluster.addresses()[4])).await;
    for number in 0..20 {
        store.put(key(number), "x").await.unwrap();
    }
    let keys: Vec<_> = (0..20).map(key).collect();
    assert!(store.get_many(&keys).await.unwrap().iter().all(Option::is_some));
    assert_eq!(store.stats().await.unwrap().entries, 20);
}

/// The shard of partition `p0`, its tag and slot, in a store of 64: see docs/src/formats/redis.md.
fn slot_of_home(cluster: &RedisCluster) -> u16 {
    // The slot is that of the key, whatever node is asked; the shards' keys are the ones with an `:m`.
    let node = cluster.node(0);
    let slot = |key: &str| {
        node.command(&["CLUSTER", "KEYSLOT", key])
            .unwrap()
            .text()
            .parse::<u16>()
            .unwrap()
    };
    let part = |slot: u16| u32::from(slot) * 64 / 16_384;
    let home = part(slot("{p0}"));
    let tags = (0..10_000).map(|tag| slot(&format!("{{{tag}}}")));
    tags.into_iter().find(|slot| part(*slot) == home).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn slot_that_moves_is_followed() {
    let cluster = RedisCluster::start().unwrap();
    let store = open(&cluster.url()).await;
    store.put(key(0), "before").await.unwrap();
    let slot = slot_of_home(&cluster);
    let text = slot.to_string();
    let (from, to) = (
        cluster.master_of(slot).unwrap(),
        (cluster.master_of(slot).unwrap() + 1) % 3,
    );
    let (source, target) = (cluster.node(from), cluster.node(to));
    let id = |node: &stead_servers::RedisServer| node.command(&["CLUSTER", "MYID"]).unwrap().text();
    let (source_id, target_id) = (id(source), id(target));
    target
        .command(&["CLUSTER", "SETSLOT", &text, "IMPORTING", &source_id])
        .unwrap();
    source
        .command(&["CLUSTER", "SETSLOT", &text, "MIGRATING", &target_id])
        .unwrap();
    let keys = source
        .command(&["CLUSTER", "GETKEYSINSLOT", &text, "100"])
        .unwrap()
        .text();
    let port = target.address().unwrap().port().to_string();
    let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
    words.extend(keys.split_whitespace());
    assert!(words.len() > 8, "the shard has keys: {words:?}");
    source.command(&words).unwrap();
    // Where the keys are, but not yet the slot: a read is sent on for this once.
    assert_eq!(store.get(&key(0)).await.unwrap().unwrap().value(), b"before");
    let reading: Vec<_> = (0..8)
        .map(|_| {
            let store = std::sync::Arc::clone(&store);
            tokio::spawn(async move { store.get(&key(0)).await })
        })
        .collect();
    for read in reading {
        let found = read.await.unwrap().unwrap();
        assert_eq!(
            found.unwrap().value(),
            b"before",
            "also of reads that went together"
        );
    }
    let writer = std::sync::Arc::clone(&store);
    let writing = tokio::spawn(async move { writer.put(key(0), "after").await });
    for node in [target, source] {
        node.command(&["CLUSTER", "SETSLOT", &text, "NODE", &target_id])
            .unwrap();
    }
    writing.await.unwrap().unwrap();
    assert_eq!(store.get(&key(0)).await.unwrap().unwrap().value(), b"after");
}
