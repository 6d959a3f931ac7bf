//! One writer, or any number of readers.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use stead_core::{Error, Result};

use super::error::{file_error, locked_error};

/// The lock of a store's directory; dropping it lets others in.
#[derive(Debug)]
pub struct DirectoryLock {
    file: Option<File>,
}

impl DirectoryLock {
    /// The same lock once more: nobody else gets in before both are dropped, whichever is dropped first.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the file system has no locks, `Unavailable` if the operating system refuses.
    pub fn hold(&self) -> Result<DirectoryLock> {
        let no_locks =
            || Error::unsupported("the file system has no locks, which keep others out of the store");
        let file = self.file.as_ref().ok_or_else(no_locks)?;
        let failed = |cause| file_error("cannot hold the store's lock", cause);
        // Both descriptors are of one open file, which is what the lock belongs to.
        let file = file.try_clone().map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(DirectoryLock { file: Some(file) }),
            Err(TryLockError::Error(cause)) if cause.kind() == io::ErrorKind::Unsupported => Err(no_locks()),
            Err(cause) => Err(failed(cause.into())),
        }
    }
}

pub(super) fn take(path: &Path, read_only: bool) -> Result<DirectoryLock> {
    let failed = |error| {
        file_error("cannot get at the store's lock", error)
            .with("file", path.display())
            .during("open")
    };
    let opened = if read_only {
        File::open(path)
    } else {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
    };
    let file = match opened {
        Ok(file) => file,
        // A store on a medium that cannot be written may come without its lock file: nobody writes it.
        Err(error) if read_only && error.kind() == io::ErrorKind::NotFound => {
            return Ok(DirectoryLock { file: None });
        }
        Err(error) => return Err(failed(error)),
    };
    let locked = if read_only {
        file.try_lock_shared()
    } else {
        file.try_lock()
    };
    match locked {
        Ok(()) => Ok(DirectoryLock { file: Some(file) }),
        Err(TryLockError::WouldBlock) => Err(locked_error(path)),
        // Some network file systems have no locks; the engine's own, where it has one, is what remains.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
            Ok(DirectoryLock { file: Some(file) })
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}
