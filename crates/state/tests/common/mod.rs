//! What the tests share.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::{Arc, Mutex};

use stead_conformance::reference::{Options, Reference};
use stead_core::{
    Backend, Capabilities, CheckReport, Cursor, Entry, Key, ManualClock, Outcome, Page, Read, Reply, Result,
    Scan, Snapshot, Stats, Timestamp, WatchSpec, Watcher, WriteBatch,
};
use stead_memory::{MemoryBackend, MemoryOptions};
use stead_state::{ScopedState, StateManager, StateScope};

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000)))
}

pub(crate) fn memory(clock: &Arc<ManualClock>) -> Arc<dyn Backend> {
    let clock: Arc<ManualClock> = Arc::clone(clock);
    Arc::new(MemoryBackend::new(MemoryOptions::default().with_clock(clock)))
}

pub(crate) fn manager() -> StateManager {
    StateManager::new(memory(&clock()))
}

/// A manager with a home for ephemeral values, and the two stores.
pub(crate) fn two_homes(clock: &Arc<ManualClock>) -> (StateManager, Arc<dyn Backend>, Arc<dyn Backend>) {
    let (store, ephemeral) = (memory(clock), memory(clock));
    let manager = StateManager::builder(Arc::clone(&store))
        .ephemeral(Arc::clone(&ephemeral))
        .build();
    (manager, store, ephemeral)
}

pub(crate) fn agent() -> (StateManager, ScopedState) {
    let manager = manager();
    let scope = manager.scope(StateScope::agent("planner")).unwrap();
    (manager, scope)
}

/// A store of which nothing is answered on the spot: every future is polled twice, and other tasks get in between.
pub(crate) struct Yielding(pub(crate) Arc<dyn Backend>);

async fn pause() {
    tokio::task::yield_now().await;
}

struct YieldingCursor<'a>(Box<dyn Cursor + 'a>);

impl Cursor for YieldingCursor<'_> {
    fn next_page(&mut self) -> Reply<'_, Page> {
        Reply::pending(async move {
            pause().await;
            self.0.next_page().await
        })
    }
}

impl Read for Yielding {
    fn get<'a>(&'a self, key: &'a Key) -> Reply<'a, Option<Entry>> {
        Reply::pending(async move {
            pause().await;
            let entry = self.0.get(key).await;
            pause().await;
            entry
        })
    }

    fn get_many<'a>(&'a self, keys: &'a [Key]) -> Reply<'a, Vec<Option<Entry>>> {
        Reply::pending(async move {
            pause().await;
            self.0.get_many(keys).await
        })
    }

    fn scan<'a>(&'a self, scan: &Scan) -> Result<Box<dyn Cursor + 'a>> {
        Ok(Box::new(YieldingCursor(self.0.scan(scan)?)))
    }
}

impl Backend for Yielding {
    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    fn apply(&self, batch: WriteBatch) -> Reply<'_, Outcome> {
        let handed_over = self.0.apply(batch);
        Reply::pending(async move {
            pause().await;
            handed_over.await
        })
    }

    fn snapshot(&self) -> Reply<'_, Arc<dyn Snapshot>> {
        Reply::pending(async move {
            pause().await;
            self.0.snapshot().await
        })
    }

    fn watch(&self, spec: &WatchSpec) -> Result<Box<dyn Watcher>> {
        self.0.watch(spec)
    }

    fn sync(&self) -> Reply<'_, ()> {
        self.0.sync()
    }

    fn stats(&self) -> Reply<'_, Stats> {
        self.0.stats()
    }

    fn check<'a>(&'a self, progress: &'a (dyn Fn(u64) + Send + Sync)) -> Reply<'a, CheckReport> {
        self.0.check(progress)
    }

    fn close(&self) -> Reply<'_, ()> {
        self.0.close()
    }
}

/// A reference store that declares less.
pub(crate) fn reference(change: impl FnOnce(&mut Capabilities)) -> Arc<dyn Backend> {
    Arc::new(Reference::open(clock(), Options::default().declaring(change)))
}

type Hook = Box<dyn FnOnce() + Send>;

/// A store that lets somebody in just before a caller's first batch, or its next point read.
pub(crate) struct Interrupted {
    store: Arc<dyn Backend>,
    before_apply: Mutex<Option<Hook>>,
    before_get: Mutex<Option<Hook>>,
}

impl Interrupted {
    /// Commits `batch` in front of the first one that comes.
    pub(crate) fn by(store: &Arc<dyn Backend>, batch: WriteBatch) -> Arc<dyn Backend> {
        let interrupted = Interrupted::new(store);
        let store = Arc::clone(store);
        let hook: Hook = Box::new(move || drop(store.apply(batch)));
        *interrupted.before_apply.lock().expect("nobody panics") = Some(hook);
        Arc::new(interrupted)
    }

    pub(crate) fn new(store: &Arc<dyn Backend>) -> Self {
        Interrupted {
            store: Arc::clone(store),
            before_apply: Mutex::new(None),
            before_get: Mutex::new(None),
        }
    }

    /// Runs `hook` in front of the next point read.
    pub(crate) fn before_get(&self, hook: impl FnOnce() + Send + 'static) {
        *self.before_get.lock().expect("nobody panics") = Some(Box::new(hook));
    }
}

fn run(hook: &Mutex<Option<Hook>>) {
    let hook = hook.lock().expect("nobody panics").take();
    if let Some(hook) = hook {
        hook();
    }
}

impl Read for Interrupted {
    fn get<'a>(&'a self, key: &'a Key) -> Reply<'a, Option<Entry>> {
        run(&self.before_get);
        self.store.get(key)
    }

    fn get_many<'a>(&'a self, keys: &'a [Key]) -> Reply<'a, Vec<Option<Entry>>> {
        self.store.get_many(keys)
    }

    fn scan<'a>(&'a self, scan: &Scan) -> Result<Box<dyn Cursor + 'a>> {
        self.store.scan(scan)
    }
}

impl Backend for Interrupted {
    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    fn apply(&self, batch: WriteBatch) -> Reply<'_, Outcome> {
        run(&self.before_apply);
        self.store.apply(batch)
    }

    fn snapshot(&self) -> Reply<'_, Arc<dyn Snapshot>> {
        self.store.snapshot()
    }

    fn watch(&self, spec: &WatchSpec) -> Result<Box<dyn Watcher>> {
        self.store.watch(spec)
    }

    fn sync(&self) -> Reply<'_, ()> {
        self.store.sync()
    }

    fn stats(&self) -> Reply<'_, Stats> {
        self.store.stats()
    }

    fn check<'a>(&'a self, progress: &'a (dyn Fn(u64) + Send + Sync)) -> Reply<'a, CheckReport> {
        self.store.check(progress)
    }

    fn close(&self) -> Reply<'_, ()> {
        self.store.close()
    }
}
