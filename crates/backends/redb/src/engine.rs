//! redb as an engine.

use std::cell::Cell;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::OnceLock;

use redb::{
    Builder, Database, DatabaseError, Durability, ReadOnlyDatabase, ReadOnlyTable, ReadTransaction,
    ReadableDatabase, ReadableTable, StorageBackend, TableDefinition, TableError, TableHandle,
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
    /// Where the database is, unless it is in storage of the caller's own.
    data_file: Option<PathBuf>,
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
        let files = Files::in_directory(&config.path);
        error::guarded(|| Self::open_files(config, &files)).map_err(|error| error.during("open"))
    }

    fn open_files(config: &RedbConfig, files: &Files) -> Result<Self> {
        files.directory.prepare(!config.read_only)?;
        let mut builder = Builder::new();
        builder.set_cache_size(config.cache_bytes);
        let database = if config.read_only {
            let database = builder
                .open_read_only(&files.data)
                .map_err(|error| error::database(error, &files.data))?;
            Handle::ReadOnly(database)
        } else {
            let create = |builder: &Builder| Ok(builder.create_file(files.lock_data()?));
            let database = open_writable(builder, &files.data, &create)?;
            files.directory.mark()?;
            Handle::Writable(database)
        };
        Ok(RedbEngine {
            database,
            data_file: Some(files.data.clone()),
        })
    }

    /// Opens the database in storage of the caller's own, or makes one in it: a disk that is simulated, recorded or made
    /// to fail. There is no directory, marker or lock; [`RedbConfig::path`] only names the storage in errors, and
    /// [`disk_bytes`](Engine::disk_bytes) knows nothing of it.
    ///
    /// `storage` is called once, and once more if redb had to repair what it found: the second gives the same bytes.
    ///
    /// # Errors
    ///
    /// `Corrupt` for bytes that are damaged or no store, `Unavailable` if the storage fails, and what `storage` says.
    ///
    /// ```
    /// use redb::backends::InMemoryBackend;
    /// use stead_redb::{Embedded, EmbeddedOptions, RedbConfig, RedbEngine};
    ///
    /// let config = RedbConfig::new("memory");
    /// let engine = RedbEngine::with_storage(&config, || Ok(InMemoryBackend::new()))?;
    /// let store = Embedded::open(engine, EmbeddedOptions::default())?;
    /// # Ok::<(), stead_core::Error>(())
    /// ```
    pub fn with_storage<S: StorageBackend>(
        config: &RedbConfig,
        storage: impl Fn() -> io::Result<S>,
    ) -> Result<Self> {
        let open = || {
            let mut builder = Builder::new();
            builder.set_cache_size(config.cache_bytes);
            let create = |builder: &Builder| {
                let storage = storage().map_err(|cause| error::file(cause, &config.path))?;
                Ok(builder.create_with_backend(storage))
            };
            let database = open_writable(builder, &config.path, &create)?;
            Ok(RedbEngine {
                database: Handle::Writable(database),
                data_file: None,
            })
        };
        error::guarded(open).map_err(|error| error.during("open"))
    }
}

/// Opens a database with all its tables. `name` stands in errors.
fn open_writable(
    mut builder: Builder,
    name: &Path,
    create: &dyn Fn(&Builder) -> Result<Result<Database, DatabaseError>>,
) -> Result<Database> {
    let repaired = Rc::new(Cell::new(false));
    let seen = Rc::clone(&repaired);
    builder.set_repair_callback(move |_| seen.set(true));
    let open = || create(&builder)?.map_err(|error| error::database(error, name));
    let mut database = open()?;
    if repaired.get() {
        // A repaired database is closed once before anything is written to it: the close records what the repair found,
        // so that another crash does not have to be repaired from the same state again.
        drop(database);
        database = open()?;
    }
    make_tables(&database).map_err(|error| error.with("file", name.display()).during("open"))?;
    Ok(database)
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
        let Some(data_file) = &self.data_file else {
            return Ok(None);
        };
        std::fs::metadata(data_file)
            .map(|metadata| Some(metadata.len()))
            .map_err(|cause| error::file(cause, data_file))
    }

    fn close(mut self) -> Result<()> {
        self.release()
    }
}

impl RedbEngine {
    /// Dropping a redb database closes it, whoever still holds views: those answer from its cache, or that
    /// it is closed.
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
        let outside = Cell::new(false);
        error::guarded_around(&outside, || {
            let mut range = ReadableTable::range::<&[u8]>(table, bounds).map_err(error::storage)?;
            loop {
                let next = match direction {
                    Direction::Forward => range.next(),
                    Direction::Reverse => range.next_back(),
                };
                let Some((key, value)) = next.transpose().map_err(error::storage)? else {
                    return Ok(());
                };
                let (key, value) = (key.value(), value.value());
                outside.set(true);
                let flow = visit(key, value);
                outside.set(false);
                if flow.is_break() {
                    return Ok(());
                }
            }
        })
    }
}
