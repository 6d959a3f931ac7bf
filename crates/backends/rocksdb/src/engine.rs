//! RocksDB as an engine.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rocksdb::{DB, DBRawIterator, FlushOptions, IteratorMode, ReadOptions, WriteBatch, WriteOptions};
use stead_core::{Direction, Error, Result, Strength};
use stead_embedded::{
    DirectoryLock, Engine, EngineConfig as _, Keyspace, StoreDirectory, View, Visit, WriteSet,
};

use crate::database::{Database, Parts};
use crate::options::{Creation, Settings};
use crate::session::{Session, SessionFile};
use crate::wal::Mark;
use crate::{RocksDbConfig, error, recovery, wal};

/// A RocksDB database with one column family for each keyspace.
pub struct RocksDbEngine {
    database: Arc<Database>,
    config: RocksDbConfig,
    directory: StoreDirectory,
    session: SessionFile,
    /// Every sequence number up to this one is safe on disk.
    synced: AtomicU64,
    /// A write failed: there is no clean end any more.
    failed: AtomicBool,
    buffered: WriteOptions,
    durable: WriteOptions,
    lock: Option<DirectoryLock>,
}

impl RocksDbEngine {
    /// Opens the database in the directory that `config` names, or makes one.
    ///
    /// # Errors
    ///
    /// As [`open`](crate::open).
    pub fn open(config: &RocksDbConfig) -> Result<Self> {
        Self::open_files(config).map_err(|error| error.during("open"))
    }

    fn open_files(config: &RocksDbConfig) -> Result<Self> {
        let directory = config.directory();
        let read_only = config.read_only;
        directory.prepare(!read_only)?;
        let lock = directory.lock(read_only)?;
        let session = SessionFile::new(directory.path());
        let db = if read_only {
            recovery::open_read_only(config, &directory, &session)?
        } else {
            recovery::open_writable(config, &directory, &session)?
        };
        // What was found in the log is in files of its own by now, which are synced.
        let synced = AtomicU64::new(db.latest_sequence_number());
        let mut durable = WriteOptions::default();
        durable.set_sync(true);
        Ok(RocksDbEngine {
            database: Arc::new(Database::new(db)?),
            config: config.clone(),
            directory,
            session,
            synced,
            failed: AtomicBool::new(false),
            buffered: WriteOptions::default(),
            durable,
            lock: Some(lock),
        })
    }

    /// What RocksDB says of itself, such as `rocksdb.stats` or `rocksdb.block-cache-usage`; `None` for a property that it
    /// does not know.
    ///
    /// # Errors
    ///
    /// `Closed`.
    pub fn property(&self, space: Keyspace, name: &str) -> Result<Option<String>> {
        self.database.with(|db, parts| {
            db.property_value_cf(parts.family(space), name)
                .map_err(error::reading)
        })
    }

    fn write(&self, db: &DB, parts: &Parts<'_>, writes: &WriteSet, sync: bool) -> Result<()> {
        // A record costs a tag, its column family and two lengths on top; a wrong guess costs a copy.
        let mut batch = WriteBatch::with_capacity_bytes(64 + writes.size_bytes() + writes.size_bytes() / 8);
        batch.put_log_data(Mark(self.synced.load(Ordering::Relaxed)).encode());
        for space in Keyspace::ALL {
            let family = parts.family(space);
            for (key, value) in writes.iter(space) {
                match value {
                    Some(value) => batch.put_cf(&family, key, value),
                    None => batch.delete_cf(&family, key),
                }
            }
        }
        let options = if sync { &self.durable } else { &self.buffered };
        db.write_opt(batch, options).map_err(error::writing)?;
        if sync {
            self.synced.store(db.latest_sequence_number(), Ordering::Relaxed);
        }
        Ok(())
    }

    fn release(&mut self) -> Result<()> {
        let clean = !self.config.read_only && !self.failed.load(Ordering::Relaxed);
        let last = self.database.close(|db, parts| {
            let flushed = if clean {
                flush(db, parts).map(Some)
            } else {
                Ok(None)
            };
            db.cancel_all_background_work(true);
            flushed
        });
        let recorded = match last {
            Some(Ok(Some(sequence))) => self.session.write(&Session::Closed(sequence)),
            Some(Err(error)) => Err(error),
            Some(Ok(None)) | None => Ok(()),
        };
        self.lock = None;
        recorded
    }

