//! The store.

use std::fmt;
use std::sync::Arc;

use stead_core::kit::{LogWatcher, admit, admit_keys, admit_scan, admit_watch, judge};
use stead_core::{
    Backend, Capabilities, CheckReport, Cursor, Durability, Entry, Error, Fingerprint, Key, Outcome, Read,
    Reply, Result, Scan, Snapshot as AnySnapshot, Stats, WatchSpec, Watcher, WriteBatch,
};
use tokio::sync::oneshot;

use crate::cursor::{Origin, PageCursor};
use crate::group::Group;
use crate::queue::{Waiting, Work};
use crate::shared::Shared;
use crate::snapshot::{Snapshot, find};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Mutex, Ordering};
use crate::view::Held;
use crate::{EmbeddedOptions, Engine, check, committer, open};

/// A store over an ordered engine.
///
/// - Reads run on the caller's thread, from the newest view, and wait for nobody.
/// - `Durable` batches are committed by the store's own thread, all that wait in one engine commit, so an fsync never
///   runs on the caller's thread and N writers share it.
/// - `Buffered` batches commit on the caller's thread, unless another writer is at it: then they are handed to the
///   store's thread as well. They are made durable within the flush interval.
/// - After a failed write the handle is poisoned: it refuses writes until the store is opened anew. Reads go on.
///
/// # Cancellation
///
/// A batch is handed over by the call itself; dropping the reply takes nothing back.
///
/// # Closing
///
/// [`close`](Backend::close) commits what waits, ends snapshots and watches, and releases the files. Dropping the store
/// does the same, but makes the dropping thread wait for it: prefer `close` in async code.
pub struct Embedded<E: Engine> {
    shared: Arc<Shared<E>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<E: Engine> Embedded<E> {
    /// Opens the store in `engine`, or begins one if there is nothing in it.
    ///
    /// # Errors
    ///
    /// - `Corrupt`: what is in there is no store, is damaged, or was written by a newer format.
    /// - `Invalid`: there is no store and it was to be opened for reading only.
    /// - `Unavailable`: the engine failed.
    pub fn open(engine: E, options: EmbeddedOptions) -> Result<Arc<Self>> {
        let shared = Arc::new(open::open(engine, options)?);
        let thread = if shared.options.read_only {
            None
        } else {
            Some(committer::spawn(&shared)?)
        };
        Ok(Arc::new(Embedded {
            shared,
            thread: Mutex::new(thread),
        }))
    }

    /// The id that this store was given when it was made: two stores with the same one hold the same history.
    #[must_use]
    pub fn lineage(&self) -> u128 {
        self.shared.lineage
    }

    fn apply_inner(&self, batch: WriteBatch) -> Reply<'_, Outcome> {
        let shared = &*self.shared;
        let admitted = shared
            .view()
            .and_then(|held| admit(&shared.capabilities, &batch).map(|()| held));
        let held = match admitted {
            Ok(held) => held,
            Err(error) => return Reply::fail(error),
        };
        if batch.mutations().is_empty() && batch.id().is_none() {
            return Reply::from(self.judge_only(held, &batch));
        }
        drop(held);
        if let Err(error) = shared.check_poison() {
            return Reply::fail(error);
        }
        let durable = shared.capabilities.durability(batch.wanted_durability()) == Durability::Durable;
        let fingerprint = batch.id().map(|_| Fingerprint::of(&batch));
        // One that raises the revision may have to sync.
        let inline = !durable && batch.raised_to().is_none();
        if inline && let Some(result) = shared.commit_inline(&batch, fingerprint.as_ref()) {
            return Reply::from(result);
        }
        let (done, outcome) = oneshot::channel();
        let waiting = Box::new(Waiting {
            batch,
            fingerprint,
            durable,
            done,
        });
        if let Err(error) = shared.queue.push(Work::Batch(waiting)) {
            return Reply::fail(error);
        }
        Reply::pending(async move { outcome.await.unwrap_or_else(|_| Err(lost())) })
    }

    /// A batch that only asks is answered by the newest view, on read-only stores too.
    fn judge_only(&self, held: Arc<Held<E::View>>, batch: &WriteBatch) -> Result<Outcome> {
        let mut group = Group::new(held, self.shared.options.clock.now(), None);
        let conflict = judge(batch.preconditions(), &mut group)?;
        Ok(match conflict {
            Some(conflict) => {
                self.shared.counters.conflicts.fetch_add(1, Ordering::Relaxed);
                Outcome::Rejected(conflict)
            }
            None => Outcome::Committed(group.header.revision),
        })
    }

