//! Copying and moving the values of a scope.

use stead_core::{
    Entry, Error, Expect, Expiry, Extent, Item, Key, Outcome, ReadExt, Result, Scan, WriteBatch,
};

use crate::inner::{Inner, dress};
use crate::place::Place;

/// Whether the values stay where they were as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transfer {
    Copy,
    Move,
}

const ATTEMPTS: u32 = 64;

impl Inner {
    /// Copies or moves every value of `from` to the same key of `to`, as it is stored and with its deadline. Returns how
    /// many there were.
    pub(crate) async fn transfer(&self, from: &Place, to: &Place, transfer: Transfer) -> Result<u64> {
        if from == to {
            return Err(Error::invalid("source and target are the same scope"));
        }
        let atomicity = self.store.capabilities().atomicity;
        if atomicity == Extent::Partition && from.partition() != to.partition() {
            return Err(Error::unsupported(
                "this backend commits one partition at a time, and the two scopes lie in two; copy the values one by one",
            )
            .with("backend", self.store.capabilities().name));
        }
        // Ephemeral values go over in their own store; nobody changes the home of a key meanwhile.
        let _locks = match &self.ephemeral {
            Some(_) => self.stripes.lock_all().await,
            None => Vec::new(),
        };
        let mut attempts = self.attempts(ATTEMPTS);
        loop {
            if let Some(moved) = self.try_transfer(from, to, transfer).await? {
                return Ok(moved);
            }
            attempts.lost().await?;
        }
    }

    /// One attempt; `None` when somebody changed the source meanwhile.
    async fn try_transfer(&self, from: &Place, to: &Place, transfer: Transfer) -> Result<Option<u64>> {
        let range = from.range("")?;
        // So many do not fit anyhow: they are counted for the message, but not held in memory.
        let most = self.store.capabilities().limits.batch_operations;
        let scan = Scan::new(range.clone()).limit(most);
        let kept = self.store.collect(&scan).await?;
        if kept.len() == most {
            return Err(too_large(self.store.count(&range).await?).with("limit_operations", most));
        }
        let passing = match &self.ephemeral {
            Some(ephemeral) => ephemeral.store.collect(&scan).await?,
            None => Vec::new(),
        };
        let kept = paired(kept, from, to)?;
        let passing = paired(passing, from, to)?;
        let total = (kept.len() + passing.len()) as u64;
        if !kept.is_empty() || !passing.is_empty() {
            let batch = self.batch(&kept, &passing, transfer)?;
            let batch = dress(
                batch.expect_count(range, kept.len() as u64),
                self.durability,
                None,
            );
            if let Outcome::Rejected(_) = self.store.apply(batch).await? {
                return Ok(None);
            }
        }
        if let Some(ephemeral) = &self.ephemeral {
            let batch = self.batch(&passing, &kept, transfer)?;
            if !batch.mutations().is_empty() && !ephemeral.store.apply(batch).await?.is_committed() {
                // The only one who changes ephemeral values under these locks is time: what expired needs no copy.
                return Err(Error::conflict(
                    "an ephemeral value expired while its scope was copied; the others were copied",
                ));
            }
        }
        Ok(Some(total))
    }

    /// The batch for one of the two stores: what comes to it, and the keys in it that the other store gets.
    fn batch(&self, coming: &[Pair], leaving: &[Pair], transfer: Transfer) -> Result<WriteBatch> {
        let per_entry = match transfer {
            Transfer::Copy => 2,
            Transfer::Move => 3,
        };
        let limits = self.store.capabilities().limits;
        let operations = coming.len() * per_entry + leaving.len() + 1;
        let bytes: usize = coming.iter().map(|pair| pair.entry.value().len()).sum();
        if operations > limits.batch_operations || bytes > limits.batch_bytes {
            return Err(too_large(coming.len() as u64)
                .with("operations", operations)
                .with("limit_operations", limits.batch_operations)
                .with("size_bytes", bytes)
                .with("limit_bytes", limits.batch_bytes));
        }
        let mut batch = WriteBatch::new();
        for pair in coming {
            let expiry = pair.entry.deadline().map_or(Expiry::Never, Expiry::At);
            let value = bytes::Bytes::copy_from_slice(pair.entry.value());
            batch = batch
                .expect(pair.from.clone(), Expect::At(pair.entry.revision()))
                .put_with(pair.to.clone(), value, expiry);
            if transfer == Transfer::Move {
                batch = batch.delete(pair.from.clone());
            }
        }
        Ok(leaving
            .iter()
            .fold(batch, |batch, pair| batch.delete(pair.to.clone())))
    }
}

fn too_large(keys: u64) -> Error {
    Error::invalid("scope is too large to be copied in one batch; copy its keys in several")
        .with("keys", keys)
}

/// An entry, where it lies and where it goes.
struct Pair {
    from: Key,
    to: Key,
    entry: Entry,
}

fn paired(items: Vec<Item>, from: &Place, to: &Place) -> Result<Vec<Pair>> {
    let with_entries = items
        .into_iter()
        .filter_map(|item| item.entry.map(|entry| (item.key, entry)));
    with_entries
        .map(|(key, entry)| {
            Ok(Pair {
                to: to.key(from.text(&key)?)?,
                from: key,
                entry,
            })
        })
        .collect()
}
