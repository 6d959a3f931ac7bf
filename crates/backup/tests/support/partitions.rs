//! The life of a store that orders its revisions within partitions only, with backups in between.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use stead_backup::{BackupManager, BackupMetadata, BackupType, CreateOptions, Repository};
use stead_core::kit::Walk;
use stead_core::{
    Backend, Entry, Expiry, Extent, Key, KeyRange, ManualClock, Partition, SeededRandom, Timestamp,
    WriteBatch,
};
use stead_servers::RedisCluster;

/// What a store holds.
pub(crate) type Entries = BTreeMap<Key, Entry>;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub(crate) struct Life {
    pub(crate) cluster: RedisCluster,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<dyn Backend>,
    pub(crate) manager: BackupManager,
    pub(crate) states: Vec<(BackupMetadata, Entries)>,
}

pub(crate) fn key(partition: &str, path: &str) -> Key {
    Key::new(&Partition::new(partition).unwrap(), path).unwrap()
}

pub(crate) async fn entries(store: &dyn Backend) -> Entries {
    let mut walk = Walk::new(store, store.capabilities(), KeyRange::all());
    let mut entries = Entries::new();
    loop {
        let page = walk.page().await.unwrap();
        if page.is_empty() {
            return entries;
        }
        entries.extend(page.into_iter().map(|item| (item.key, item.entry.unwrap())));
    }
}

impl Life {
    pub(crate) async fn begin() -> Self {
        let cluster = RedisCluster::start().unwrap();
        let clock = Arc::new(ManualClock::at(NOW));
        let mut options = stead_redis::RedisOptions::from_url(cluster.url().parse().unwrap()).unwrap();
        options.network.clock = clock.clone();
        let store: Arc<dyn Backend> = stead_redis::open(options).await.unwrap();
        assert_eq!(store.capabilities().revision_order, Extent::Partition);
        let dir = tempfile::tempdir().unwrap();
        let random = SeededRandom::new(1);
        let url = dir.path().to_str().unwrap().to_owned();
        let repository = Repository::init(&url, &*clock, &random).await.unwrap();
        let manager = BackupManager::new(repository, Arc::clone(&store))
            .with_clock(clock.clone())
            .with_random(Arc::new(random));
        Life {
            cluster,
            dir,
            clock,
            store,
            manager,
            states: Vec::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) async fn apply(&self, batch: WriteBatch) {
        self.store.apply(batch).await.unwrap().committed().unwrap();
    }

    pub(crate) async fn backup(&mut self, kind: BackupType) -> BackupMetadata {
        self.clock.advance_millis(1000);
        let entries = entries(&*self.store).await;
        let made = self.manager.create(&CreateOptions::new(kind)).await.unwrap();
        assert_eq!(made.forced, None);
        self.states.push((made.clone(), entries));
        made
    }

    /// A partition that becomes empty, one that is new, one that comes back; deletions, expiries, and most that stays.
    pub(crate) async fn tell() -> Self {
        let mut life = Self::begin().await;
        for partition in 0..40 {
            let mut batch = WriteBatch::new();
            for path in 0..25 {
                batch = batch.put(
                    key(&format!("p{partition:02}"), &format!("k{path:02}")),
                    format!("{path}"),
                );
            }
            life.apply(batch).await;
        }
        let soon = Expiry::At(
            NOW.checked_add(stead_core::Ttl::from_millis(2500).unwrap())
                .unwrap(),
        );
        life.apply(WriteBatch::new().put_with(key("p09", "soon"), "s", soon))
            .await;
        life.apply(WriteBatch::new().put_with(key("only", "soon"), "s", soon))
            .await;
        life.backup(BackupType::Full).await;

        let new = WriteBatch::new;
        life.apply(new().put(key("p03", "k03"), "changed").delete(key("p03", "k04")))
            .await;
        let all = (0..25).fold(new(), |batch, path| {
            batch.delete(key("p05", &format!("k{path:02}")))
        });
        life.apply(all).await;
        life.apply(
            new()
                .put(key("p05x", "k"), "a new one")
                .put(key("p05x", "l"), "of two"),
        )
        .await;
        // Deleted and put again: the newest counts.
        life.apply(new().delete(key("p07", "k00"))).await;
        life.apply(new().put(key("p07", "k00"), "again")).await;
        life.backup(BackupType::IncrementalFromNewest).await;
        life.backup(BackupType::IncrementalFromNewest).await;

        // Behind their deadlines now; whether the server has removed them says the log.
        life.apply(new().put(key("p05", "back"), "again")).await;
        life.apply(new().put(key("p09", "k24"), "changed")).await;
        life.apply(new().delete(key("p05x", "k")).delete(key("p05x", "l")))
            .await;
        // A commit that changes nothing moves its partition all the same.
        life.apply(new().delete(key("p39", "none"))).await;
        life.backup(BackupType::IncrementalFromNewest).await;
        life.backup(BackupType::Differential).await;
        life
    }
}
