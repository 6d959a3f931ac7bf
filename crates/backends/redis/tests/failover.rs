//! A Cluster that loses a master, and one whose slots move.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{open, options, refusal};
use stead_core::{
    Backend, BackendExt, ErrorKind, Key, KeyRange, Partition, Read, RequestId, WatchEvent, WatchSpec,
    WriteBatch,
};
use stead_servers::RedisCluster;

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
