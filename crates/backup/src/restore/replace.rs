//! Replacing what a store holds, in one step.

use std::cmp::Ordering;

use stead_core::{Backend, Durability, Entry, Error, Expect, Expiry, Extent, Key, Result, WriteBatch};

use super::deadlines::Shifted;
use super::there::{There, same, value_of};
use super::{Restore, RestoreReport, apply};
use crate::manifest::BackupId;
use crate::records::Record;

impl Restore<'_> {
    /// Writes the difference in one batch.
    pub(super) async fn replace(&self, backup: BackupId) -> Result<RestoreReport> {
        let target = &**self.target;
        let capabilities = target.capabilities();
        if capabilities.atomicity == Extent::Partition && self.options.range.single_partition().is_none() {
            return Err(too_large("the target has no batches over partitions"));
        }
        let mut difference = Difference {
            batch: WriteBatch::new(),
            room: Room::of(target),
            report: self.empty_report(backup),
        };
        let mut merge = self.merge();
        let mut there = There::new(target, &self.options.range);
        let mut wanted = merge.next().await?;
        let mut found = there.next().await?;
        loop {
            let order = match (&wanted, &found) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(wanted), Some((key, _))) => wanted.key.cmp(key),
            };
            let mut old = None;
            if order.is_ge() {
                old = found.take();
                found = there.next().await?;
            }
            let mut new = None;
            if order.is_le() {
                new = wanted.take();
                wanted = merge.next().await?;
            }
            match new.map(|record| (self.shift.of(record.deadline), record)) {
                Some((Shifted::Expiry(expiry), record)) => difference.put(old, record, expiry)?,
                Some((Shifted::Passed, _)) => {
                    difference.report.expired += 1;
                    difference.remove(old)?;
                }
                None => difference.remove(old)?,
            }
        }
        if !self.options.dry_run {
            // Another writer who was faster gets a conflict here, and nothing is restored.
            let batch = difference.batch.raise_to(self.raise);
            apply(target, batch.durability(Durability::Durable)).await?;
        }
        Ok(difference.report)
    }
}

/// What makes of the store that there is the one that is wanted.
struct Difference {
    batch: WriteBatch,
    room: Room,
    report: RestoreReport,
}

impl Difference {
    /// The backup has nothing under the key of `old`.
    fn remove(&mut self, old: Option<(Key, Entry)>) -> Result<()> {
        let Some((key, entry)) = old else {
            return Ok(());
        };
        self.report.removed += 1;
        self.room.take(key.as_bytes().len())?;
        let batch = std::mem::take(&mut self.batch);
        self.batch = batch
            .expect(key.clone(), Expect::At(entry.revision()))
            .delete(key);
        Ok(())
    }

    /// The backup has `record`, and the store `old`.
    fn put(&mut self, old: Option<(Key, Entry)>, record: Record, expiry: Expiry) -> Result<()> {
        self.report.entries += 1;
        let value = value_of(&record)?;
        let expect = match old {
            Some((_, entry)) if same(&entry, &value, expiry) => return Ok(()),
            Some((_, entry)) => {
                self.report.changed += 1;
                Expect::At(entry.revision())
            }
            None => {
                self.report.added += 1;
                Expect::Absent
            }
        };
        self.room.take(record.key.as_bytes().len() + value.len())?;
        let batch = std::mem::take(&mut self.batch);
        self.batch = batch
            .expect(record.key.clone(), expect)
            .put_with(record.key, value, expiry);
        Ok(())
    }
}

/// How much still fits into the batch.
struct Room {
    operations: usize,
    bytes: usize,
}

impl Room {
    fn of(target: &dyn Backend) -> Self {
        let limits = &target.capabilities().limits;
        Room {
            operations: limits.batch_operations,
            bytes: limits.batch_bytes,
        }
    }

    fn take(&mut self, bytes: usize) -> Result<()> {
        let left = self.operations.checked_sub(2).zip(self.bytes.checked_sub(bytes));
        let Some((operations, bytes)) = left else {
            return Err(too_large("the difference is larger than a batch may be"));
        };
        *self = Room { operations, bytes };
        Ok(())
    }
}

fn too_large(why: &'static str) -> Error {
    Error::unsupported(
        "the restore cannot be done in one step, and would leave neither the old nor the new state if it were ended; \
         restore into an empty store and switch to that",
    )
    .with("reason", why)
}
