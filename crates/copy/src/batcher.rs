//! Writing to the target, in batches of bounded size.

use std::sync::Arc;

use bytes::Bytes;
use stead_core::{Backend, Durability, Entry, ErrorKind, Expiry, Extent, Key, Result, Revision, WriteBatch};

use crate::record::Record;

/// The most keys of a batch; fewer where the target's limit is lower.
const BATCH_OPERATIONS: usize = 4096;
/// What is written between two syncs: engines keep what is not on disk yet in memory or in files that grow.
const SYNC_BYTES: usize = 32 << 20;
/// How often a batch is handed over again whose outcome is not known. What it writes is the same the second time.
const ATTEMPTS: u32 = 4;

/// Gathers writes and hands them over.
pub(crate) struct Batcher {
    target: Arc<dyn Backend>,
    by_partition: bool,
    batch: WriteBatch,
    bytes: usize,
    limit_bytes: usize,
    limit_operations: usize,
    /// Behind what the batch commits.
    raise: Revision,
    unsynced: usize,
    /// Where the record belongs.
    record: Key,
}

impl Batcher {
    pub(crate) fn new(target: &Arc<dyn Backend>, batch_bytes: usize) -> Result<Self> {
        let capabilities = target.capabilities();
        let limits = &capabilities.limits;
        Ok(Batcher {
            target: Arc::clone(target),
            by_partition: capabilities.atomicity == Extent::Partition,
            batch: WriteBatch::new(),
            bytes: 0,
            // The record has a place in each batch.
            limit_bytes: batch_bytes.min(limits.batch_bytes.saturating_sub(RECORD_BYTES)),
            limit_operations: limits
                .batch_operations
                .saturating_sub(1)
                .clamp(1, BATCH_OPERATIONS),
            raise: Revision::ZERO,
            unsynced: 0,
            record: Record::key()?,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batch.mutations().is_empty()
    }

    /// Whether a write of so many bytes under `key` goes into the batch. Where not, flush it first.
    pub(crate) fn fits(&self, key: &Key, value_bytes: usize) -> bool {
        let Some(last) = self.batch.mutations().last() else {
            return true;
        };
        let same = !self.by_partition || last.key().partition_bytes() == key.partition_bytes();
        same && self.batch.mutations().len() < self.limit_operations
            && self.bytes + key.as_bytes().len() + value_bytes <= self.limit_bytes
    }

    /// Writes `entry`, behind the revision `raise` of the source.
    pub(crate) fn put(&mut self, key: Key, entry: &Entry, raise: Revision) {
        self.bytes += key.as_bytes().len() + entry.value().len();
        let expiry = entry.deadline().map_or(Expiry::Never, Expiry::At);
        let value = Bytes::copy_from_slice(entry.value());
        self.raise = self.raise.max(raise);
        self.batch = std::mem::take(&mut self.batch).put_with(key, value, expiry);
    }

    /// Deletes what is under `key`, behind the revision `raise` of the source.
    pub(crate) fn delete(&mut self, key: Key, raise: Revision) {
        self.bytes += key.as_bytes().len();
        self.raise = self.raise.max(raise);
        self.batch = std::mem::take(&mut self.batch).delete(key);
    }

    /// Forgets what was gathered: that of a step which was dropped or failed, and which begins anew.
    pub(crate) fn discard(&mut self) {
        self.batch = WriteBatch::new();
        self.bytes = 0;
        self.raise = Revision::ZERO;
    }

    /// Commits what was gathered, and `record` with it: in the same batch where the target can, else now and then, once
    /// what it stands for is safe.
    pub(crate) async fn flush(&mut self, record: Option<&Record>) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let mut batch = std::mem::take(&mut self.batch);
        if let (Some(record), false) = (record, self.by_partition) {
            batch = batch.put(self.record.clone(), record.encode());
        }
        let raise = std::mem::take(&mut self.raise);
        self.unsynced += std::mem::take(&mut self.bytes);
        self.apply(batch.raise_to(raise).durability(Durability::Buffered))
            .await?;
        if self.unsynced >= SYNC_BYTES {
            self.target.sync().await?;
            self.unsynced = 0;
            if let (Some(record), true) = (record, self.by_partition) {
                self.save(record).await?;
            }
        }
        Ok(())
    }

    /// Makes all that was written safe, and `record` behind it.
    pub(crate) async fn checkpoint(&mut self, record: &Record) -> Result<()> {
        self.target.sync().await?;
        self.unsynced = 0;
        self.save(record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let batch = WriteBatch::new().put(self.record.clone(), record.encode());
        self.apply(batch.durability(Durability::Durable)).await
    }

    /// Takes the record away: the copy is done. The store then stands behind `highest`.
    pub(crate) async fn end(&self, highest: Revision) -> Result<()> {
        self.target.sync().await?;
        let batch = WriteBatch::new().delete(self.record.clone()).raise_to(highest);
        self.apply(batch.durability(Durability::Durable)).await
    }

    /// Commits a batch that may be committed twice.
    async fn apply(&self, batch: WriteBatch) -> Result<()> {
        for _ in 1..ATTEMPTS {
            match self.target.apply(batch.clone()).await {
                Err(error) if error.kind() == ErrorKind::UnknownOutcome => {}
                outcome => return outcome?.committed().map(drop),
            }
        }
        self.target.apply(batch).await?.committed().map(drop)
    }
}

/// More than a record is long: the name of the source, a key in hexadecimal, two numbers.
const RECORD_BYTES: usize = 16 << 10;
