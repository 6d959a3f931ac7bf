//! The open database and the snapshots of its views, all of which a close takes back.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};
use rocksdb::{ColumnFamily, DB, ReadOptions, Snapshot};
use self_cell::self_cell;
use stead_core::{Error, Result};
use stead_embedded::Keyspace;

self_cell!(
    /// A database together with what borrows from it.
    struct Opened {
        owner: DB,
        #[not_covariant]
        dependent: Parts,
    }
);

/// What borrows from the database.
pub(crate) struct Parts<'db> {
    families: [&'db ColumnFamily; Keyspace::ALL.len()],
    snapshots: Mutex<Snapshots<'db>>,
}

/// The snapshots by number. The numbers of those that were given back are used again.
#[derive(Default)]
struct Snapshots<'db> {
    taken: Vec<Option<Snapshot<'db>>>,
    free: Vec<usize>,
}

impl<'db> Parts<'db> {
    fn new(db: &'db DB) -> Result<Self> {
        let family = |space: Keyspace| {
            db.cf_handle(space.as_str())
                .ok_or_else(|| Error::internal("a column family is not open").with("keyspace", space))
        };
        let [data, expiry, changes, meta, history] = Keyspace::ALL.map(family);
        Ok(Parts {
            families: [data?, expiry?, changes?, meta?, history?],
            snapshots: Mutex::default(),
        })
    }

    /// The column family of a keyspace.
    pub(crate) fn family(&self, space: Keyspace) -> &'db ColumnFamily {
        self.families[space.index()]
    }

    /// Every column family of ours.
    pub(crate) fn families(&self) -> &[&'db ColumnFamily] {
        &self.families
    }
}

/// A database that can be closed while others still hold it: they find it closed.
pub(crate) struct Database {
    opened: RwLock<Option<Opened>>,
    /// Set before the lock is taken for closing, so that a long read ends early.
    closing: AtomicBool,
}

impl Database {
    pub(crate) fn new(db: DB) -> Result<Self> {
        let opened = Opened::try_new(db, |db| Parts::new(db))?;
        Ok(Database {
            opened: RwLock::new(Some(opened)),
            closing: AtomicBool::new(false),
        })
    }

    /// Runs `call`, during which the database stays open.
    ///
    /// # Errors
    ///
    /// `Closed`, and those of `call`.
    #[inline]
    pub(crate) fn with<T>(&self, call: impl FnOnce(&DB, &Parts<'_>) -> Result<T>) -> Result<T> {
        self.check_open()?;
        // A scan hands records to a visitor that may read again: that must not wait for a close that waits for the scan.
        let opened = self.opened.read_recursive();
        let opened = opened.as_ref().ok_or_else(Error::closed)?;
        opened.with_dependent(call)
    }

    /// Refuses once the close has begun.
    #[inline]
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closing.load(Ordering::Relaxed) {
            return Err(Error::closed());
        }
        Ok(())
    }

    /// Takes a snapshot, and options that read from it.
    ///
    /// # Errors
    ///
    /// `Closed`.
    pub(crate) fn take_snapshot(&self) -> Result<(usize, ReadOptions)> {
        self.check_open()?;
        let opened = self.opened.read_recursive();
        let opened = opened.as_ref().ok_or_else(Error::closed)?;
        Ok(opened.with_dependent(|db, parts| {
            let snapshot = db.snapshot();
            let mut options = ReadOptions::default();
            options.set_snapshot(&snapshot);
            (parts.snapshots.lock().keep(snapshot), options)
        }))
    }

    /// Gives a snapshot back. A close has given back all that there are.
    pub(crate) fn release_snapshot(&self, number: usize) {
        let opened = self.opened.read_recursive();
        let Some(opened) = opened.as_ref() else { return };
        opened.with_dependent(|_, parts| {
            let snapshot = parts.snapshots.lock().give_back(number);
            drop(snapshot);
        });
    }

    /// Runs `last`, then closes the database and its files, whoever still holds this. Returns `None` the second time.
    pub(crate) fn close<T>(&self, last: impl FnOnce(&DB, &Parts<'_>) -> T) -> Option<T> {
        self.closing.store(true, Ordering::Relaxed);
        let opened = self.opened.write().take()?;
        Some(opened.with_dependent(last))
    }
}

impl<'db> Snapshots<'db> {
    fn keep(&mut self, snapshot: Snapshot<'db>) -> usize {
        if let Some(number) = self.free.pop() {
            self.taken[number] = Some(snapshot);
            return number;
        }
        self.taken.push(Some(snapshot));
        self.taken.len() - 1
    }

    fn give_back(&mut self, number: usize) -> Option<Snapshot<'db>> {
        let snapshot = self.taken.get_mut(number)?.take();
        self.free.push(number);
        snapshot
    }

    fn get(&self, number: usize) -> Option<&Snapshot<'db>> {
        self.taken.get(number)?.as_ref()
    }
}

impl Parts<'_> {
    /// Options for an iterator over a snapshot, which keeps them.
    ///
    /// # Errors
    ///
    /// `Internal` for a snapshot that was given back.
    pub(crate) fn iterate_over(&self, number: usize) -> Result<ReadOptions> {
        let snapshots = self.snapshots.lock();
        let snapshot = snapshots
            .get(number)
            .ok_or_else(|| Error::internal("a view outlives its snapshot"))?;
        let mut options = ReadOptions::default();
        options.set_snapshot(snapshot);
        Ok(options)
    }
}
