//! What redb's errors mean to a caller.

use std::io;
use std::path::Path;

use redb::{CommitError, DatabaseError, StorageError, TableError, TransactionError};
use stead_core::{Error, Result};
use stead_embedded::{Outside, file_error, locked_error};

/// Runs `call`, and makes an error of a panic: redb trusts its pages in places, and gives up over damaged ones.
pub(crate) fn guarded<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    stead_embedded::guarded(panicked, call)
}

/// As [`guarded`], for a scan: one guard around it instead of one for each record.
pub(crate) fn guarded_around<T>(call: impl FnOnce(&Outside) -> Result<T>) -> Result<T> {
    stead_embedded::guarded_around(panicked, call)
}

#[cold]
fn panicked() -> Error {
    Error::corrupt("redb panicked, as it does over a damaged file; restore the store from a backup")
}

/// A failure to read or write pages.
pub(crate) fn storage(error: StorageError) -> Error {
    match error {
        StorageError::DatabaseClosed => Error::closed(),
        StorageError::Corrupted(_) => {
            Error::corrupt("redb finds its file damaged; restore the store from a backup").because(error)
        }
        StorageError::ValueTooLarge(size) => {
            Error::invalid("a record is larger than redb can hold").with("size_bytes", size)
        }
        StorageError::Io(cause) => file_error("the disk failed", cause),
        StorageError::PreviousIo => {
            Error::unavailable("the disk failed before; open the store anew").because(error)
        }
        other => Error::unavailable("redb failed; open the store anew").because(other),
    }
}

pub(crate) fn transaction(error: TransactionError) -> Error {
    match error {
        TransactionError::Storage(error) => storage(error),
        other => Error::internal("redb refuses a transaction").because(other),
    }
}

pub(crate) fn table(error: TableError) -> Error {
    match error {
        TableError::Storage(error) => storage(error),
        other => Error::corrupt("redb's tables are not those of a stead store").because(other),
    }
}

/// A failure of the commit itself, after which nobody knows what is on disk: never `Full`, which would promise that
/// nothing was written.
pub(crate) fn commit(error: CommitError) -> Error {
    let unfinished = Error::unavailable("redb could not finish a commit; open the store anew");
    match error {
        CommitError::Storage(StorageError::Corrupted(_)) => {
            Error::corrupt("redb finds its file damaged; restore the store from a backup").because(error)
        }
        CommitError::Storage(StorageError::Io(cause)) => {
            unfinished.because(file_error("the disk failed", cause))
        }
        other => unfinished.because(other),
    }
}

/// A failure to open the file at `path`.
pub(crate) fn database(error: DatabaseError, path: &Path) -> Error {
    let error = match error {
        DatabaseError::DatabaseAlreadyOpen => return locked_error(path),
        DatabaseError::RepairAborted => {
            Error::unavailable("the store was not closed cleanly; open it once for writing, which repairs it")
        }
        DatabaseError::UpgradeRequired(version) => {
            Error::corrupt("the file is of an older redb format that this version does not read")
                .with("redb_format", version)
        }
        DatabaseError::Storage(StorageError::Io(cause)) => return file(cause, path),
        DatabaseError::Storage(error) => storage(error),
        other => Error::unavailable("redb cannot open the file").because(other),
    };
    error.with("file", path.display()).during("open")
}

/// A failure to get at a file.
pub(crate) fn file(cause: io::Error, path: &Path) -> Error {
    let error = match cause.kind() {
        // What redb says of files that are none of its own, and of files that end too early.
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            Error::corrupt("the file is damaged or no redb file; restore the store from a backup")
                .because(cause)
        }
        _ => file_error("cannot open the store's file", cause),
    };
    error.with("file", path.display()).during("open")
}
