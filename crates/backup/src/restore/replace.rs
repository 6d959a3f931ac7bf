//! Replacing what a store holds, in one step.
//!
//! The difference is looked for first. Where it fits into a batch, that is the step; else a second store is filled and
//! switched to.

use std::cmp::Ordering;

use bytes::Bytes;
use stead_core::{Backend, Durability, Entry, Error, Expect, Expiry, Extent, Key, Result, WriteBatch};

use super::deadlines::Shifted;
use super::staging::Staging;
use super::there::{There, same, value_of};
use super::{Restore, RestoreReport, RestoreWay, apply};
use crate::manifest::BackupId;
use crate::records::Record;

impl Restore<'_> {
    /// Makes of what the target holds what the backup says.
    pub(super) async fn replace(
        &self,
        backup: BackupId,
        staging: Option<Box<dyn Staging>>,
    ) -> Result<RestoreReport> {
        // Who only wants to know learns all of it; who cannot do it otherwise need not look on.
        let look_on = self.options.dry_run || staging.is_some();
        let difference = self.difference(backup, look_on).await?;
        let (batch, mut report) = (difference.batch, difference.report);
        report.way = match (&batch, &staging) {
            (Ok(_), _) => RestoreWay::Batch,
            (Err(_), Some(_)) => RestoreWay::Switch,
            (Err(_), None) => RestoreWay::Impossible,
        };
        if self.options.dry_run {
            if let (RestoreWay::Switch, Some(staging)) = (report.way, &staging) {
                staging.check()?;
            }
            return Ok(report);
        }
        match (batch, staging) {
            (Ok(batch), _) => {
                // Another writer who was faster gets a conflict here, and nothing is restored.
                let batch = batch.raise_to(self.raise).durability(Durability::Durable);
                report.revision = apply(&**self.target, batch).await?;
                Ok(report)
            }
            (Err(_), Some(staging)) => self.switch(staging, backup, report).await,
            (Err(why), None) => Err(too_large(why)),
        }
    }

    /// What makes of the store that there is the one that is wanted. Without `look_on` it is not counted beyond a batch.
    async fn difference(&self, backup: BackupId, look_on: bool) -> Result<Difference> {
        let target = &**self.target;
        let capabilities = target.capabilities();
        let over_partitions =
            capabilities.atomicity == Extent::Partition && self.selection.range.single_partition().is_none();
        let mut difference = Difference {
            batch: if over_partitions {
                Err("the target has no batches over partitions")
            } else {
                Ok(WriteBatch::new())
            },
            room: Room::of(target),
            report: self.empty_report(backup),
        };
        let mut merge = self.merge();
        let mut there = There::new(target, self.selection);
        let mut wanted = merge.next().await?;
        let mut found = there.next().await?;
        while look_on || difference.batch.is_ok() {
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
                    difference.remove(old);
                }
                None => difference.remove(old),
            }
        }
        Ok(difference)
    }
}

/// What makes of the store that there is the one that is wanted.
struct Difference {
    /// As a batch, or why it is none.
    batch: std::result::Result<WriteBatch, &'static str>,
    room: Room,
    report: RestoreReport,
}

impl Difference {
    /// The backup has nothing under the key of `old`.
    fn remove(&mut self, old: Option<(Key, Entry)>) {
        let Some((key, entry)) = old else {
            return;
        };
        self.report.removed += 1;
        self.add(key.as_bytes().len(), |batch| {
            batch
                .expect(key.clone(), Expect::At(entry.revision()))
                .delete(key)
        });
    }

    /// The backup has `record`, and the store `old`.
    fn put(&mut self, old: Option<(Key, Entry)>, record: Record, expiry: Expiry) -> Result<()> {
        self.report.entries += 1;
        let (key, value) = value_of(record)?;
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
        self.add(key.as_bytes().len() + value.len(), |batch| {
            // As a part of its chunk it would keep all of that in memory until the batch is written.
            let value = Bytes::copy_from_slice(&value);
            batch.expect(key.clone(), expect).put_with(key, value, expiry)
        });
        Ok(())
    }

    /// Adds to the batch, or lets go of it when there is no more room.
    fn add(&mut self, bytes: usize, more: impl FnOnce(WriteBatch) -> WriteBatch) {
        let Ok(batch) = &mut self.batch else {
            return;
        };
        self.batch = if self.room.take(bytes) {
            Ok(more(std::mem::take(batch)))
        } else {
            Err("the difference is larger than a batch may be")
        };
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

    /// Whether there is room for one more.
    fn take(&mut self, bytes: usize) -> bool {
        let left = self.operations.checked_sub(2).zip(self.bytes.checked_sub(bytes));
        let Some((operations, bytes)) = left else {
            return false;
        };
        *self = Room { operations, bytes };
        true
    }
}

fn too_large(why: &'static str) -> Error {
    Error::unsupported(
        "the restore cannot be done in one step, and would leave neither the old nor the new state if it were ended; \
         restore by the URL of a store in a directory, which is switched, or into an empty store, such as another schema, \
         prefix or store in memory, and open that one from then on",
    )
    .with("reason", why)
}
