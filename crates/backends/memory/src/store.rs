//! The store itself.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use stead_core::kit::{ChangeSource, LogRead, LogWatcher, Signal, admit, admit_keys, admit_watch};
use stead_core::{
    Backend, Capabilities, CheckReport, Clock, Cursor, Entry, Error, Key, Outcome, Random as _, Read, Reply,
    Result, Revision, Scan, Snapshot, Stats, SystemRandom, WatchSpec, Watcher, WriteBatch,
};

use crate::MemoryOptions;
use crate::commit::{Books, is_past, size};
use crate::log::{ChangeLog, Requests};
use crate::read::{MemoryCursor, MemorySnapshot, Ordered};
use crate::shards::Shards;
use crate::sweeper::Sweeper;

/// A store in memory: gone with its process, and otherwise held to every guarantee of the contract.
///
/// Point reads go to a sharded hash table, scans and snapshots to an ordered index that they share with the writers
/// without stopping them. Batches commit one at a time. Everything is answered on the caller's thread. A background
/// thread removes expired entries; it starts with the first deadline and ends with the store.
///
/// Costs: `get` O(1); writes O(log n); a scan O(log n + what it returns).
///
/// ```
/// use stead_core::{BackendExt, Key, Partition, Read};
/// use stead_memory::MemoryBackend;
///
/// # futures_executor::block_on(async {
/// let store = MemoryBackend::default();
/// let key = Key::new(&Partition::new("agent:planner")?, "goal")?;
/// store.put(key.clone(), "tidy the attic").await?;
/// assert_eq!(store.get(&key).await?.unwrap().value(), b"tidy the attic");
/// # Ok::<(), stead_core::Error>(())
/// # }).unwrap();
/// ```
pub struct MemoryBackend(Arc<Inner>);

/// All but the hash index. One lock, which a commit holds from its decision to the publication of its change: whoever sees
/// the new state finds the change, and the other way round. Scans and snapshots hold it for as long as it takes to clone
/// the root of the ordered index; point reads do not take it.
pub(crate) struct State {
    pub(crate) ordered: Ordered,
    pub(crate) log: ChangeLog,
    pub(crate) books: Books,
}

pub(crate) struct Inner {
    pub(crate) capabilities: Capabilities,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) capacity_entries: u64,
    pub(crate) capacity_bytes: u64,
    pub(crate) state: RwLock<State>,
    pub(crate) shards: Shards,
    pub(crate) signal: Signal,
    pub(crate) sweeper: Sweeper,
    lineage: u128,
    closed: AtomicBool,
}

impl MemoryBackend {
    /// An empty store.
    #[must_use]
    pub fn new(options: MemoryOptions) -> Self {
        let interval = options.sweep_interval;
        let inner = Arc::new(Inner {
            capabilities: Capabilities {
                limits: options.limits,
                ..Capabilities::volatile("memory")
            },
            clock: options.clock,
            capacity_entries: options.capacity_entries,
            capacity_bytes: options.capacity_bytes,
            state: RwLock::new(State {
                ordered: Ordered::default(),
                log: ChangeLog::new(options.change_retention),
                books: Books {
                    closed: false,
                    entries: 0,
                    bytes: 0,
                    deadlines: BTreeSet::new(),
                    requests: Requests::new(options.request_retention),
                    commits: 0,
                    conflicts: 0,
                    expired: 0,
                },
            }),
            shards: Shards::default(),
            signal: Signal::default(),
            sweeper: Sweeper::default(),
            lineage: SystemRandom.next_u128(),
            closed: AtomicBool::new(false),
        });
        inner.sweeper.attach(Arc::downgrade(&inner), interval);
        MemoryBackend(inner)
    }
}

impl Default for MemoryBackend {
    fn default() -> Self {
        MemoryBackend::new(MemoryOptions::default())
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBackend")
            .field("entries", &self.0.shards.len())
            .finish_non_exhaustive()
    }
}

impl Inner {
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether `entry` may be seen. Has it swept if not.
    #[inline]
    pub(crate) fn is_visible(&self, entry: &Entry) -> bool {
        if entry.deadline().is_none() || !is_past(entry, self.clock.now()) {
            return true;
        }
        self.sweeper.nudge();
        false
    }

    fn stats(&self) -> Stats {
        let state = self.state.read();
        let (hits, misses) = self.shards.hits_and_misses();
        let mut stats = Stats::default();
        stats.entries = state.books.entries;
        stats.bytes = state.books.bytes;
        stats.revision = state.ordered.revision;
        stats.oldest_revision = state.log.floor();
        stats.hits = hits;
        stats.misses = misses;
        stats.commits = state.books.commits;
        stats.conflicts = state.books.conflicts;
        stats.expired = state.books.expired;
        stats.lineage = Some(self.lineage);
        stats
    }

