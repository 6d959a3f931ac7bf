//! Every backend backed up, and restored into every other.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use stead_backup::{
    BackupKind, BackupManager, BackupType, CreateOptions, Repository, RestoreOptions, RestorePoint,
    VerifyOptions,
};
use stead_core::{
    Backend, BackendExt, Clock, Expiry, Key, KeyRange, Partition, ReadExt, Scan, StoreUrl, SystemClock,
    SystemRandom, Timestamp, Ttl, WriteBatch,
};
use stead_servers::{PostgresOptions, PostgresServer, RedisCluster, RedisOptions, RedisServer};

type Store = Arc<dyn Backend>;
type Content = BTreeMap<Vec<u8>, (Vec<u8>, Option<Timestamp>)>;

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

/// 12 partitions of 40 entries; some have deadlines that are far away.
async fn fill(store: &Store) {
    let later = SystemClock
        .now()
        .checked_add(Ttl::from_millis(3_600_000).unwrap())
        .unwrap();
    for partition in 0..12 {
        let mut batch = WriteBatch::new();
        for path in 0..40 {
            let expiry = if path % 5 == 0 {
                Expiry::At(later)
            } else {
                Expiry::Never
            };
            batch = batch.put_with(key(partition, path), format!("value {partition} {path}"), expiry);
        }
        store.apply(batch).await.unwrap().committed().unwrap();
    }
}

async fn content(store: &Store) -> Content {
    let mut content = BTreeMap::new();
    for partition in store.partitions(&KeyRange::all(), usize::MAX).await.unwrap() {
        for item in store
            .collect(&Scan::new(KeyRange::partition(&partition)))
            .await
            .unwrap()
        {
            let entry = item.entry.unwrap();
            content.insert(
                item.key.as_bytes().to_vec(),
                (entry.value().to_vec(), entry.deadline()),
            );
        }
    }
    content
}

/// A full backup and an increment of a store, and what it held then.
async fn back_up(store: &Store, repository: &Repository) -> Content {
    fill(store).await;
    let manager = BackupManager::new(repository.clone(), Arc::clone(store));
    manager.create_backup(BackupType::Full).await.unwrap();
    store.put(key(3, 3), "changed").await.unwrap();
    store.put(key(77, 0), "a partition more").await.unwrap();
    store.delete(key(4, 4)).await.unwrap();
    let next = manager
        .create(&CreateOptions::new(BackupType::IncrementalFromNewest))
        .await
        .unwrap();
    assert_eq!(
        (next.kind, next.counts.entries, next.counts.deleted),
        (BackupKind::Incremental, 2, 1)
    );
    content(store).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_backend_is_restored_into_every_other() {
    let servers = Servers::start();
    let dir = tempfile::tempdir().unwrap();
    for from in BACKENDS {
        let url = dir.path().join(format!("backups_{from}"));
        let repository = Repository::init(url.to_str().unwrap(), &SystemClock, &SystemRandom)
            .await
            .unwrap();
        let source = servers.open(from, dir.path(), &format!("from_{from}")).await;
        let wanted = back_up(&source, &repository).await;
        let stood = source.stats().await.unwrap().revision;
        source.close().await.unwrap();
        repository.verify(&VerifyOptions::default()).await.unwrap();
        for to in BACKENDS {
            let target = servers.open(to, dir.path(), &format!("to_{from}_{to}")).await;
            let options = RestoreOptions::new(RestorePoint::Latest);
            repository.restore(&target, &options, &SystemClock).await.unwrap();
            assert_eq!(content(&target).await, wanted, "{from} to {to}");
            let view = target.snapshot().await.unwrap();
            assert!(
                view.revision(&Partition::new("agent:03").unwrap()) > stood,
                "{from} to {to}"
            );
            drop(view);
            target.close().await.unwrap();
            println!("{from} to {to}: equal");
        }
    }
}
