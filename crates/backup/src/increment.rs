//! Making an increment: what changed since another backup.
//!
//! The store's log of changes names the keys, and the snapshot has what is under them. A store that orders its revisions
//! throughout has one log; where they are ordered within partitions only, each partition that moved since has one.

mod changes;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use stead_core::kit::Walk;
use stead_core::{
    Error, Extent, Key, KeyRange, Partition, Result, Revision, Snapshot, WatchEvent, WatchSpec,
};

use crate::attempt::Attempt;
use crate::chunk::{ChunkRef, Kind};
use crate::create::{HIDDEN, PAGE_ENTRIES, Taken, record_of, store_revision};
use crate::history;
use crate::manager::{BackupManager, Phase};
use crate::manifest::{Manifest, Reach};
use crate::partitions::{self, Listing, Reached};
use crate::records::{Record, Shape};
use crate::task::Task;
use crate::writer::Writer;
pub(crate) use changes::Change;
use changes::Changes;

/// Changed keys are kept in memory up to this weight in bytes. What is more is found when the log is read again.
pub(crate) const MOST_CHANGED_BYTES: usize = 48 << 20;
/// Values that are read together have about this many bytes.
const READ_BYTES: usize = 4 << 20;
/// Values count as at least this large when the number to read together is chosen.
const LEAST_WIDTH: usize = 4 << 10;
/// As many keys are read first, and up to twice as many each time: how large values are is seen then.
const FIRST_READ: usize = 128;
/// Reads that are under way at a time: two cores have something to do while what was read is written.
const READS_AT_A_TIME: usize = 3;
/// Between two reports of progress.
const REPORT_ENTRIES: u64 = 4096;

/// Something, or why an increment cannot have it.
type OrReason<T> = std::result::Result<T, &'static str>;

impl BackupManager {
    /// What changed since `parent`; or why that cannot be had.
    pub(crate) async fn increment(
        &self,
        view: &Arc<dyn Snapshot>,
        parent: &Manifest,
        attempt: &Arc<Attempt>,
    ) -> Result<OrReason<Taken>> {
        let capabilities = self.store.capabilities();
        if !capabilities.watch {
            return Ok(Err("the store keeps no log of changes"));
        }
        let mut increment = Increment {
            manager: self,
            view,
            writer: Writer::new(Shape::Increment, attempt),
            done: 0,
            reported: 0,
        };
        let upto = match (&parent.upto, capabilities.revision_order) {
            (Reach::Store(from), Extent::Store) => {
                let from = Revision::new(*from);
                match history::went(&*self.store, &**view, &parent.history, from).await? {
                    Ok(()) => increment.of_store(from).await?,
                    Err(reason) => return Ok(Err(reason)),
                }
            }
            (Reach::Partitions { chunk, .. }, Extent::Partition) => increment.of_partitions(chunk).await?,
            _ => return Ok(Err("the store orders its revisions in another way than before")),
        };
        Ok(upto.map(|upto| Taken {
            writer: increment.writer,
            from: Some(parent.upto.clone()),
            upto,
        }))
    }
}

/// An increment under way.
struct Increment<'a> {
    manager: &'a BackupManager,
    view: &'a Arc<dyn Snapshot>,
    writer: Writer,
    /// Keys that were read.
    done: u64,
    reported: u64,
}

