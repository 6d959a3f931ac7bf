//! An engine in memory whose disk can be slow, fail and lose what was not synced.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file is a crate that uses the parts that it needs"
)]

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_executor::block_on;
use parking_lot::{Condvar, Mutex};
use stead_core::{
    Backend, Direction, Durability, Error, ErrorKind, Key, ManualClock, Outcome, Partition, Result, Revision,
    SeededRandom, Strength, Timestamp, WriteBatch,
};
use stead_embedded::{Embedded, EmbeddedOptions, Engine, Keyspace, View, Visit, WriteSet};

type Maps = [BTreeMap<Vec<u8>, Vec<u8>>; Keyspace::ALL.len()];

/// How a commit is to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Before anything is written, with this kind.
    Before(ErrorKind),
    /// After everything is written.
    After,
    /// By a panic.
    Panic,
}

#[derive(Default)]
struct State {
    live: Arc<Maps>,
    synced: Arc<Maps>,
    fault: Option<Fault>,
}

/// What outlives the engine.
#[derive(Default)]
pub struct Disk {
    state: Mutex<State>,
    open: AtomicBool,
    pub commits: AtomicUsize,
    pub syncs: AtomicUsize,
    /// Syncs wait while it is set.
    blocked: Mutex<bool>,
    unblocked: Condvar,
    /// Syncs that wait.
    pub waiting: AtomicUsize,
    /// Called when a commit is done, before anybody hears of it.
    after_commits: Mutex<Option<Box<AfterCommit>>>,
}

type AfterCommit = dyn FnMut(&Disk) + Send;

impl Disk {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn engine(self: &Arc<Self>) -> Result<Fake> {
        if self.open.swap(true, Ordering::SeqCst) {
            return Err(Error::unavailable("the fake disk is locked"));
        }
        Ok(Fake(Arc::clone(self)))
    }

    /// Loses what was not synced.
    pub fn lose_unsynced(&self) {
        let mut state = self.state.lock();
        state.live = Arc::clone(&state.synced);
    }

    /// What a power failure would leave, on a disk of its own.
    pub fn after_power_failure(&self) -> Arc<Self> {
        let disk = Disk::new();
        let synced = Arc::clone(&self.state.lock().synced);
        *disk.state.lock() = State {
            live: Arc::clone(&synced),
            synced,
            fault: None,
        };
        disk
    }

    pub fn fail_next_commit(&self, fault: Fault) {
        self.state.lock().fault = Some(fault);
    }

    pub fn block_syncs(&self) {
        *self.blocked.lock() = true;
    }

    pub fn unblock_syncs(&self) {
        *self.blocked.lock() = false;
        self.unblocked.notify_all();
    }

    pub fn wait_until_a_sync_waits(&self) {
        wait_until(|| self.waiting.load(Ordering::SeqCst) > 0);
    }

    pub fn after_each_commit(&self, call: impl FnMut(&Disk) + Send + 'static) {
        *self.after_commits.lock() = Some(Box::new(call));
    }

    /// Changes what is stored behind the store's back.
    pub fn edit(&self, change: impl FnOnce(&mut Maps)) {
        let mut state = self.state.lock();
        change(Arc::make_mut(&mut state.live));
        state.synced = Arc::clone(&state.live);
    }

    pub fn len(&self, space: Keyspace) -> usize {
        self.state.lock().live[space.index()].len()
    }
}

pub fn wait_until(condition: impl Fn() -> bool) {
    for _ in 0..5_000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("waited five seconds in vain");
}

/// The engine.
pub struct Fake(Arc<Disk>);

pub struct FakeView(Arc<Maps>);

impl Drop for Fake {
    fn drop(&mut self) {
        self.0.open.store(false, Ordering::SeqCst);
    }
}

impl Engine for Fake {
    type View = FakeView;

