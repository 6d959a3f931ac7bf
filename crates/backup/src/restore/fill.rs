//! Filling an empty store.

use std::sync::Arc;

use bytes::Bytes;
use stead_core::{
    Backend, BackendExt as _, Durability, Expiry, Extent, Key, KeyRange, Mutation, Result, Revision,
    WriteBatch,
};

use super::deadlines::Shifted;
use super::there::value_of;
use super::{Restore, RestoreReport, apply, mark_of};
use crate::manager::Phase;
use crate::manifest::BackupId;
use crate::merge::thin_out;
use crate::records::Record;
use crate::task::Task;

/// Entries of a batch.
const BATCH_ENTRIES: usize = 4096;
/// Bytes of a batch.
const BATCH_BYTES: usize = 2 << 20;
/// Bytes between two syncs.
const SYNC_BYTES: usize = 32 << 20;

impl Restore<'_> {
    /// How many entries an empty target would get.
    pub(super) async fn count(&self, backup: BackupId) -> Result<RestoreReport> {
        let mut report = self.empty_report(backup);
        let mut merge = self.merge();
        while let Some(record) = merge.next().await? {
            match self.shift.of(record.deadline) {
                Shifted::Passed => report.expired += 1,
                Shifted::Expiry(_) => report.entries += 1,
            }
        }
        report.added = report.entries;
        Ok(report)
    }

    /// About how many entries the target will get, as far as it is known.
    fn expected(&self) -> u64 {
        let full = self.chosen.chain.first();
        match full {
            Some(full) if self.selection.is_everything() => full.counts.entries,
            _ => 0,
        }
    }

    /// Leaves out what has passed its deadline. How much that is.
    fn leave_out_expired(&self, block: &mut Vec<Record>) -> u64 {
        if block.iter().all(|record| record.deadline.is_none()) {
            return 0;
        }
        let read = block.len();
        thin_out(block, |record| {
            matches!(self.shift.of(record.deadline), Shifted::Expiry(_))
        });
        (read - block.len()) as u64
    }

    /// Fills an empty target, and compares.
    pub(super) async fn fill(&self, backup: BackupId, mark: Key, begun: bool) -> Result<RestoreReport> {
        let target = &**self.target;
        let mark_value = mark_of(self.repository, backup);
        let marked = WriteBatch::new()
            .put(mark.clone(), mark_value)
            .durability(Durability::Durable);
        apply(target, marked).await?;
        if begun {
            clear(target, &mark).await?;
        }
        let mut report = self.empty_report(backup);
        let mut filler = Filler::new(self.target, self.raise, self.expected());
        let mut merge = self.merge();
        let total = self
            .chosen
            .chain
            .iter()
            .map(|manifest| manifest.counts.entries)
            .sum();
        loop {
            let mut block = merge.block().await?;
            if block.is_empty() {
                break;
            }
            report.expired += self.leave_out_expired(&mut block);
            for record in block {
                let Shifted::Expiry(expiry) = self.shift.of(record.deadline) else {
                    continue;
                };
                let (key, value) = value_of(record)?;
                report.entries += 1;
                filler.put(key, value, expiry).await?;
            }
            self.options.report(Phase::Restoring, report.entries, total);
        }
        filler.finish().await?;
        target.sync().await?;
        self.compare(report.entries).await?;
        let done = WriteBatch::new()
            .delete(mark)
            .raise_to(self.raise)
            .durability(Durability::Durable);
        report.revision = apply(target, done).await?;
        report.added = report.entries;
        Ok(report)
    }
}

/// Writes to an empty target, in batches: one is written while the next is filled.
pub(super) struct Filler {
    target: Arc<dyn Backend>,
    by_partition: bool,
    raise: Revision,
    /// What the next batch gets.
    puts: Vec<Mutation>,
    bytes: usize,
    most_bytes: usize,
    most_operations: usize,
    unsynced: usize,
    writing: Option<Task<()>>,
    /// How many entries there are to come, until the target was told.
    expected: u64,
}

impl Filler {
    pub(super) fn new(target: &Arc<dyn Backend>, raise: Revision, expected: u64) -> Self {
        let capabilities = target.capabilities();
        Filler {
            by_partition: capabilities.atomicity == Extent::Partition,
            raise,
            puts: Vec::new(),
            bytes: 0,
            most_bytes: BATCH_BYTES.min(capabilities.limits.batch_bytes),
            most_operations: BATCH_ENTRIES.min(capabilities.limits.batch_operations),
            unsynced: 0,
            writing: None,
            expected,
            target: Arc::clone(target),
        }
    }

    pub(super) async fn put(&mut self, key: Key, value: Bytes, expiry: Expiry) -> Result<()> {
        let bytes = key.as_bytes().len() + value.len();
        let other = self.by_partition
            && self
                .puts
                .last()
                .is_some_and(|last| last.key().partition_bytes() != key.partition_bytes());
        if other || self.bytes + bytes > self.most_bytes || self.puts.len() >= self.most_operations {
            self.flush().await?;
        }
        self.bytes += bytes;
        self.puts.push(Mutation::Put { key, value, expiry });
        Ok(())
    }

    /// Writes what is left, and waits for it.
    pub(super) async fn finish(mut self) -> Result<()> {
        self.flush().await?;
        self.written().await
    }

    /// Has the batch written, once the one before is.
    async fn flush(&mut self) -> Result<()> {
        if self.puts.is_empty() {
            return Ok(());
        }
        self.written().await?;
        self.unsynced += std::mem::take(&mut self.bytes);
        let sync = self.unsynced >= SYNC_BYTES;
        if sync {
            self.unsynced = 0;
        }
        let next = Vec::with_capacity(self.puts.len());
        let puts = std::mem::replace(&mut self.puts, next);
        let (target, raise) = (Arc::clone(&self.target), self.raise);
        let following = std::mem::take(&mut self.expected).saturating_sub(puts.len() as u64);
        self.writing = Some(Task::spawn(async move {
            let batch = WriteBatch::of(puts).raise_to(raise).to_follow(following);
            apply(&*target, batch.durability(Durability::Buffered)).await?;
            if sync {
                target.sync().await?;
            }
            Ok(())
        }));
        Ok(())
    }

    async fn written(&mut self) -> Result<()> {
        match self.writing.take() {
            Some(writing) => writing.join().await,
            None => Ok(()),
        }
    }
}

/// Removes what an interrupted restore wrote.
async fn clear(target: &dyn Backend, mark: &Key) -> Result<()> {
    let partition = mark.partition();
    let range = KeyRange::all();
    for range in [range.before(mark), range.after_partition(&partition)] {
        target.clear_with(&range, Some(Durability::Buffered)).await?;
    }
    Ok(())
}
