//! redb as an engine.

use std::cell::Cell;
use std::ops::{Bound, ControlFlow};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::OnceLock;

use redb::{
    Builder, Database, Durability, ReadOnlyDatabase, ReadOnlyTable, ReadTransaction, ReadableDatabase,
    ReadableTable, TableDefinition, TableError, TableHandle,
};
use stead_core::{Direction, Error, Result, Strength};
use stead_embedded::{Engine, Keyspace, View, Visit, WriteSet};

use crate::files::Files;
use crate::{RedbConfig, error};

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;
type Table = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// The table of a keyspace.
const fn definition(space: Keyspace) -> Definition {
    TableDefinition::new(space.as_str())
}

/// A redb database with one table for each keyspace.
pub struct RedbEngine {
    database: Handle,
    data_file: PathBuf,
}

enum Handle {
    Writable(Database),
    ReadOnly(ReadOnlyDatabase),
    Closed,
}

impl RedbEngine {
    /// Opens the database in the directory that `config` names, or makes one.
    ///
    /// # Errors
    ///
    /// As [`open`](crate::open).
    pub fn open(config: &RedbConfig) -> Result<Self> {
        let files = Files::in_directory(config.path());
        error::guarded(|| Self::open_files(config, &files)).map_err(|error| error.during("open"))
    }

    fn open_files(config: &RedbConfig, files: &Files) -> Result<Self> {
        files.directory.prepare(!config.is_read_only())?;
        let mut builder = Builder::new();
        builder.set_cache_size(config.cache_bytes());
        let database = if config.is_read_only() {
            let database = builder
                .open_read_only(&files.data)
                .map_err(|error| error::database(error, &files.data))?;
            Handle::ReadOnly(database)
        } else {
            let database = open_writable(&mut builder, files)?;
            make_tables(&database)
                .map_err(|error| error.with("file", files.data.display()).during("open"))?;
            files.directory.mark()?;
            Handle::Writable(database)
        };
        Ok(RedbEngine {
            database,
            data_file: files.data.clone(),
        })
    }
}

fn open_writable(builder: &mut Builder, files: &Files) -> Result<Database> {
    let repaired = Rc::new(Cell::new(false));
    let seen = Rc::clone(&repaired);
    builder.set_repair_callback(move |_| seen.set(true));
    let open = |builder: &Builder| {
        builder
            .create_file(files.lock_data()?)
            .map_err(|error| error::database(error, &files.data))
    };
    let database = open(builder)?;
    if !repaired.get() {
        return Ok(database);
    }
    // A repaired database is closed once before anything is written to it: the close records what the repair found, so
    // that another crash does not have to be repaired from the same state again.
    drop(database);
    open(builder)
}

/// Makes the tables of a new database, so that views find them. All are made in one commit: a database that has others
/// or only some of them is not ours.
fn make_tables(database: &Database) -> Result<()> {
    let there: Vec<String> = {
        let read = database.begin_read().map_err(error::transaction)?;
        let tables = read.list_tables().map_err(error::storage)?;
        tables.map(|table| table.name().to_owned()).collect()
    };
    if Keyspace::ALL
        .iter()
        .all(|space| there.iter().any(|name| name == space.as_str()))
    {
        return Ok(());
    }
    if !there.is_empty() {
        return Err(Error::corrupt(
            "the file is a redb database, but not that of a stead store",
        ));
    }
    let mut write = database.begin_write().map_err(error::transaction)?;
    write.set_two_phase_commit(true);
    for space in Keyspace::ALL {
        write.open_table(definition(space)).map_err(error::table)?;
    }
    write.commit().map_err(error::commit)
}

impl Engine for RedbEngine {
    type View = RedbView;

    fn name(&self) -> &'static str {
        "redb"
    }

    fn strengths(&self) -> (Strength, Strength) {
        // What redb commits without durability is in the memory of the process until the next durable commit.
        (Strength::Volatile, Strength::PowerLoss)
    }

    fn view(&self) -> Result<RedbView> {
        let begin = || match &self.database {
            Handle::Writable(database) => database.begin_read().map_err(error::transaction),
            Handle::ReadOnly(database) => database.begin_read().map_err(error::transaction),
            Handle::Closed => Err(Error::closed()),
        };
        Ok(RedbView {
            transaction: error::guarded(begin)?,
            tables: Default::default(),
        })
    }

    fn commit(&self, writes: &WriteSet, sync: bool) -> Result<()> {
        let Handle::Writable(database) = &self.database else {
            return Err(Error::unsupported("the store is open for reading only"));
        };
        error::guarded(|| write(database, writes, sync))
    }

    fn disk_bytes(&self) -> Result<Option<u64>> {
        std::fs::metadata(&self.data_file)
            .map(|metadata| Some(metadata.len()))
            .map_err(|cause| error::file(cause, &self.data_file))
    }

    fn close(mut self) -> Result<()> {
        self.release()
    }
}

impl RedbEngine {
    /// Dropping a redb database closes it, whoever still holds views: those answer that it is closed.
    fn release(&mut self) -> Result<()> {
        let database = std::mem::replace(&mut self.database, Handle::Closed);
        error::guarded(|| {
            drop(database);
            Ok(())
        })
    }
}

impl Drop for RedbEngine {
    fn drop(&mut self) {
        // Who does not close the engine does not ask how it went.
        let _ = self.release();
    }
}

/// One transaction with all of `writes`.
fn write(database: &Database, writes: &WriteSet, sync: bool) -> Result<()> {
    let mut transaction = database.begin_write().map_err(error::transaction)?;
    if sync {
        // In one phase, a crash in the middle of a commit can make the next open choose between two states by
        // their checksums alone.
        transaction.set_two_phase_commit(true);
    } else {
        transaction
            .set_durability(Durability::None)
            .map_err(|error| Error::internal("redb refuses a commit without durability").because(error))?;
    }
    for space in Keyspace::ALL {
        if writes.len(space) == 0 {
            continue;
        }
        let mut table = transaction.open_table(definition(space)).map_err(error::table)?;
        for (key, value) in writes.iter(space) {
            match value {
                Some(value) => drop(table.insert(key, value).map_err(error::storage)?),
                None => drop(table.remove(key).map_err(error::storage)?),
            }
        }
    }
    transaction.commit().map_err(error::commit)
}

/// A read transaction of redb, with its tables as they are wanted.
pub struct RedbView {
    transaction: ReadTransaction,
    /// Opening a table takes a look-up in redb's tree of tables: most views need one or two.
    tables: [OnceLock<Table>; Keyspace::ALL.len()],
}

impl RedbView {
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
        let mut range =
            error::guarded(|| ReadableTable::range::<&[u8]>(table, bounds).map_err(error::storage))?;
        loop {
            let next = error::guarded(|| {
                let next = match direction {
                    Direction::Forward => range.next(),
                    Direction::Reverse => range.next_back(),
                };
                next.transpose().map_err(error::storage)
            })?;
            let Some((key, value)) = next else { return Ok(()) };
            let (key, value) = error::guarded(|| Ok((key.value(), value.value())))?;
            if let ControlFlow::Break(()) = visit(key, value) {
                return Ok(());
            }
        }
    }
}
