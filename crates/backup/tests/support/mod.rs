//! What the tests of backups share.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use stead_backup::{BackupManager, Repository};
use stead_core::{
    Backend, BackendExt, Entry, Expiry, Key, KeyRange, ManualClock, Partition, Read, ReadExt, Scan,
    SeededRandom, Timestamp,
};
use stead_memory::{MemoryBackend, MemoryOptions};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A repository in a directory, a store in memory, and a clock for both.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<dyn Backend>,
    pub(crate) repository: Repository,
    pub(crate) manager: BackupManager,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(NOW));
        let store = memory(&clock);
        let random = SeededRandom::new(1);
        let repository = Repository::init(dir.path().to_str().unwrap(), &*clock, &random)
            .await
            .unwrap();
        let manager = BackupManager::new(repository.clone(), Arc::clone(&store))
            .with_clock(clock.clone())
            .with_random(Arc::new(random));
        Bench {
            dir,
            clock,
            store,
            repository,
            manager,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn empty(&self) -> Arc<dyn Backend> {
        memory(&self.clock)
    }
}

pub(crate) fn memory(clock: &Arc<ManualClock>) -> Arc<dyn Backend> {
    let options = MemoryOptions::default().with_clock(clock.clone());
    Arc::new(MemoryBackend::new(options))
}

pub(crate) fn key(partition: &str, path: &str) -> Key {
    Key::new(&Partition::new(partition).unwrap(), path).unwrap()
}

pub(crate) async fn put(store: &Arc<dyn Backend>, partition: &str, path: &str, value: &str) {
    store.put(key(partition, path), value.to_owned()).await.unwrap();
}

pub(crate) async fn put_until(
    store: &Arc<dyn Backend>,
    partition: &str,
    path: &str,
    value: &str,
    deadline: Timestamp,
) {
    let expiry = Expiry::At(deadline);
    store
        .put_with(key(partition, path), value.to_owned(), expiry)
        .await
        .unwrap();
}

/// What a store holds, without revisions.
pub(crate) async fn content(store: &dyn Read) -> BTreeMap<Key, (Vec<u8>, Option<Timestamp>)> {
    let items = store.collect(&Scan::new(KeyRange::all())).await.unwrap();
    let of = |entry: Entry| (entry.value().to_vec(), entry.deadline());
    items
        .into_iter()
        .map(|item| (item.key, of(item.entry.unwrap())))
        .collect()
}
