//! fjall as an engine.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fjall::config::CompressionPolicy;
use fjall::{AbstractTree, CompressionType, Database, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};
use parking_lot::{Mutex, RwLock};
use stead_core::{Error, ErrorKind, Result, Strength};
use stead_embedded::{DirectoryLock, Engine, EngineConfig as _, Keyspace, StoreDirectory, WriteSet};

use crate::journal::MARKS_ID;
use crate::view::FjallView;
use crate::{Compression, FjallConfig, closed, error, journal, manifest, recovery};

/// The keyspace of the marks; see `journal`.
const MARKS: &str = "marks";
const MARK: &[u8] = b"synced";

/// One thread never keeps a full buffer waiting while the other merges tables.
const WORKERS: usize = 2;
/// The most full buffers of a keyspace that wait for the disk. fjall waits for ever at four, even when nobody is left who
/// would write them.
const WAITING_BUFFERS: usize = 2;
/// The most runs of tables in the first level of a keyspace: fjall waits for ever at thirty.
const WAITING_RUNS: usize = 24;
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// A fjall database with one keyspace for each of the store's.
pub struct FjallEngine {
    shared: Arc<Shared>,
    directory: StoreDirectory,
    writer: Mutex<Writer>,
    write_buffer_bytes: u64,
    read_only: bool,
    lock: Option<DirectoryLock>,
}

/// What views share with the engine. fjall holds its files for as long as anything of it is alive, so views take what
/// they need from here, where the close takes it away.
pub(crate) struct Shared {
    open: RwLock<Option<Open>>,
    data: PathBuf,
}

pub(crate) struct Open {
    database: Database,
    pub(crate) spaces: [fjall::Keyspace; Keyspace::ALL.len()],
    marks: fjall::Keyspace,
}

/// What the one writer remembers.
struct Writer {
    /// Everything that was committed so far is synced.
    synced: bool,
    /// Bytes written since the buffers were looked at.
    unseen_bytes: u64,
    failed: bool,
}

impl FjallEngine {
    /// Opens the database in the directory that `config` names, or makes one.
    ///
    /// # Errors
    ///
    /// As [`open`](crate::open).
    pub fn open(config: &FjallConfig) -> Result<Self> {
        let directory = config.directory();
        let read_only = config.read_only;
        directory.prepare(!read_only)?;
        let lock = directory.lock(read_only)?;
        if !read_only {
            directory.begin()?;
        }
        let data = directory.data();
        let open = error::guarded(|| open_files(config, &data)).map_err(|error| named(error, &data))?;
        let engine = FjallEngine {
            shared: Arc::new(Shared {
                open: RwLock::new(Some(open)),
                data,
            }),
            directory,
            writer: Mutex::new(Writer {
                synced: true,
                unseen_bytes: 0,
                failed: false,
            }),
            write_buffer_bytes: config.write_buffer_bytes(),
            read_only,
            lock: Some(lock),
        };
        if !read_only {
            engine.directory.mark()?;
        }
        Ok(engine)
    }
}

/// Says which file it is, if fjall did not.
fn named(error: Error, data: &Path) -> Error {
    let error = if error.context().any(|(name, _)| name == "file") {
        error
    } else if let (ErrorKind::Corrupt, Err(found)) = (error.kind(), manifest::check_tables(data)) {
        found.because(error)
    } else {
        error.with("path", data.display())
    };
    error.during("open")
}

fn open_files(config: &FjallConfig, data: &Path) -> Result<Open> {
    let found = if is_empty(data)? {
        None
    } else {
        Some(recovery::before_open(&config.path, data, config.read_only)?)
    };
    if config.read_only {
        return open_database(config, data, found.as_ref());
    }
    let record = closed::remove(&config.path)?;
    let opened = error::guarded(|| open_database(config, data, found.as_ref()));
    if opened.is_err() {
        record.put_back(&config.path);
    }
    opened
}

fn open_database(config: &FjallConfig, data: &Path, found: Option<&recovery::Found>) -> Result<Open> {
    let workers = if config.read_only { 0 } else { WORKERS };
    let database = Database::builder(data)
        .cache_size(config.cache_bytes)
        .journal_compression(CompressionType::None)
        .max_journaling_size(config.journal_bytes())
        .worker_threads_unchecked(workers)
        .open()
        .map_err(error::fjall)?;
    match found {
        None => make(config, database, data),
        Some(found) => find(database, found),
    }
}

