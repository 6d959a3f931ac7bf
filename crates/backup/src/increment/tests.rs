//! Logs of changes that are larger than what is kept of them in memory.

use std::sync::Arc;

use futures_util::FutureExt as _;
use stead_core::{
    Backend, BackendExt as _, KeyRange, ManualClock, Random, ReadExt as _, Scan, SeededRandom, Timestamp,
    WriteBatch,
};
use stead_memory::{MemoryBackend, MemoryOptions};

use super::*;
use crate::manager::{BackupType, CreateOptions};
use crate::manifest::BackupKind;
use crate::metadata::BackupMetadata;
use crate::repository::Repository;
use crate::restore::{RestoreOptions, RestorePoint};

fn key(number: u64) -> Key {
    Key::new(
        &Partition::new(format!("p{}", number % 7)).unwrap(),
        format!("k{number:04}"),
    )
    .unwrap()
}

struct Bench {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: Arc<dyn Backend>,
}

impl Bench {
    fn new(options: MemoryOptions) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
        Bench {
            dir: tempfile::tempdir().unwrap(),
            store: Arc::new(MemoryBackend::new(options.with_clock(clock.clone()))),
            clock,
        }
    }

    /// Backups of the store in a repository of this name, with this much memory for what changed.
    async fn manager(&self, name: &str, most_changed_bytes: usize) -> BackupManager {
        let (url, random) = (self.dir.path().join(name), SeededRandom::new(1));
        let repository = Repository::init(url.to_str().unwrap(), &*self.clock, &random)
            .await
            .unwrap();
        BackupManager {
            most_changed_bytes,
            ..BackupManager::new(repository, Arc::clone(&self.store)).with_clock(self.clock.clone())
        }
    }

    async fn fill(&self, range: std::ops::Range<u64>, value: &str) {
        for number in range {
            self.store
                .put(key(number), format!("{value} {number}"))
                .await
                .unwrap();
        }
    }
}

async fn create(manager: &BackupManager, kind: BackupType) -> BackupMetadata {
    manager.create(&CreateOptions::new(kind)).await.unwrap()
}

async fn entries(store: &Arc<dyn Backend>) -> Vec<(Key, Vec<u8>)> {
    let items = store.collect(&Scan::new(KeyRange::all())).await.unwrap();
    let of = |item: stead_core::Item| (item.key, item.entry.unwrap().value().to_vec());
    items.into_iter().map(of).collect()
}

#[tokio::test]
async fn an_increment_that_reads_the_log_many_times_is_the_same() {
    let bench = Bench::new(MemoryOptions::default());
    let once = bench.manager("once", MOST_CHANGED_BYTES).await;
    let (many, every) = (bench.manager("many", 1000).await, bench.manager("every", 1).await);
    let all = [&once, &many, &every];
    bench.fill(0..300, "first").await;
    for manager in all {
        create(manager, BackupType::Full).await;
    }
    let random = SeededRandom::new(7);
    for round in 0..700 {
        let number = random.next_u64() % 400;
        match random.next_u64() % 3 {
            0 => drop(bench.store.delete(key(number)).await.unwrap()),
            _ => bench.fill(number..number + 1, &format!("round {round}")).await,
        }
    }
    let mut made = Vec::new();
    for manager in all {
        let next = create(manager, BackupType::IncrementalFromNewest).await;
        assert_eq!(next.kind, BackupKind::Incremental);
        assert!(next.counts.entries > 100 && next.counts.deleted > 50);
        let target: Arc<dyn Backend> = Arc::new(MemoryBackend::default());
        let options = RestoreOptions::new(RestorePoint::Latest);
        manager
            .repository
            .restore(&target, &options, &*bench.clock)
            .await
            .unwrap();
        assert_eq!(entries(&target).await, entries(&bench.store).await);
        made.push((next.state, next.counts));
    }
    assert_eq!((made[0], made[0]), (made[1], made[2]));
}

#[tokio::test]
async fn a_log_that_is_cut_between_two_readings_forces_a_full_backup() {
    let bench = Bench::new(MemoryOptions::default().with_change_retention(400));
    let manager = bench.manager("backups", 1000).await;
    bench.fill(0..300, "first").await;
    create(&manager, BackupType::Full).await;
    bench.fill(0..300, "second").await;
    let store = Arc::clone(&bench.store);
    // Called when the first keys were read. What is written then is in no backup, but cuts the log.
    let manager = manager.with_observer(move |_| {
        for number in 0..400 {
            let batch = WriteBatch::new().put(key(number), "later");
            store
                .apply(batch)
                .now_or_never()
                .unwrap()
                .unwrap()
                .committed()
                .unwrap();
        }
    });
    let made = create(&manager, BackupType::IncrementalFromNewest).await;
    assert_eq!((made.kind, made.counts.entries), (BackupKind::Full, 300));
    assert!(made.forced.unwrap().contains("does not reach back"));
}
