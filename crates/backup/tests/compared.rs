//! A restore compares in the end: what somebody else wrote meanwhile is found, wherever it lies.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use stead_backup::{BackupType, CreateOptions, RestoreOptions, RestorePoint};
use stead_core::{
    Backend, BackendExt as _, Capabilities, CheckReport, Cursor, Entry, ErrorKind, Expiry, Key, KeyRange,
    ManualClock, Outcome, Read, Reply, Result, Scan, Snapshot, Stats, Timestamp, WatchSpec, Watcher,
    WriteBatch,
};
use support::{Bench, NOW, content, key};

/// Entries whose deadline is so far behind the backup.
const DEADLINE: Timestamp = Timestamp::from_millis(NOW.as_millis() + 60_000);
const ENTRIES: usize = 40;

/// A store that somebody else writes to, or a clock that goes on, once it was filled.
struct Meddled<F> {
    inner: Arc<dyn Backend>,
    meddle: F,
}

impl<F: Fn(&dyn Backend) + Send + Sync> Read for Meddled<F> {
    fn get<'a>(&'a self, key: &'a Key) -> Reply<'a, Option<Entry>> {
        self.inner.get(key)
    }

    fn get_many<'a>(&'a self, keys: &'a [Key]) -> Reply<'a, Vec<Option<Entry>>> {
        self.inner.get_many(keys)
    }

    fn scan<'a>(&'a self, scan: &Scan) -> Result<Box<dyn Cursor + 'a>> {
        self.inner.scan(scan)
    }
}

impl<F: Fn(&dyn Backend) + Send + Sync> Backend for Meddled<F> {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn apply(&self, batch: WriteBatch) -> Reply<'_, Outcome> {
        self.inner.apply(batch)
    }

    fn snapshot(&self) -> Reply<'_, Arc<dyn Snapshot>> {
        self.inner.snapshot()
    }

    fn watch(&self, spec: &WatchSpec) -> Result<Box<dyn Watcher>> {
        self.inner.watch(spec)
    }

    fn sync(&self) -> Reply<'_, ()> {
        (self.meddle)(&*self.inner);
        self.inner.sync()
    }

    fn stats(&self) -> Reply<'_, Stats> {
        self.inner.stats()
    }

    fn check<'a>(&'a self, progress: &'a (dyn Fn(u64) + Send + Sync)) -> Reply<'a, CheckReport> {
        self.inner.check(progress)
    }

    fn close(&self) -> Reply<'_, ()> {
        self.inner.close()
    }
}

fn of(number: usize) -> Key {
    key("agent", &format!("{number:03}"))
}

/// Several chunks, some entries of which have a deadline.
async fn backed_up(increments: usize) -> Bench {
    let bench = Bench::new().await;
    for number in 0..ENTRIES {
        // Each is its own: chunks of the same are one.
        let value: Vec<u8> = (0..100_000_u32)
            .map(|at| {
                (at.wrapping_mul(2_654_435_761) >> 11)
                    .wrapping_add(u32::try_from(number).unwrap())
                    .to_le_bytes()[0]
            })
            .collect();
        let expiry = if number % 3 == 0 {
            Expiry::At(DEADLINE)
        } else {
            Expiry::Never
        };
        bench.store.put_with(of(number), value, expiry).await.unwrap();
    }
    let create = CreateOptions::new(BackupType::Full);
    let full = bench.manager.create(&create).await.unwrap();
    assert!(full.counts.chunks >= 4, "{} chunks", full.counts.chunks);
    bench.store.put(of(7), "later").await.unwrap();
    for _ in 0..increments {
        let create = CreateOptions::new(BackupType::IncrementalFromNewest);
        bench.manager.create(&create).await.unwrap();
    }
    bench
}