fn is_empty(data: &Path) -> Result<bool> {
    match std::fs::read_dir(data) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(cause) => Err(error::file(cause, data)),
    }
}

/// Makes the keyspaces of a new database, and lets nothing of it get lost.
fn make(config: &FjallConfig, database: Database, data: &Path) -> Result<Open> {
    let options = || {
        let options = KeyspaceCreateOptions::default()
            // The size is looked after here, so that it can be another one the next time.
            .max_memtable_size(u64::MAX);
        match config.compression {
            Compression::None => options.data_block_compression_policy(CompressionPolicy::disabled()),
            Compression::Lz4 => options,
        }
    };
    let keyspace = |name| database.keyspace(name, options).map_err(error::fjall);
    let [data_space, expiry, changes, meta, history] = Keyspace::ALL.map(Keyspace::as_str);
    let spaces = [
        keyspace(data_space)?,
        keyspace(expiry)?,
        keyspace(changes)?,
        keyspace(meta)?,
        keyspace(history)?,
    ];
    let marks = keyspace(MARKS)?;
    debug_assert_eq!(marks.id(), MARKS_ID, "keyspaces are numbered as they are made");
    // A store that lost its journal shall not be taken for one that was never written to.
    let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
    batch.insert(&marks, MARK, b"");
    batch.commit().map_err(error::fjall)?;
    // fjall does not sync the directory in which it makes those of the keyspaces.
    for directory in [data.join("keyspaces"), data.to_owned()] {
        File::open(&directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|cause| error::file(cause, &directory))?;
    }
    Ok(Open {
        database,
        spaces,
        marks,
    })
}

/// Finds the keyspaces of a database, and that fjall kept what the journals said.
fn find(database: Database, found: &recovery::Found) -> Result<Open> {
    let keyspace = |name: &str| {
        if !database.keyspace_exists(name) {
            return Err(Error::corrupt(
                "the files are a fjall database, but not that of a stead store",
            ));
        }
        database
            .keyspace(name, KeyspaceCreateOptions::default)
            .map_err(error::fjall)
    };
    let [data, expiry, changes, meta, history] = Keyspace::ALL.map(Keyspace::as_str);
    let spaces = [
        keyspace(data)?,
        keyspace(expiry)?,
        keyspace(changes)?,
        keyspace(meta)?,
        keyspace(history)?,
    ];
    let marks = keyspace(MARKS)?;
    // Tables are written from what is synced in the journals.
    let in_tables = spaces
        .iter()
        .filter_map(|space| space.tree.get_highest_persisted_seqno())
        .max();
    let cut_short = found.last.is_some_and(|last| Some(last) < in_tables);
    if cut_short || !marks.contains_key(MARK).map_err(error::fjall)? {
        return Err(Error::corrupt(
            "the end of the journals is missing; restore the store from a backup",
        ));
    }
    Ok(Open {
        database,
        spaces,
        marks,
    })
}

impl Shared {
    /// Runs `call` with the open database.
    ///
    /// A read may visit records from which it reads others, while somebody waits to close.
    pub(crate) fn with<T>(&self, call: impl FnOnce(&Open) -> Result<T>) -> Result<T> {
        let open = self.open.read_recursive();
        call(open.as_ref().ok_or_else(Error::closed)?)
    }

    /// Names the place of what was found damaged.
    #[cold]
    pub(crate) fn at(&self, error: fjall::Error) -> Error {
        error::fjall(error).with("path", self.data.display())
    }
}

impl Engine for FjallEngine {
    type View = FjallView;