    /// Reads all files anew, past every cache.
    fn read_files(&self, db: &DB) -> Result<()> {
        let data = self.directory.data();
        let config = self.config.clone().with_cache_capacity(0);
        let settings = Settings::new(&config, Creation::Refuse)?.without_log();
        let files = recovery::view_files(&settings, &data)?;
        for (name, _) in settings.families() {
            let family = files
                .cf_handle(name)
                .ok_or_else(|| Error::internal("a column family is not open"))?;
            for record in files.full_iterator_cf(family, IteratorMode::Start) {
                record.map_err(error::reading)?;
                self.database.check_open()?;
            }
        }
        let log = wal::examine(&data, recovery::oldest_log(db)?)?;
        recovery::check_log(log).map(drop)
    }
}

/// Moves everything into files with checksums of their own. Returns the last sequence number.
fn flush(db: &DB, parts: &Parts<'_>) -> Result<u64> {
    let families: Vec<_> = parts.families().iter().collect();
    db.flush_cfs_opt(&families, &FlushOptions::default())
        .and_then(|()| db.flush_wal(true))
        .map_err(error::writing)?;
    Ok(db.latest_sequence_number())
}

impl Engine for RocksDbEngine {
    type View = RocksDbView;

    fn name(&self) -> &'static str {
        "rocksdb"
    }

    fn strengths(&self) -> (Strength, Strength) {
        // Every commit is handed to the operating system, with `sync` to the disk.
        (Strength::ProcessCrash, Strength::PowerLoss)
    }

    fn view(&self) -> Result<RocksDbView> {
        let (snapshot, options) = self.database.take_snapshot()?;
        Ok(RocksDbView {
            database: Arc::clone(&self.database),
            snapshot,
            options,
        })
    }

    fn commit(&self, writes: &WriteSet, sync: bool) -> Result<()> {
        if self.config.read_only {
            return Err(Error::unsupported("the store is open for reading only"));
        }
        let written = self
            .database
            .with(|db, parts| self.write(db, parts, writes, sync));
        if written.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        written
    }

    fn disk_bytes(&self) -> Result<Option<u64>> {
        self.directory.disk_bytes().map(Some)
    }

    fn check(&self) -> Result<()> {
        self.database.with(|db, _| {
            if self.config.read_only {
                return self.read_files(db);
            }
            // Files that a compaction replaces meanwhile stay until they were read.
            db.disable_file_deletions().map_err(error::reading)?;
            let read = self.read_files(db);
            let enabled = db.enable_file_deletions().map_err(error::reading);
            read.and(enabled)
        })
    }

    fn hold(&self) -> Result<DirectoryLock> {
        self.lock.as_ref().ok_or_else(Error::closed)?.hold()
    }

    fn close(mut self) -> Result<()> {
        self.release()
    }
}

impl Drop for RocksDbEngine {
    fn drop(&mut self) {
        // Who does not close the engine does not ask how it went.
        let _ = self.release();
    }
}

/// A snapshot of RocksDB.
pub struct RocksDbView {
    database: Arc<Database>,
    snapshot: usize,
    /// For point reads: making them costs a tenth of one.
    options: ReadOptions,
}

impl Drop for RocksDbView {
    fn drop(&mut self) {
        self.database.release_snapshot(self.snapshot);
    }
}

impl View for RocksDbView {
    fn get(&self, space: Keyspace, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.database.with(|db, parts| {
            let found = db
                .get_pinned_cf_opt(&parts.family(space), key, &self.options)
                .map_err(error::reading)?;
            if let Some(value) = &found {
                read(value);
            }
            Ok(found.is_some())
        })
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
        self.database.with(|db, parts| {
            let mut options = parts.iterate_over(self.snapshot)?;
            // RocksDB stops at a bound by itself, and leaves files and blocks beyond it alone.
            if let Some(end) = end {
                options.set_iterate_upper_bound(end);
            }
            if direction == Direction::Reverse && !start.is_empty() {
                options.set_iterate_lower_bound(start);
            }
            let mut records = db.raw_iterator_cf_opt(&parts.family(space), options);
            match direction {
                Direction::Forward => records.seek(start),
                Direction::Reverse => records.seek_to_last(),
            }
            self.visit_all(&mut records, direction, visit)
        })
    }
}

impl RocksDbView {
    fn visit_all(
        &self,
        records: &mut DBRawIterator<'_>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        while let Some((key, value)) = records.item() {
            if let ControlFlow::Break(()) = visit(key, value) {
                return Ok(());
            }
            // A close waits for this.
            self.database.check_open()?;
            match direction {
                Direction::Forward => records.next(),
                Direction::Reverse => records.prev(),
            }
        }
        records.status().map_err(error::reading)
    }
}