impl Increment<'_> {
    /// What changed in a store that orders its revisions throughout.
    async fn of_store(&mut self, from: Revision) -> Result<OrReason<Reach>> {
        let to = store_revision(&**self.view)?;
        let changed = self.changed(&KeyRange::all(), from, to).await?;
        Ok(changed.map(|()| Reach::Store(to.get())))
    }

    /// What changed in each partition since it stood where the chunk says.
    async fn of_partitions(&mut self, chunk: &ChunkRef) -> Result<OrReason<Reach>> {
        let content = self.manager.repository.get_chunk(chunk, Kind::Partitions).await?;
        let mut before = partitions::Reader::new(&content);
        let mut listing = Listing::new(&**self.view);
        let mut reached = Reached::default();
        let (mut old, mut new) = (before.next()?, listing.next().await?);
        loop {
            let order = match (&old, &new) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((old, _)), Some(new)) => old.cmp(new),
            };
            let (mut was, mut is) = (None, None);
            if order.is_le() {
                was = std::mem::replace(&mut old, before.next()?);
            }
            if order.is_ge() {
                is = std::mem::replace(&mut new, listing.next().await?);
            }
            if let Some(partition) = &is {
                reached.push(partition, self.view.revision(partition));
            }
            // One that had nothing has everything anew. What it had before that is past its deadline or was removed, and
            // the backup before says so.
            match (was, is) {
                (Some((partition, from)), _) => {
                    let (range, to) = (KeyRange::partition(&partition), self.view.revision(&partition));
                    if let Err(reason) = self.changed(&range, from, to).await? {
                        return Ok(Err(reason));
                    }
                }
                (None, Some(partition)) => self.everything(&partition).await?,
                (None, None) => {}
            }
        }
        reached.finish(&mut self.writer).map(Ok)
    }

    /// Writes what a partition holds.
    async fn everything(&mut self, partition: &Partition) -> Result<()> {
        let capabilities = self.manager.store.capabilities();
        let mut walk =
            Walk::new(&**self.view, capabilities, KeyRange::partition(partition)).page_size(PAGE_ENTRIES);
        loop {
            let page = walk.page().await?;
            if page.is_empty() {
                return Ok(());
            }
            self.count(page.len(), 0);
            self.writer.push(page.into_iter().map(record_of)).await?;
        }
    }

    /// Writes what changed in `range` behind `from`, up to `to`.
    async fn changed(&mut self, range: &KeyRange, from: Revision, to: Revision) -> Result<OrReason<()>> {
        if to < from {
            return Err(Error::invalid(
                "the store stands behind the backup: it was replaced or went back; take a full backup",
            )
            .with("revision", to)
            .with("backup_revision", from));
        }
        let mut rest = (from < to).then(|| range.clone());
        while let Some(range) = rest {
            let buffer = self.manager.spare.changes.take();
            let mut changes = Changes::new(buffer, self.manager.most_changed_bytes);
            if let Err(reason) = self.read_log(&mut changes, &range, from, to).await? {
                return Ok(Err(reason));
            }
            let (changed, last_of_some) = changes.finish();
            rest = last_of_some.map(|last| range.after(&last));
            self.read_entries(changed).await?;
        }
        Ok(Ok(()))
    }

    /// Finds the keys of `range` that changed behind `from`, up to `to`.
    async fn read_log(
        &self,
        changes: &mut Changes,
        range: &KeyRange,
        from: Revision,
        to: Revision,
    ) -> Result<OrReason<()>> {
        let spec = WatchSpec::new(range.clone()).after(from);
        let mut watcher = self.manager.store.watch(&spec)?;
        loop {
            let page = watcher.page_up_to(to).await?;
            if page.is_empty() {
                break;
            }
            for event in page {
                let WatchEvent::Changes(set) = event else {
                    return Ok(Err(
                        "the store's log of changes does not reach back to the backup before",
                    ));
                };
                for change in set.changes {
                    if !change.key.partition_bytes().starts_with(HIDDEN) {
                        changes.add(change.key, change.kind, set.revision);
                    }
                }
            }
        }
        if watcher.position() < to {
            return Ok(Err("the store's log of changes does not reach the present"));
        }
        Ok(Ok(()))
    }

    /// Writes what the snapshot holds under the keys that changed.
    async fn read_entries(&mut self, mut all: Vec<(Key, Change)>) -> Result<()> {
        let most = self.manager.store.capabilities().limits.batch_operations;
        let (mut unread, mut widest) = (all.len(), LEAST_WIDTH);
        let mut changed = all.drain(..);
        let mut reads = VecDeque::new();
        let mut at_a_time = FIRST_READ;
        while unread > 0 {
            while reads.len() < READS_AT_A_TIME && changed.len() > 0 {
                let keys = changed.by_ref().take(at_a_time).collect();
                reads.push_back(Task::spawn(read(Arc::clone(self.view), keys)));
            }
            let Some(read) = reads.pop_front() else { break };
            let (records, width) = read.join().await?;
            widest = widest.max(width);
            at_a_time = (2 * at_a_time).min(READ_BYTES / widest).clamp(1, most);
            unread -= records.len();
            self.count(records.len(), unread);
            self.writer.push(records.into_iter().map(Ok)).await?;
        }
        drop(changed);
        self.manager.spare.changes.give_buffer(all);
        Ok(())
    }

    /// Counts keys that are read, and tells how far it is: of those still to read, as many as are known of.
    fn count(&mut self, read: usize, left: usize) {
        self.done += read as u64;
        if self.done - self.reported >= REPORT_ENTRIES || left == 0 {
            self.reported = self.done;
            let total = self.done + left as u64;
            self.manager.report(Phase::Reading, self.done, total);
        }
    }
}

/// What a snapshot holds under keys that changed, and the length of the longest value.
async fn read(view: Arc<dyn Snapshot>, changed: Vec<(Key, Change)>) -> Result<(Vec<Record>, usize)> {
    let (keys, changes): (Vec<Key>, Vec<Change>) = changed.into_iter().unzip();
    let entries = view.get_many(&keys).await?;
    let mut widest = 0;
    let found = keys.into_iter().zip(entries).zip(changes);
    let records = found.map(|((key, entry), change)| match entry {
        Some(entry) => {
            widest = widest.max(entry.value().len());
            Record {
                first: change.first.min(entry.revision()),
                ..Record::of(key, entry)
            }
        }
        None => change.removal(key),
    });
    let records = records.collect();
    Ok((records, widest))
}