    fn sync_inner(&self) -> Reply<'_, ()> {
        let shared = &*self.shared;
        if let Err(error) = shared.view().map(drop).and_then(|()| shared.check_poison()) {
            return Reply::fail(error);
        }
        if shared.options.read_only {
            return Reply::ready(());
        }
        let (done, synced) = oneshot::channel();
        match shared.queue.push(Work::Sync(done)) {
            Ok(()) => Reply::pending(async move { synced.await.unwrap_or_else(|_| Err(lost())) }),
            Err(error) => Reply::fail(error),
        }
    }

    fn stats_inner(&self) -> Result<Stats> {
        let shared = &*self.shared;
        let header = shared.view()?.header;
        let disk_bytes = match shared.engine.read().as_ref() {
            Some(engine) => engine.disk_bytes()?,
            None => return Err(Error::closed()),
        };
        let counters = &shared.counters;
        let mut stats = Stats::default();
        stats.entries = header.entries;
        stats.bytes = header.bytes;
        stats.disk_bytes = disk_bytes;
        stats.revision = header.revision;
        stats.oldest_revision = header.floor;
        stats.hits = counters.hits();
        stats.misses = counters.misses();
        stats.commits = counters.commits.load(Ordering::Relaxed);
        stats.conflicts = counters.conflicts.load(Ordering::Relaxed);
        stats.expired = counters.expired.load(Ordering::Relaxed);
        stats.lineage = Some(shared.lineage);
        Ok(stats)
    }

    fn close_inner(&self) -> Reply<'_, ()> {
        let shared = &*self.shared;
        shared.hide();
        if shared.options.read_only {
            // Held to the end, so that a second close does not call released what the first is still releasing.
            let _closing = self.thread.lock();
            if !shared.ended.load(Ordering::SeqCst) {
                shared.end(Ok(()));
            }
            return Reply::ready(());
        }
        let (done, closed) = oneshot::channel();
        match shared.queue.close(Some(done)) {
            None => Reply::pending(async move { closed.await.unwrap_or_else(|_| Err(lost())) }),
            Some(_ended) => Reply::ready(()),
        }
    }
}

#[cold]
fn lost() -> Error {
    Error::unknown_outcome("the store's thread ended before it answered; open the store anew")
}

impl<E: Engine> Read for Embedded<E> {
    fn get<'a>(&'a self, key: &'a Key) -> Reply<'a, Option<Entry>> {
        let found = self.shared.view().and_then(|held| find(&self.shared, &held, key));
        Reply::from(found.map_err(|error| error.during("get")))
    }

    fn get_many<'a>(&'a self, keys: &'a [Key]) -> Reply<'a, Vec<Option<Entry>>> {
        let read = || {
            let held = self.shared.view()?;
            admit_keys(&self.shared.capabilities, keys)?;
            keys.iter()
                .map(|key| find(&self.shared, &held, key))
                .collect::<Result<Vec<_>>>()
        };
        Reply::from(read().map_err(|error: Error| error.during("get_many")))
    }

    fn scan<'a>(&'a self, scan: &Scan) -> Result<Box<dyn Cursor + 'a>> {
        self.shared
            .view()
            .and_then(|_| admit_scan(&self.shared.capabilities, scan))
            .map_err(|error| error.during("scan"))?;
        Ok(Box::new(PageCursor::new(self, scan)))
    }
}

impl<E: Engine> Backend for Embedded<E> {
    fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    fn apply(&self, batch: WriteBatch) -> Reply<'_, Outcome> {
        self.apply_inner(batch)
            .map_result(|result| result.map_err(|error| error.during("apply")))
    }

    fn snapshot(&self) -> Reply<'_, Arc<dyn AnySnapshot>> {
        let taken = Snapshot::take(&self.shared).map_err(|error| error.during("snapshot"));
        Reply::from(taken.map(|snapshot| Arc::new(snapshot) as Arc<dyn AnySnapshot>))
    }

    fn watch(&self, spec: &WatchSpec) -> Result<Box<dyn Watcher>> {
        let watcher = self
            .shared
            .view()
            .and_then(|_| admit_watch(&self.shared.capabilities, spec))
            .and_then(|()| {
                // Before the watcher looks where it begins, so that nothing behind that is missing.
                self.shared.ring.lock().keep();
                LogWatcher::new(Arc::clone(&self.shared), spec)
            });
        match watcher {
            Ok(watcher) => Ok(Box::new(watcher)),
            Err(error) => Err(error.during("watch")),
        }
    }

    fn sync(&self) -> Reply<'_, ()> {
        self.sync_inner()
            .map_result(|result| result.map_err(|error| error.during("sync")))
    }

    fn stats(&self) -> Reply<'_, Stats> {
        Reply::from(self.stats_inner().map_err(|error| error.during("stats")))
    }

    fn check<'a>(&'a self, progress: &'a (dyn Fn(u64) + Send + Sync)) -> Reply<'a, CheckReport> {
        Reply::from(check::check(&self.shared, progress).map_err(|error| error.during("check")))
    }

    fn close(&self) -> Reply<'_, ()> {
        self.close_inner()
            .map_result(|result| result.map_err(|error| error.during("close")))
    }
}

impl<E: Engine> Origin for Embedded<E> {
    type Engine = E;

    fn held(&self) -> Result<Arc<Held<E::View>>> {
        self.shared.view()
    }

    fn shared(&self) -> &Shared<E> {
        &self.shared
    }
}

impl<E: Engine> Drop for Embedded<E> {
    fn drop(&mut self) {
        self.shared.hide();
        let Some(thread) = self.thread.lock().take() else {
            if !self.shared.ended.load(Ordering::SeqCst) {
                self.shared.end(Ok(()));
            }
            return;
        };
        self.shared.queue.close(None);
        // A waker may drop the last handle on the store's own thread, which cannot wait for itself.
        if thread.thread().id() != thread::current().id() {
            // Who drops the store does not ask how it went.
            let _ = thread.join();
        }
    }
}

impl<E: Engine> fmt::Debug for Embedded<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded")
            .field("engine", &self.shared.capabilities.name)
            .field("revision", &self.shared.current.read().revision)
            .finish_non_exhaustive()
    }
}
