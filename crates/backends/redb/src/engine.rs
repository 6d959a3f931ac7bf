//! redb as an engine.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use redb::{
    Builder, Database, DatabaseError, Durability, ReadOnlyDatabase, ReadableDatabase, StorageBackend,
    TableDefinition, TableHandle,
};
use stead_core::{Error, Result, Strength};
use stead_embedded::{DirectoryLock, Engine, Keyspace, WriteSet};

use crate::files::Files;
use crate::view::RedbView;
use crate::{RedbConfig, error};

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// The table of a keyspace.
pub(crate) const fn definition(space: Keyspace) -> Definition {
    TableDefinition::new(space.as_str())
}

/// A redb database with one table for each keyspace.
pub struct RedbEngine {
    database: Handle,
    /// Where the database is, unless it is in storage of the caller's own.
    data_file: Option<PathBuf>,
    lock: Option<DirectoryLock>,
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
        let files = Files::of(config);
        error::guarded(|| Self::open_files(config, &files)).map_err(|error| error.during("open"))
    }

    fn open_files(config: &RedbConfig, files: &Files) -> Result<Self> {
        files.directory.prepare(!config.read_only)?;
        let lock = files.directory.lock(config.read_only)?;
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
            lock: Some(lock),
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
                lock: None,
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
        error::guarded(begin).map(RedbView::new)
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

    fn hold(&self) -> Result<DirectoryLock> {
        match &self.lock {
            Some(lock) => lock.hold(),
            None => Err(Error::unsupported("the store lies in no directory of its own")),
        }
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
        let released = error::guarded(|| {
            drop(database);
            Ok(())
        });
        self.lock = None;
        released
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