    /// Compares both indexes, the deadlines and the counters with each other.
    fn check(&self, progress: &(dyn Fn(u64) + Send + Sync)) -> Result<CheckReport> {
        let state = self.state.read();
        let (tree, books) = (&state.ordered.tree, &state.books);
        let (mut entries, mut bytes, mut deadlines, mut wrong) = (0, 0, 0, None);
        tree.ascend(&[], None, &mut |entry| {
            entries += 1;
            bytes += size(entry);
            let hashed = self.shards.get(entry.prefix());
            if !hashed.is_some_and(|hashed| hashed.ptr_eq(entry)) {
                wrong = Some("an entry of the ordered index is not in the hash index");
            }
            if let Some(deadline) = entry.deadline() {
                deadlines += 1;
                if !books.deadlines.contains(&(deadline, Box::from(entry.prefix()))) {
                    wrong = Some("a deadline is not in the index of deadlines");
                }
            }
            progress(entries);
            if wrong.is_some() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        let counted = entries == books.entries && bytes == books.bytes;
        if wrong.is_none() && !(counted && self.shards.len() as u64 == entries) {
            wrong = Some("the indexes differ in size");
        }
        if wrong.is_none() && deadlines != books.deadlines.len() as u64 {
            wrong = Some("the index of deadlines names entries that have none");
        }
        match wrong {
            Some(message) => Err(Error::corrupt(message)),
            None => Ok(CheckReport::new(entries, entries + deadlines)),
        }
    }

    fn close(&self) {
        let mut state = self.state.write();
        if state.books.closed {
            return;
        }
        state.books.closed = true;
        self.closed.store(true, Ordering::Release);
        state.books.deadlines.clear();
        let tree = std::mem::take(&mut state.ordered.tree);
        self.shards.clear();
        drop(state);
        drop(tree);
        self.signal.notify();
        self.sweeper.nudge();
    }

    fn open_for(&self, operation: &'static str) -> Result<()> {
        if self.is_closed() {
            Err(Error::closed().during(operation))
        } else {
            Ok(())
        }
    }
}

impl ChangeSource for Inner {
    fn read_after(&self, after: Revision, limit: usize) -> Reply<'_, LogRead> {
        let read = self.state.read().log.read_after(after, limit);
        let nothing_left = matches!(&read, LogRead::Sets { up_to, .. } if *up_to <= after);
        if nothing_left && self.is_closed() {
            Reply::fail(Error::closed())
        } else {
            Reply::ready(read)
        }
    }

    fn published(&self) -> Revision {
        self.state.read().log.newest()
    }

    fn signal(&self) -> &Signal {
        &self.signal
    }
}

impl Read for MemoryBackend {
    #[inline]
    fn get<'a>(&'a self, key: &'a Key) -> Reply<'a, Option<Entry>> {
        let store = &*self.0;
        if store.is_closed() {
            return Reply::fail(Error::closed().during("get"));
        }
        Reply::ready(
            store
                .shards
                .get_counted(key.as_bytes(), |entry| store.is_visible(entry)),
        )
    }

    fn get_many<'a>(&'a self, keys: &'a [Key]) -> Reply<'a, Vec<Option<Entry>>> {
        let store = &*self.0;
        let admitted = store
            .open_for("get_many")
            .and_then(|()| admit_keys(&store.capabilities, keys));
        if let Err(error) = admitted {
            return Reply::fail(error.during("get_many"));
        }
        let mut entries = store.shards.get_all(keys.iter().map(Key::as_bytes));
        // One look at the clock: deadlines pass for all keys at once.
        if entries.iter().flatten().any(|entry| entry.deadline().is_some()) {
            let now = store.clock.now();
            for entry in &mut entries {
                if entry.take_if(|entry| is_past(entry, now)).is_some() {
                    store.sweeper.nudge();
                }
            }
        }
        Reply::ready(entries)
    }

    fn scan<'a>(&'a self, scan: &Scan) -> Result<Box<dyn Cursor + 'a>> {
        MemoryCursor::open(&self.0, scan, None)
    }
}

impl Backend for MemoryBackend {
    fn capabilities(&self) -> &Capabilities {
        &self.0.capabilities
    }

    fn apply(&self, batch: WriteBatch) -> Reply<'_, Outcome> {
        let store = &*self.0;
        match admit(&store.capabilities, &batch).and_then(|()| store.commit(&batch)) {
            Ok(Ok(revision)) => Reply::ready(Outcome::Committed(revision)),
            Ok(Err(conflict)) => Reply::ready(Outcome::Rejected(*conflict)),
            Err(error) => Reply::fail(error.during("apply")),
        }
    }

    fn snapshot(&self) -> Reply<'_, Arc<dyn Snapshot>> {
        if let Err(error) = self.0.open_for("snapshot") {
            return Reply::fail(error);
        }
        let view = self.0.state.read().ordered.clone();
        Reply::ready(Arc::new(MemorySnapshot {
            store: Arc::clone(&self.0),
            view,
        }))
    }

    fn watch(&self, spec: &WatchSpec) -> Result<Box<dyn Watcher>> {
        self.0.open_for("watch")?;
        admit_watch(&self.0.capabilities, spec).map_err(|error| error.during("watch"))?;
        let watcher = LogWatcher::new(Arc::clone(&self.0), spec).map_err(|error| error.during("watch"))?;
        Ok(Box::new(watcher))
    }

    fn sync(&self) -> Reply<'_, ()> {
        Reply::from(self.0.open_for("sync"))
    }

    fn stats(&self) -> Reply<'_, Stats> {
        Reply::from(self.0.open_for("stats").map(|()| self.0.stats()))
    }

    fn check<'a>(&'a self, progress: &'a (dyn Fn(u64) + Send + Sync)) -> Reply<'a, CheckReport> {
        let report = self.0.open_for("check").and_then(|()| self.0.check(progress));
        Reply::from(report.map_err(|error| error.during("check")))
    }

    fn close(&self) -> Reply<'_, ()> {
        self.0.close();
        Reply::ready(())
    }
}

/// Ends watches that are still held and the sweeper.
impl Drop for MemoryBackend {
    fn drop(&mut self) {
        self.0.close();
    }
}
