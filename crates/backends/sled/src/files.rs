//! sled's files in the directory of a store.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use stead_core::{Error, Result};
use stead_embedded::{EngineConfig as _, StoreDirectory};

use crate::SledConfig;
use crate::error;
use crate::ledger::{Closed, Ledger};

/// The pieces in which sled's log grows; what is larger than a quarter of one would leave the log. Part of the format:
/// sled opens a database only with the size that it was made with.
///
/// A page holds at most 17 records of 16 KiB, or 257 keys of 1.3 KiB: both fit.
pub(crate) const SEGMENT_BYTES: usize = 2 << 20;
/// How often sled cleans up old segments and syncs, at most half of this time each. Our own commits do not wait for it.
const CLEAN_EVERY_MS: u64 = 100;

/// How long to wait for sled's threads to let go of its files, and how often to look.
const RELEASE_WAIT: Duration = Duration::from_secs(5);
const RELEASE_LOOK: Duration = Duration::from_millis(1);

/// Where sled's files are and how it opens them.
pub(crate) struct Files {
    pub(crate) directory: StoreDirectory,
    pub(crate) data: PathBuf,
    cache_capacity: u64,
}

impl Files {
    pub(crate) fn new(config: &SledConfig) -> Self {
        let directory = config.directory();
        let data = directory.data();
        Files {
            directory,
            data,
            cache_capacity: config.cache_capacity,
        }
    }

    /// sled's log.
    pub(crate) fn log(&self) -> PathBuf {
        self.data.join("db")
    }

    /// Looks at what sled would not miss.
    ///
    /// # Errors
    ///
    /// `Corrupt` for files that are missing or too short.
    pub(crate) fn check(&self, ledger: Option<&Ledger>) -> Result<()> {
        let log_bytes = match fs::metadata(self.log()) {
            Ok(metadata) => metadata.len(),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => 0,
            Err(cause) => return Err(error::file(cause, &self.log())),
        };
        let closed = ledger.and_then(|ledger| ledger.closed.as_ref());
        let at_least = closed.map_or(1, |closed| closed.log_bytes);
        if log_bytes < at_least {
            return Err(missing(&self.log()).with("expected_bytes", at_least));
        }
        match closed.map(|closed| self.data.join(&closed.snapshot)) {
            Some(snapshot) if !snapshot.exists() => Err(missing(&snapshot)),
            _ => Ok(()),
        }
    }

    /// Removes snapshots that sled did not finish: it would take the newest for a damaged one.
    ///
    /// # Errors
    ///
    /// A failure to do so.
    pub(crate) fn remove_unfinished_snapshots(&self) -> Result<()> {
        for name in self.snapshots()? {
            if name.ends_with(".generating") {
                let path = self.data.join(name);
                fs::remove_file(&path).map_err(|cause| error::file(cause, &path))?;
            }
        }
        Ok(())
    }

    fn snapshots(&self) -> Result<Vec<String>> {
        let list = || {
            let mut names = Vec::new();
            if !self.data.try_exists()? {
                return Ok(names);
            }
            for entry in fs::read_dir(&self.data)? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                if name.starts_with("snap.") {
                    names.push(name);
                }
            }
            names.sort();
            Ok(names)
        };
        list().map_err(|cause| error::file(cause, &self.data))
    }

    /// Opens the database, or makes one.
    ///
    /// # Errors
    ///
    /// As sled has them.
    pub(crate) fn open(&self) -> Result<sled::Db> {
        let config = sled::Config::new()
            .path(&self.data)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(self.cache_capacity)
            .flush_every_ms(Some(CLEAN_EVERY_MS));
        config.open().map_err(|cause| error::open(cause, &self.data))
    }

    /// Makes the names of sled's files last, and its settings: sled syncs its log and its snapshots, but no directory, and
    /// refuses to open what lost the settings.
    ///
    /// # Errors
    ///
    /// A failure to do so.
    pub(crate) fn sync_directories(&self) -> Result<()> {
        let sync = |path: &Path| {
            File::open(path)
                .and_then(|file| file.sync_all())
                .map_err(|cause| error::file(cause, path))
        };
        sync(&self.data.join("conf"))?;
        sync(&self.data)?;
        sync(self.directory.path())
    }

    /// Waits until sled's threads have let go of its files, but not for ever.
    ///
    /// # Errors
    ///
    /// `Unavailable` if they do not.
    pub(crate) fn wait_for_release(&self) -> Result<()> {
        let log = self.log();
        let file = File::open(&log).map_err(|cause| error::file(cause, &log))?;
        let mut waited = Duration::ZERO;
        while let Err(TryLockError::WouldBlock) = file.try_lock() {
            if waited >= RELEASE_WAIT {
                return Err(
                    Error::unavailable("sled does not let go of its files; end the process")
                        .with("file", log.display()),
                );
            }
            thread::sleep(RELEASE_LOOK);
            waited += RELEASE_LOOK;
        }
        Ok(())
    }

    /// How the files are now that sled has let go of them.
    ///
    /// # Errors
    ///
    /// A failure to look, or no snapshot.
    pub(crate) fn closed(&self) -> Result<Closed> {
        let log = self.log();
        let metadata = fs::metadata(&log).map_err(|cause| error::file(cause, &log))?;
        let snapshot = self.snapshots()?.pop();
        Ok(Closed {
            log_bytes: metadata.len(),
            snapshot: snapshot.ok_or_else(|| missing(&self.data.join("snap.*")))?,
        })
    }
}

fn missing(path: &Path) -> Error {
    Error::corrupt("a file of the store is missing or too short; restore the store from a backup")
        .with("file", path.display())
}
