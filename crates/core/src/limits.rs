//! What is refused for its size. Checked here and nowhere else.

use crate::{Error, Mutation, Result, Revision, WriteBatch};

/// The sizes that a backend accepts. The lengths of partitions and paths are fixed in [`Key`](crate::Key).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest value in bytes: 16 MiB unless configured.
    pub value_bytes: usize,
    /// The largest batch in bytes, keys and values together: 64 MiB unless configured.
    pub batch_bytes: usize,
    /// The most mutations and preconditions in a batch, and the most keys of a `get_many`: 65,536 unless configured.
    pub batch_operations: usize,
    /// How deep a structured value may be nested: 128 unless configured. For those who encode values; a backend sees
    /// only bytes.
    pub nesting_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            value_bytes: 16 << 20,
            batch_bytes: 64 << 20,
            batch_operations: 65_536,
            nesting_depth: 128,
        }
    }
}

impl Limits {
    /// Checks every size in a batch.
    ///
    /// # Errors
    ///
    /// `Invalid`, naming what is too large and the limit.
    #[inline]
    pub fn check_batch(&self, batch: &WriteBatch) -> Result<()> {
        let operations = batch.preconditions().len() + batch.mutations().len();
        self.check_operations(operations)?;
        if let Some(revision) = batch.raised_to()
            && revision > Revision::HIGHEST_RAISE
        {
            return Err(
                Error::invalid("revision to raise the store to is higher than any store hands out")
                    .with("raise_to", revision)
                    .with("limit", Revision::HIGHEST_RAISE),
            );
        }
        let mut bytes = 0;
        for mutation in batch.mutations() {
            bytes += mutation.key().as_bytes().len();
            if let Mutation::Put { value, .. } = mutation {
                self.check_value(value.len())?;
                bytes += value.len();
            }
        }
        if bytes > self.batch_bytes {
            return Err(Error::invalid("batch is larger than the limit; split it")
                .with("size_bytes", bytes)
                .with("limit_bytes", self.batch_bytes));
        }
        Ok(())
    }

    /// Checks how many operations or keys a request holds.
    ///
    /// # Errors
    ///
    /// `Invalid` with the number and the limit.
    pub fn check_operations(&self, operations: usize) -> Result<()> {
        if operations > self.batch_operations {
            return Err(
                Error::invalid("batch has more operations than the limit; split it")
                    .with("operations", operations)
                    .with("limit", self.batch_operations),
            );
        }
        Ok(())
    }

    /// Checks the size of one value.
    ///
    /// # Errors
    ///
    /// `Invalid` with the size and the limit.
    pub fn check_value(&self, size_bytes: usize) -> Result<()> {
        if size_bytes > self.value_bytes {
            return Err(Error::invalid("value is larger than the limit")
                .with("size_bytes", size_bytes)
                .with("limit_bytes", self.value_bytes));
        }
        Ok(())
    }
}
