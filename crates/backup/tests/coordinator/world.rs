//! A store, a repository, and time.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stead_backup::{
    BackupKind, BackupManager, BackupMetadata, CheckpointCoordinator, CheckpointEvent, CheckpointOptions,
    CheckpointStats, Schedule,
};
use stead_core::{
    Backend, Capabilities, CheckReport, Clock, Cursor, Entry, Error, Key, Outcome, Read, Reply, Result,
    Revision, Scan, SeededRandom, Snapshot, Stats, Timestamp, WatchSpec, Watcher, WriteBatch,
};
use tokio::time::{Instant, sleep};

use crate::support::{Bench, NOW, put};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// A clock that goes with the timers of the runtime, and jumps when it is told to.
pub(crate) struct RunningClock {
    origin: Instant,
    jumped_ms: AtomicI64,
}

impl RunningClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the time of the runtime is the test's own"
    )]
    fn new() -> Arc<Self> {
        Arc::new(RunningClock {
            origin: Instant::now(),
            jumped_ms: AtomicI64::new(0),
        })
    }

    pub(crate) fn jump(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap();
        self.jumped_ms.fetch_add(millis, Ordering::SeqCst);
    }

    pub(crate) fn jump_back(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap();
        self.jumped_ms.fetch_sub(millis, Ordering::SeqCst);
    }
}

impl fmt::Debug for RunningClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RunningClock")
    }
}

impl Clock for RunningClock {
    fn now(&self) -> Timestamp {
        let ran = u64::try_from(self.origin.elapsed().as_millis()).unwrap();
        let now = (NOW.as_millis() + ran).checked_add_signed(self.jumped_ms.load(Ordering::SeqCst));
        Timestamp::from_millis(now.unwrap())
    }
}

pub(crate) struct World {
    pub(crate) bench: Bench,
    pub(crate) clock: Arc<RunningClock>,
    pub(crate) store: Arc<Moody>,
    /// What was told, in short.
    pub(crate) told: Arc<Mutex<Vec<String>>>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let bench = Bench::new().await;
        put(&bench.store, "a", "first", "1").await;
        let store = Arc::new(Moody::new(Arc::clone(&bench.store)));
        World {
            clock: RunningClock::new(),
            store,
            told: Arc::default(),
            bench,
        }
    }

    pub(crate) fn manager(&self) -> BackupManager {
        let store: Arc<dyn Backend> = Arc::clone(&self.store) as Arc<dyn Backend>;
        BackupManager::new(self.bench.repository.clone(), store)
            .with_clock(self.clock.clone())
            .with_random(Arc::new(SeededRandom::new(7)))
    }

    /// A coordinator that tells this world what it does.
    pub(crate) fn start(&self, options: CheckpointOptions) -> CheckpointCoordinator {
        let told = Arc::clone(&self.told);
        let options = options.with_observer(move |event| told.lock().unwrap().push(short(event)));
        CheckpointCoordinator::start(self.manager(), options).unwrap()
    }

    pub(crate) async fn put(&self, path: &str, value: &str) {
        put(&self.bench.store, "a", path, value).await;
    }

    pub(crate) async fn backups(&self) -> Vec<BackupMetadata> {
        self.bench.repository.backups().await.unwrap()
    }

    /// Full ones as `f`, increments as `i`.
    pub(crate) async fn kinds(&self) -> String {
        let letter = |backup: &BackupMetadata| match backup.kind {
            BackupKind::Full => 'f',
            _ => 'i',
        };
        self.backups().await.iter().map(letter).collect()
    }

    pub(crate) fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    pub(crate) fn chunks(&self) -> Vec<PathBuf> {
        files(&self.bench.path().join("chunks"))
    }
}

/// Without trial restores.
pub(crate) fn plain(schedule: Schedule) -> CheckpointOptions {
    let mut options = CheckpointOptions::new(schedule);
    options.trials = None;
    options
}

pub(crate) fn every(interval: Duration) -> CheckpointOptions {
    plain(Schedule::Every(interval))
}

/// Waits until the stats are as they should be: a day of the test's time at most.
pub(crate) async fn until(coordinator: &CheckpointCoordinator, reached: impl Fn(&CheckpointStats) -> bool) {
    for _ in 0..DAY.as_secs() {
        if reached(&coordinator.stats()) {
            return;
        }
        sleep(SECOND).await;
    }
    panic!("not within a day: {:?}", coordinator.stats());
}

fn short(event: &CheckpointEvent) -> String {
    match event {
        CheckpointEvent::Made { checkpoint, full, .. } => {
            let why = full.map_or("", stead_backup::FullReason::as_str);
            format!("made {} {why}", checkpoint.kind).trim_end().to_owned()
        }
        CheckpointEvent::Failed { error, retry_after } => {
            let again = if retry_after.is_some() { "again" } else { "no more" };
            format!("failed {} {again}", error.kind())
        }
        CheckpointEvent::Retained(report) => {
            format!("kept {} forgot {}", report.kept.len(), report.forgotten.len())
        }
        CheckpointEvent::RetentionFailed(error) => format!("retention failed {}", error.kind()),
        CheckpointEvent::TrialPassed(report) => format!("trial passed {}", report.depth()),
        CheckpointEvent::TrialFailed { error, .. } => format!("trial failed {}", error.kind()),
        _ => "something else".to_owned(),
    }
}

pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Flips a bit in the middle of a file.
pub(crate) fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// A store that fails, panics or takes its time on demand when a snapshot is taken.
pub(crate) struct Moody {
    inner: Arc<dyn Backend>,
    pub(crate) fails: AtomicBool,
    pub(crate) panics: AtomicBool,
    /// Says that it wrote what it did not.
    pub(crate) lies: AtomicBool,
    pub(crate) takes: Mutex<Duration>,
}

impl Moody {
    pub(crate) fn new(inner: Arc<dyn Backend>) -> Self {
        Moody {
            inner,
            fails: AtomicBool::new(false),
            panics: AtomicBool::new(false),
            lies: AtomicBool::new(false),
            takes: Mutex::default(),
        }
    }
}

impl Read for Moody {
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

impl Backend for Moody {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn apply(&self, batch: WriteBatch) -> Reply<'_, Outcome> {
        if self.lies.load(Ordering::SeqCst) {
            return Reply::ready(Outcome::Committed(Revision::new(1)));
        }
        self.inner.apply(batch)
    }

    fn snapshot(&self) -> Reply<'_, Arc<dyn Snapshot>> {
        assert!(!self.panics.load(Ordering::SeqCst), "a store that panics");
        let takes = *self.takes.lock().unwrap();
        Reply::pending(async move {
            sleep(takes).await;
            if self.fails.load(Ordering::SeqCst) {
                return Err(Error::unavailable("the store does not answer"));
            }
            self.inner.snapshot().await
        })
    }

    fn watch(&self, spec: &WatchSpec) -> Result<Box<dyn Watcher>> {
        self.inner.watch(spec)
    }

    fn sync(&self) -> Reply<'_, ()> {
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