async fn restore(
    bench: &Bench,
    range: KeyRange,
    meddle: impl Fn(&dyn Backend) + Send + Sync + 'static,
) -> (Result<u64>, Arc<dyn Backend>) {
    let inner = bench.empty();
    let target: Arc<dyn Backend> = Arc::new(Meddled {
        inner: Arc::clone(&inner),
        meddle,
    });
    let mut options = RestoreOptions::new(RestorePoint::Latest);
    options.range = range;
    let restored = bench.repository.restore(&target, &options, &*bench.clock).await;
    (restored.map(|report| report.entries), inner)
}

/// Writes at once: the store is in memory.
fn write(store: &dyn Backend, batch: WriteBatch) {
    assert!(
        store
            .apply(batch)
            .try_take()
            .ok()
            .unwrap()
            .unwrap()
            .is_committed()
    );
}

#[tokio::test]
async fn what_somebody_else_wrote_is_found_wherever_it_lies() {
    for increments in [0, 1] {
        let bench = backed_up(increments).await;
        let (restored, target) = restore(&bench, KeyRange::all(), |_| {}).await;
        assert_eq!(restored.unwrap(), ENTRIES as u64);
        assert_eq!(content(&*target).await.len(), ENTRIES);
        let extra = [key("a", "before all"), key("z", "behind all")]
            .into_iter()
            .chain(
                (0..ENTRIES)
                    .step_by(3)
                    .map(|number| key("agent", &format!("{number:03}+"))),
            );
        let mut batches: Vec<WriteBatch> = extra.map(|key| WriteBatch::new().put(key, "more")).collect();
        for number in (0..ENTRIES).step_by(9).chain([ENTRIES - 1]) {
            batches.push(WriteBatch::new().delete(of(number)));
            batches.push(WriteBatch::new().put(of(number), "another"));
            batches
                .push(WriteBatch::new().touch(of(number), Expiry::At(Timestamp::from_millis(u64::MAX - 9))));
        }
        for batch in batches {
            let written = batch.clone();
            let (restored, _) = restore(&bench, KeyRange::all(), move |store| {
                write(store, written.clone());
            })
            .await;
            let error = restored.expect_err(&format!("{:?}", batch.mutations()));
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        }
    }
}

#[tokio::test]
async fn what_lies_outside_of_the_range_is_no_difference() {
    let bench = backed_up(0).await;
    let range = KeyRange::all().after(&of(9)).before(&of(40));
    for (number, found) in [(9, false), (10, true), (39, true), (40, false)] {
        let (restored, _) = restore(&bench, range.clone(), move |store| {
            write(store, WriteBatch::new().put(of(number), "another"));
        })
        .await;
        assert_eq!(restored.is_err(), found, "{number}");
    }
}

#[tokio::test]
async fn deadline_that_passes_during_a_restore_is_no_difference() {
    let bench = backed_up(0).await;
    let clock: Arc<ManualClock> = Arc::clone(&bench.clock);
    let (restored, target) = restore(&bench, KeyRange::all(), move |_| clock.set(DEADLINE)).await;
    assert_eq!(restored.unwrap(), ENTRIES as u64);
    assert_eq!(content(&*target).await.len(), ENTRIES - ENTRIES.div_ceil(3));
    // What somebody else wrote in front of the last one, which is gone, is.
    bench.clock.set(NOW);
    let clock: Arc<ManualClock> = Arc::clone(&bench.clock);
    let (restored, _) = restore(&bench, KeyRange::all(), move |store| {
        clock.set(DEADLINE);
        write(store, WriteBatch::new().put(key("agent", "038+"), "more"));
    })
    .await;
    assert_eq!(restored.unwrap_err().kind(), ErrorKind::Corrupt);
    // Those that are gone for another reason are.
    bench.clock.set(NOW);
    let (restored, _) = restore(&bench, KeyRange::all(), move |store| {
        write(store, WriteBatch::new().delete(of(3)));
    })
    .await;
    assert_eq!(restored.unwrap_err().kind(), ErrorKind::Corrupt);
}