    fn name(&self) -> &'static str {
        "fake"
    }

    fn strengths(&self) -> (Strength, Strength) {
        (Strength::Volatile, Strength::PowerLoss)
    }

    fn view(&self) -> Result<FakeView> {
        Ok(FakeView(Arc::clone(&self.0.state.lock().live)))
    }

    fn commit(&self, writes: &WriteSet, sync: bool) -> Result<()> {
        let disk = &self.0;
        let fault = disk.state.lock().fault.take();
        match fault {
            Some(Fault::Before(kind)) => return Err(Error::new(kind, "planted failure")),
            Some(Fault::Panic) => panic!("planted panic"),
            Some(Fault::After) | None => {}
        }
        disk.commits.fetch_add(1, Ordering::SeqCst);
        {
            let mut state = disk.state.lock();
            let live = Arc::make_mut(&mut state.live);
            for space in Keyspace::ALL {
                for (key, value) in writes.iter(space) {
                    match value {
                        Some(value) => live[space.index()].insert(key.to_vec(), value.to_vec()),
                        None => live[space.index()].remove(key),
                    };
                }
            }
        }
        if sync {
            disk.waiting.fetch_add(1, Ordering::SeqCst);
            let mut blocked = disk.blocked.lock();
            while *blocked {
                disk.unblocked.wait(&mut blocked);
            }
            drop(blocked);
            disk.waiting.fetch_sub(1, Ordering::SeqCst);
            disk.syncs.fetch_add(1, Ordering::SeqCst);
            let mut state = disk.state.lock();
            state.synced = Arc::clone(&state.live);
        }
        if let Some(call) = &mut *disk.after_commits.lock() {
            call(disk);
        }
        match fault {
            Some(Fault::After) => Err(Error::unavailable("planted failure")),
            _ => Ok(()),
        }
    }

    fn disk_bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    fn close(self) -> Result<()> {
        Ok(())
    }
}

impl View for FakeView {
    fn get(&self, space: Keyspace, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.0[space.index()].get(key);
        value.inspect(|value| read(value));
        Ok(value.is_some())
    }

    fn scan(
        &self,
        space: Keyspace,
        start: &[u8],
        end: Option<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        if end.is_some_and(|end| end <= start) {
            return Ok(());
        }
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        let mut range = self.0[space.index()].range::<[u8], _>((Bound::Included(start), end));
        loop {
            let next = match direction {
                Direction::Forward => range.next(),
                Direction::Reverse => range.next_back(),
            };
            let Some((key, value)) = next else { return Ok(()) };
            if let ControlFlow::Break(()) = visit(key, value) {
                return Ok(());
            }
        }
    }
}

/// When the tests' clocks start.
pub const START: u64 = 1_000_000;

pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(START)))
}

/// Settings under which nothing happens on its own: no flush and no sweep within the time of a test.
pub fn quiet(clock: &Arc<ManualClock>) -> EmbeddedOptions {
    EmbeddedOptions::default()
        .with_clock(Arc::clone(clock) as _)
        .with_random(Arc::new(SeededRandom::new(7)))
        .with_sweep_interval(Duration::from_secs(3600))
        .with_flush_interval(Duration::from_secs(3600))
}

pub fn open(disk: &Arc<Disk>) -> Arc<Embedded<Fake>> {
    Embedded::open(disk.engine().unwrap(), quiet(&clock())).unwrap()
}

pub fn open_with(disk: &Arc<Disk>, options: EmbeddedOptions) -> Arc<Embedded<Fake>> {
    Embedded::open(disk.engine().unwrap(), options).unwrap()
}

pub fn key(path: &str) -> Key {
    Key::new(&Partition::new("p").unwrap(), path).unwrap()
}

pub fn put(path: &str, value: &'static str) -> WriteBatch {
    WriteBatch::new().put(key(path), value)
}

pub fn buffered(batch: WriteBatch) -> WriteBatch {
    batch.durability(Durability::Buffered)
}

pub fn commit(store: &Embedded<Fake>, batch: WriteBatch) -> Revision {
    match block_on(store.apply(batch)).unwrap() {
        Outcome::Committed(revision) => revision,
        Outcome::Rejected(conflict) => panic!("rejected: {conflict:?}"),
    }
}

pub fn value(store: &dyn stead_core::Read, path: &str) -> Option<Vec<u8>> {
    block_on(store.get(&key(path)))
        .unwrap()
        .map(|entry| entry.value().to_vec())
}

pub fn check(store: &Embedded<Fake>) {
    block_on(store.check(&|_| {})).unwrap();
}
