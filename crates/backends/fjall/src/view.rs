//! A read view, and how it reads.

use std::ops::Bound;
use std::sync::Arc;

use fjall::{Guard, Readable, Snapshot};
use stead_core::{Direction, Result};
use stead_embedded::{Keyspace, Outside, View, Visit};

use crate::engine::Shared;
use crate::error;

/// A snapshot of fjall.
pub struct FjallView {
    shared: Arc<Shared>,
    snapshot: Snapshot,
}

impl FjallView {
    pub(crate) fn new(shared: Arc<Shared>, snapshot: Snapshot) -> Self {
        FjallView { shared, snapshot }
    }

    fn visit_all(
        &self,
        records: impl Iterator<Item = Guard>,
        outside: &Outside,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        for record in records {
            match record.into_inner() {
                Ok((key, value)) => {
                    if outside.run(|| visit(&key, &value)).is_break() {
                        break;
                    }
                }
                Err(error) => return Err(self.shared.at(error)),
            }
        }
        Ok(())
    }
}

impl View for FjallView {
    fn get(&self, space: Keyspace, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.shared.with(|open| {
            error::guarded(|| {
                self.snapshot
                    .get(&open.spaces[space.index()], key)
                    .map_err(|error| self.shared.at(error))
            })
        })?;
        Ok(value.map(|value| read(&value)).is_some())
    }

    fn scan(
        &self,
        space: Keyspace,
        start: &[u8],
        end: Option<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        if end.is_some_and(|end| end <= start) {
            return Ok(());
        }
        let bounds = (
            Bound::Included(start),
            end.map_or(Bound::Unbounded, Bound::Excluded),
        );
        self.shared.with(|open| {
            let space = &open.spaces[space.index()];
            error::guarded_around(|outside| {
                let range = self.snapshot.range::<&[u8], _>(space, bounds);
                match direction {
                    Direction::Forward => self.visit_all(range, outside, visit),
                    Direction::Reverse => self.visit_all(range.rev(), outside, visit),
                }
            })
        })
    }
}