    fn name(&self) -> &'static str {
        "fjall"
    }

    fn strengths(&self) -> (Strength, Strength) {
        // A buffered commit is handed to the operating system before it returns.
        (Strength::ProcessCrash, Strength::PowerLoss)
    }

    fn view(&self) -> Result<FjallView> {
        // While a commit is under way, work in the background can make the newest snapshot show a part of it.
        let _between_commits = self.writer.lock();
        let snapshot = self
            .shared
            .with(|open| error::guarded(|| Ok(open.database.snapshot())))?;
        Ok(FjallView::new(Arc::clone(&self.shared), snapshot))
    }

    fn commit(&self, writes: &WriteSet, sync: bool) -> Result<()> {
        if self.read_only {
            return Err(Error::unsupported("the store is open for reading only"));
        }
        let mut writer = self.writer.lock();
        let result = self.shared.with(|open| {
            if writer.unseen_bytes >= self.write_buffer_bytes / 4 {
                writer.unseen_bytes = 0;
                error::guarded(|| open.relieve(self.write_buffer_bytes))?;
            }
            error::guarded(|| open.write(writes, sync, writer.synced))
        });
        match &result {
            Ok(()) => {
                writer.synced = sync || (writer.synced && writes.is_empty());
                writer.unseen_bytes += writes.size_bytes() as u64;
            }
            Err(_) => writer.failed = true,
        }
        result
    }

    fn disk_bytes(&self) -> Result<Option<u64>> {
        self.directory.disk_bytes().map(Some)
    }

    /// Compares every table with its checksum, and reads the journals from the beginning to the end.
    fn check(&self) -> Result<()> {
        self.shared.with(|open| {
            for space in open.spaces.iter().chain([&open.marks]) {
                // Who holds the version keeps its tables from being removed.
                let version = error::guarded(|| Ok(space.tree.current_version()))?;
                for table in version.iter_tables() {
                    manifest::check_table(&table.path, table.checksum().into_u128())?;
                }
            }
            let _between_commits = self.writer.lock();
            journal::check(&self.shared.data)
        })
    }

    fn hold(&self) -> Result<DirectoryLock> {
        self.lock.as_ref().ok_or_else(Error::closed)?.hold()
    }

    fn close(mut self) -> Result<()> {
        self.release()
    }
}

impl Open {
    /// One batch with all of `writes`.
    fn write(&self, writes: &WriteSet, sync: bool, after_sync: bool) -> Result<()> {
        let mode = if sync {
            PersistMode::SyncData
        } else {
            PersistMode::Buffer
        };
        let count: usize = Keyspace::ALL.iter().map(|space| writes.len(*space)).sum();
        if count == 0 {
            return if sync {
                self.database.persist(mode).map_err(error::commit)
            } else {
                Ok(())
            };
        }
        let mut batch =
            OwnedWriteBatch::with_capacity(self.database.clone(), count + 1).durability(Some(mode));
        if after_sync {
            batch.insert(&self.marks, MARK, b"");
        }
        for (space, keyspace) in Keyspace::ALL.into_iter().zip(&self.spaces) {
            for (key, value) in writes.iter(space) {
                match value {
                    Some(value) => batch.insert(keyspace, key, value),
                    None => batch.remove(keyspace, key),
                }
            }
        }
        batch.commit().map_err(error::commit)
    }

    /// Hands full buffers over, and waits while too many are waiting for the disk.
    fn relieve(&self, write_buffer_bytes: u64) -> Result<()> {
        for keyspace in self.spaces.iter().chain([&self.marks]) {
            if keyspace.tree.active_memtable().size() >= write_buffer_bytes {
                keyspace.rotate_memtable().map_err(error::fjall)?;
            }
            while keyspace.tree.sealed_memtable_count() >= WAITING_BUFFERS
                || keyspace.tree.l0_run_count() >= WAITING_RUNS
            {
                // Says so if nobody is left who would write them.
                self.database.persist(PersistMode::Buffer).map_err(error::fjall)?;
                thread::sleep(LOOK_AGAIN);
            }
        }
        Ok(())
    }
}

impl FjallEngine {
    /// Syncs what is buffered, ends fjall's threads, and records that all went well.
    fn release(&mut self) -> Result<()> {
        let Some(open) = self.shared.open.write().take() else {
            return Ok(());
        };
        let failed = self.writer.get_mut().failed;
        let synced = if self.read_only || failed {
            Ok(())
        } else {
            error::guarded(|| open.database.persist(PersistMode::SyncAll).map_err(error::fjall))
        };
        let dropped = error::guarded(|| {
            drop(open);
            Ok(())
        });
        let recorded = synced.and(dropped).and_then(|()| {
            if self.read_only || failed {
                return Ok(());
            }
            journal::cut_zeros(&self.shared.data)?;
            manifest::remove_outdated(&self.shared.data)?;
            closed::write(self.directory.path(), &self.shared.data)
        });
        self.lock = None;
        recorded.map_err(|error| error.during("close"))
    }
}

impl Drop for FjallEngine {
    fn drop(&mut self) {
        // Who does not close the engine does not ask how it went.
        let _ = self.release();
    }
}

#[cfg(test)]
mod tests;
