//! An engine in memory whose commits take several turns, and whose syncs may fail.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stead_core::{Direction, Error, Result, Strength};
use stead_embedded::{Engine, Keyspace, View, Visit, WriteSet};

type Maps = [BTreeMap<Vec<u8>, Vec<u8>>; Keyspace::ALL.len()];

#[derive(Default)]
struct State {
    live: Arc<Maps>,
    synced: Arc<Maps>,
}

/// What outlives the engine. Its own lock is never held over a turn, so shuttle need not know it.
#[derive(Default)]
pub(crate) struct Disk {
    state: Mutex<State>,
    open: AtomicBool,
    failed: AtomicBool,
    pub(crate) syncs: AtomicUsize,
    /// The sync that fails, counted from 1; none for 0.
    pub(crate) failing_sync: AtomicUsize,
}

/// Lets any thread go on.
pub(crate) fn turn() {
    shuttle::thread::sleep(Duration::ZERO);
}

impl Disk {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn engine(self: &Arc<Self>) -> Fake {
        assert!(
            !self.open.swap(true, Ordering::SeqCst),
            "the disk is open already"
        );
        Fake(Arc::clone(self))
    }

    /// What a power failure at this instant would leave.
    pub(crate) fn after_power_failure(&self) -> Arc<Self> {
        let disk = Disk::default();
        let synced = Arc::clone(&self.state.lock().unwrap().synced);
        *disk.state.lock().unwrap() = State {
            live: Arc::clone(&synced),
            synced,
        };
        Arc::new(disk)
    }

    /// Whether a power failure at this instant would leave something under `key`.
    pub(crate) fn has_synced(&self, key: &stead_core::Key) -> bool {
        self.state.lock().unwrap().synced[Keyspace::Data.index()].contains_key(key.as_bytes())
    }

    /// Whether the engine has been let go of.
    pub(crate) fn is_released(&self) -> bool {
        !self.open.load(Ordering::SeqCst)
    }
}

/// The engine.
pub(crate) struct Fake(Arc<Disk>);

pub(crate) struct FakeView(Arc<Maps>);

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
        turn();
        Ok(FakeView(Arc::clone(&self.0.state.lock().unwrap().live)))
    }

    fn commit(&self, writes: &WriteSet, sync: bool) -> Result<()> {
        let disk = &self.0;
        assert!(
            !disk.failed.load(Ordering::SeqCst),
            "the store writes after a failed sync"
        );
        turn();
        {
            let mut state = disk.state.lock().unwrap();
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
        turn();
        if !sync {
            return Ok(());
        }
        let number = disk.syncs.fetch_add(1, Ordering::SeqCst) + 1;
        if number == disk.failing_sync.load(Ordering::SeqCst) {
            disk.failed.store(true, Ordering::SeqCst);
            turn();
            return Err(Error::unavailable("planted failure"));
        }
        {
            let mut state = disk.state.lock().unwrap();
            state.synced = Arc::clone(&state.live);
        }
        turn();
        Ok(())
    }

    fn disk_bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    fn close(self) -> Result<()> {
        turn();
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
