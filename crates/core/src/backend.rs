//! The traits that stores and layers implement.

use std::sync::Arc;

use crate::{
    Capabilities, Cursor, Entry, Key, KeyRange, Outcome, Partition, ReadExt, Reply, Result, Revision, Scan,
    WatchSpec, Watcher, WriteBatch,
};

/// Reading. Entries past their deadline are never seen.
pub trait Read: Send + Sync {
    /// The entry under `key`.
    ///
    /// # Errors
    ///
    /// A failure to read is an error and never `None`.
    fn get<'a>(&'a self, key: &'a Key) -> Reply<'a, Option<Entry>>;

    /// The entries under `keys`, in their order; a key that is named twice is answered twice. Of one instant within a
    /// partition.
    ///
    /// # Errors
    ///
    /// As [`get`](Read::get); one failure fails the call. `Invalid` for more keys than
    /// [`Limits::batch_operations`](crate::Limits::batch_operations).
    fn get_many<'a>(&'a self, keys: &'a [Key]) -> Reply<'a, Vec<Option<Entry>>>;

    /// The entries of a range in byte order.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a direction or reach that the backend does not declare.
    fn scan<'a>(&'a self, scan: &Scan) -> Result<Box<dyn Cursor + 'a>>;

    /// The partitions in `range` that hold a visible entry, in order, at most `limit` of them: how one finds everything
    /// where a scan may not go over partitions. Costs one short scan each, whatever they hold. Each is looked at in an
    /// instant of its own, but for a snapshot.
    ///
    /// What is given here scans over partitions. A backend that declares that it cannot has its own.
    ///
    /// # Errors
    ///
    /// As [`get`](Read::get).
    fn partitions<'a>(&'a self, range: &KeyRange, limit: usize) -> Reply<'a, Vec<Partition>> {
        let mut rest = range.clone();
        Reply::pending(async move {
            let mut partitions = Vec::new();
            while partitions.len() < limit && !rest.is_empty() {
                let scan = Scan::new(rest.clone()).keys_only().limit(1).page_size(1);
                let Some(first) = self.collect(&scan).await?.pop() else {
                    break;
                };
                let partition = first.key.partition();
                rest = rest.after_partition(&partition);
                partitions.push(partition);
            }
            Ok(partitions)
        })
    }
}

/// A read view at one revision per partition. Writers do not wait for it, and it never sees half a batch.
///
/// Deadlines pass in a snapshot too: it holds what was written, and time goes on.
pub trait Snapshot: Read {
    /// The revision at which `partition` is seen.
    fn revision(&self, partition: &Partition) -> Revision;
}

/// A store.
///
/// Everything is `Unsupported` that [`capabilities`](Backend::capabilities) does not declare, and everything but
/// `capabilities` is `Closed` after [`close`](Backend::close).
pub trait Backend: Read {
    /// What this store can do.
    fn capabilities(&self) -> &Capabilities;

    /// Commits a batch, or rejects it, atomically.
    ///
    /// # Errors
    ///
    /// - `Invalid`, `Unsupported`, `Full`: nothing was written.
    /// - `UnknownOutcome`: the write may or may not have happened.
    /// - `Unavailable`: nothing was written; a handle that was poisoned by an I/O error stays so until it is opened
    ///   anew.
    ///
    /// # Cancellation
    ///
    /// A batch is handed over by the call itself. Dropping the reply only drops the knowledge of its outcome.
    fn apply(&self, batch: WriteBatch) -> Reply<'_, Outcome>;

    /// A view of this instant.
    ///
    /// # Errors
    ///
    /// As [`Read::get`].
    fn snapshot(&self) -> Reply<'_, Arc<dyn Snapshot>>;

    /// Follows the changes of a range.
    ///
    /// # Errors
    ///
    /// `Invalid` when the beginning lies ahead of the store's revision: it belongs to another store.
    fn watch(&self, spec: &WatchSpec) -> Result<Box<dyn Watcher>>;

    /// Makes every write acknowledged so far as durable as [`Capabilities::durable`] says.
    ///
    /// # Errors
    ///
    /// `Unavailable` when that failed; the handle is then poisoned.
    fn sync(&self) -> Reply<'_, ()>;

    /// Numbers about the store, cheap enough to ask often.
    ///
    /// # Errors
    ///
    /// As [`Read::get`].
    fn stats(&self) -> Reply<'_, Stats>;

    /// Reads every record and index of the store and compares them with each other. In-process stores work on the
    /// caller's thread and for as long as it takes; `progress` gets the number of records read so far.
    ///
    /// # Errors
    ///
    /// `Corrupt` for the first thing that does not fit; other kinds where reading failed.
    fn check<'a>(&'a self, progress: &'a (dyn Fn(u64) + Send + Sync)) -> Reply<'a, CheckReport>;

    /// Syncs and ends the store. Waits for writes under way; later calls do nothing.
    ///
    /// # Errors
    ///
    /// As [`sync`](Backend::sync).
    fn close(&self) -> Reply<'_, ()>;
}

/// Something that wraps a store and is one.
pub trait Layer: Send + Sync {
    /// Puts this layer around `inner`.
    ///
    /// # Errors
    ///
    /// `Unsupported` when `inner` does not declare what the layer builds on.
    fn wrap(&self, inner: Arc<dyn Backend>) -> Result<Arc<dyn Backend>>;
}

/// Numbers about a store since it was opened, but for the sizes, which are of what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Entries held, those past their deadline included until they are swept.
    pub entries: u64,
    /// Bytes of keys and values held.
    pub bytes: u64,
    /// Bytes on disk, where there is a disk.
    pub disk_bytes: Option<u64>,
    /// The newest revision.
    pub revision: Revision,
    /// The lowest revision that a watch may begin after.
    pub oldest_revision: Revision,
    /// Point reads that found an entry.
    pub hits: u64,
    /// Point reads that found none.
    pub misses: u64,
    /// Batches committed.
    pub commits: u64,
    /// Batches rejected.
    pub conflicts: u64,
    /// Entries removed because their deadline had passed.
    pub expired: u64,
    /// Which store it is: a random number that it got when it was made and keeps for its life. `None` where that is not
    /// known.
    pub lineage: Option<u128>,
}

/// What a check read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// Entries.
    pub entries: u64,
    /// Records of all kinds, entries included.
    pub records: u64,
}

impl CheckReport {
    /// A report of so many `entries` among so many `records`.
    #[must_use]
    pub fn new(entries: u64, records: u64) -> Self {
        CheckReport { entries, records }
    }
}
