//! Every backend as source and as target: each ordered pair, with writers at work on the source.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stead_copy::{Copier, CopyOptions, PARTITION};
use stead_core::{
    Backend, BackendExt, Clock, Expiry, Key, KeyRange, Partition, ReadExt, Scan, StoreUrl, SystemClock,
    Timestamp, Ttl, WriteBatch,
};
use stead_servers::{PostgresOptions, PostgresServer, RedisCluster, RedisOptions, RedisServer};

type Store = Arc<dyn Backend>;

const BACKENDS: [&str; 8] = [
    "memory", "redb", "fjall", "sled", "rocksdb", "redis", "cluster", "postgres",
];

struct Servers {
    redis: RedisServer,
    cluster: RedisCluster,
    postgres: PostgresServer,
}

impl Servers {
    fn start() -> Self {
        Servers {
            redis: RedisServer::start(RedisOptions::default()).unwrap(),
            cluster: RedisCluster::start().unwrap(),
            postgres: PostgresServer::start(PostgresOptions::default().without_fsync()).unwrap(),
        }
    }

    /// An empty store of its own.
    async fn open(&self, backend: &str, dir: &Path, name: &str) -> Store {
        let on_disk = format!("{backend}:{}?durability=buffered", dir.join(name).display());
        let on_disk = || -> StoreUrl { on_disk.parse().unwrap() };
        let server =
            |url: String, option: &str| -> StoreUrl { format!("{url}?{option}={name}").parse().unwrap() };
        let opened = match backend {
            "memory" => return Arc::new(stead_memory::MemoryBackend::default()),
            "redb" => stead_redb::open_url(on_disk()).await,
            "fjall" => stead_fjall::open_url(on_disk()).await,
            "sled" => stead_sled::open_url(on_disk()).await,
            "rocksdb" => stead_rocksdb::open_url(on_disk()).await,
            "redis" => stead_redis::open_url(server(self.redis.url(), "prefix")).await,
            "cluster" => stead_redis::open_url(server(self.cluster.url(), "prefix")).await,
            "postgres" => stead_postgres::open_url(server(self.postgres.url(), "schema")).await,
            _ => panic!("no such backend"),
        };
        opened.unwrap()
    }
}

fn key(partition: u64, path: u64) -> Key {
    Key::new(
        &Partition::new(format!("agent:{partition:02}")).unwrap(),
        format!("k{path:03}"),
    )
    .unwrap()
}

/// 12 partitions of 40 entries; some have deadlines that are far away, and some have passed.
async fn fill(store: &Store) {
    let now = SystemClock.now();
    for partition in 0..12 {
        let mut batch = WriteBatch::new();
        for path in 0..40 {
            let expiry = match path % 5 {
                0 => Expiry::At(now.checked_add(Ttl::from_millis(3_600_000).unwrap()).unwrap()),
                1 => Expiry::At(Timestamp::from_millis(now.as_millis() - 1)),
                _ => Expiry::Never,
            };
            batch = batch.put_with(key(partition, path), format!("value {partition} {path}"), expiry);
        }
        store.apply(batch).await.unwrap().committed().unwrap();
    }
}

async fn content(store: &Store) -> BTreeMap<Vec<u8>, (Vec<u8>, Option<Timestamp>)> {
    let mut content = BTreeMap::new();
    for partition in store.partitions(&KeyRange::all(), usize::MAX).await.unwrap() {
        assert_ne!(partition.as_bytes(), PARTITION, "the mark is still there");
        let scan = Scan::new(KeyRange::partition(&partition));
        for item in store.collect(&scan).await.unwrap() {
            let entry = item.entry.unwrap();
            content.insert(
                item.key.as_bytes().to_vec(),
                (entry.value().to_vec(), entry.deadline()),
            );
        }
    }
    content
}

/// Writes and deletes until it is told to stop.
async fn write(store: Store, stop: Arc<AtomicBool>) {
    let mut number = 1_u64;
    while !stop.load(Ordering::SeqCst) {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let random = number >> 33;
        let at = key(random % 14, random % 61);
        match random % 4 {
            0 => store.delete(at).await.unwrap(),
            _ => store.put(at, format!("changed {number}")).await.unwrap(),
        };
        // Often enough to be in the way, not so often that it is never done.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

async fn copy_while_written(source: &Store, target: &Store, pair: &str) {
    fill(source).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write(Arc::clone(source), Arc::clone(&stop)));
    let options = CopyOptions::new(pair).with_batch_bytes(2_000);
    let mut copier = Copier::begin(Arc::clone(source), Arc::clone(target), options.clone())
        .await
        .unwrap();
    copier.bulk().await.unwrap();
    copier.settle().await.unwrap();
    // As after a kill: what was known is forgotten, but for what the target keeps.
    drop(copier);
    let mut copier = Copier::begin(Arc::clone(source), Arc::clone(target), options)
        .await
        .unwrap();
    copier.bulk().await.unwrap();
    copier.settle().await.unwrap();
    copier.verify().await.unwrap();
    stop.store(true, Ordering::SeqCst);
    writer.await.unwrap();
    // What the source sweeps later raises its revisions, and is not copied.
    let before = source.snapshot().await.unwrap();
    copier.settle().await.unwrap();
    let verified = copier.verify().await.unwrap();
    copier.finish().await.unwrap();

    let (wanted, got) = (content(source).await, content(target).await);
    assert_eq!(got, wanted, "{pair}");
    assert_eq!(verified.entries, wanted.len() as u64, "{pair}");
    assert!(wanted.values().any(|(_, deadline)| deadline.is_some()), "{pair}");
    let after = target.snapshot().await.unwrap();
    for partition in source.partitions(&KeyRange::all(), usize::MAX).await.unwrap() {
        assert!(
            after.revision(&partition) > before.revision(&partition),
            "{pair}: {partition} stands at {} and at {}",
            before.revision(&partition),
            after.revision(&partition)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_backend_is_copied_into_every_other() {
    let servers = Servers::start();
    let dir = tempfile::tempdir().unwrap();
    for from in BACKENDS {
        for to in BACKENDS {
            let pair = format!("{from}_{to}");
            let source = servers.open(from, dir.path(), &format!("from_{pair}")).await;
            let target = servers.open(to, dir.path(), &format!("to_{pair}")).await;
            copy_while_written(&source, &target, &pair).await;
            drop(source.close().await);
            target.close().await.unwrap();
            println!("{pair}: equal");
        }
    }
}
