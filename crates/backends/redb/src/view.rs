//! A read view, and how it reads.

use std::ops::Bound;
use std::sync::OnceLock;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, TableError};
use stead_core::{Direction, Result};
use stead_embedded::{Keyspace, View, Visit};

use crate::engine::definition;
use crate::error;

type Table = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// A read transaction of redb, with its tables as they are wanted.
pub struct RedbView {
    transaction: ReadTransaction,
    /// Opening a table takes a look-up in redb's tree of tables: most views need one or two.
    tables: [OnceLock<Table>; Keyspace::ALL.len()],
}

impl RedbView {
    pub(crate) fn new(transaction: ReadTransaction) -> Self {
        RedbView {
            transaction,
            tables: Default::default(),
        }
    }

    /// The table of a keyspace, or `None` in a database that has none yet.
    fn table(&self, space: Keyspace) -> Result<Option<&Table>> {
        let place = &self.tables[space.index()];
        if let Some(table) = place.get() {
            return Ok(Some(table));
        }
        error::guarded(|| match self.transaction.open_table(definition(space)) {
            Ok(table) => Ok(Some(place.get_or_init(|| table))),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error::table(error)),
        })
    }
}

impl View for RedbView {
    fn get(&self, space: Keyspace, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let Some(table) = self.table(space)? else {
            return Ok(false);
        };
        match error::guarded(|| ReadableTable::get(table, key).map_err(error::storage))? {
            Some(value) => {
                read(error::guarded(|| Ok(value.value()))?);
                Ok(true)
            }
            None => Ok(false),
        }
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
        let Some(table) = self.table(space)? else {
            return Ok(());
        };
        let bounds = (
            Bound::Included(start),
            end.map_or(Bound::Unbounded, Bound::Excluded),
        );
        error::guarded_around(|outside| {
            let mut range = ReadableTable::range::<&[u8]>(table, bounds).map_err(error::storage)?;
            loop {
                let next = match direction {
                    Direction::Forward => range.next(),
                    Direction::Reverse => range.next_back(),
                };
                // By reference: they are large, and moving them took 80 of 1,220 instructions.
                match next {
                    Some(Ok((ref key, ref value))) => {
                        let (key, value) = (key.value(), value.value());
                        if outside.run(|| visit(key, value)).is_break() {
                            return Ok(());
                        }
                    }
                    Some(Err(error)) => return Err(error::storage(error)),
                    None => return Ok(()),
                }
            }
        })
    }
}
