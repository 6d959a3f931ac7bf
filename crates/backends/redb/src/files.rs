//! The data file of a store, and its locks.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::PathBuf;

use stead_core::Result;
use stead_embedded::{EngineConfig as _, StoreDirectory, locked_error};

use crate::{RedbConfig, error};

/// redb's file in the directory of a store. redb takes a lock on it, for readers too, which keeps other programs out. Among
/// ourselves the lock of the directory counts: that one stays when a restore puts another file in the place of this one.
pub(crate) struct Files {
    pub(crate) directory: StoreDirectory,
    pub(crate) data: PathBuf,
}

impl Files {
    pub(crate) fn of(config: &RedbConfig) -> Self {
        let directory = config.directory();
        let data = directory.data();
        Files { directory, data }
    }

    /// Opens the data file and takes its lock.
    ///
    /// redb writes its magic number only once a new file is set up. What has none and was never marked is left over
    /// from a crash in between, and is begun again.
    ///
    /// # Errors
    ///
    /// `Unavailable`, naming the lock if it is that.
    pub(crate) fn lock_data(&self) -> Result<File> {
        let failed = |error| error::file(error, &self.data);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.data)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked_error(&self.data)),
            // redb knows what to do where there are no locks.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut front = Vec::new();
        (&mut file).take(9).read_to_end(&mut front).map_err(failed)?;
        if front.iter().all(|byte| *byte == 0) && !self.directory.is_marked()? {
            file.set_len(0).map_err(failed)?;
        }
        Ok(file)
    }
}
