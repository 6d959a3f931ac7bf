//! What sled's errors mean to a caller.

use std::io;
use std::path::Path;

use stead_core::{Error, Result};
use stead_embedded::{file_error, locked_error};

/// Runs `call`, and makes an error of a panic: sled trusts its pages in places, and gives up over damaged ones.
pub(crate) fn guarded<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    stead_embedded::guarded(
        || Error::corrupt("sled panicked, as it does over a damaged file; restore the store from a backup"),
        call,
    )
}

/// As [`guarded`], for the close: there sled writes and trusts the disk to take it, so a panic says nothing of damage.
pub(crate) fn guarded_close<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    stead_embedded::guarded(
        || {
            Error::unavailable(
                "sled panicked while it closed its files, as it does when the disk fails; open the store anew",
            )
        },
        call,
    )
}

/// A failure to read, or to write what can be written again.
pub(crate) fn storage(error: sled::Error) -> Error {
    match error {
        sled::Error::Io(cause) => disk(cause),
        sled::Error::Corruption { .. } => damaged(error),
        // What it says when a page is not where it should be.
        sled::Error::ReportableBug(_) | sled::Error::CollectionNotFound(_) => damaged(error),
        other => Error::unavailable("sled failed; open the store anew").because(other),
    }
}

fn damaged(error: sled::Error) -> Error {
    Error::corrupt("sled finds its files damaged; restore the store from a backup").because(error)
}

fn disk(cause: io::Error) -> Error {
    match cause.kind() {
        // Pages that end too early, and those that are not there.
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound => {
            Error::corrupt("a part of sled's files is damaged or missing; restore the store from a backup")
                .because(cause)
        }
        _ => file_error("the disk failed", cause),
    }
}

/// A failure of the commit itself, after which nobody knows what is on disk: never `Full`, which would promise that
/// nothing was written.
pub(crate) fn commit(error: sled::Error) -> Error {
    match error {
        sled::Error::Corruption { .. } => damaged(error),
        sled::Error::Io(cause) => unfinished().because(file_error("the disk failed", cause)),
        other => unfinished().because(other),
    }
}

fn unfinished() -> Error {
    Error::unavailable("sled could not finish a commit; open the store anew")
}

/// A failure to make a commit durable.
pub(crate) fn sync(cause: io::Error) -> Error {
    Error::unavailable("the disk did not take a commit; open the store anew")
        .because(file_error("the disk failed", cause))
}

/// A failure to open the database in the directory `path`.
pub(crate) fn open(error: sled::Error, path: &Path) -> Error {
    let error = match error {
        // sled gives its lock's failure no kind of its own.
        sled::Error::Io(cause) if cause.to_string().contains("could not acquire lock") => {
            return locked_error(&path.join("db"));
        }
        sled::Error::Unsupported(_) => Error::corrupt(
            "sled's settings file is damaged or of another version of sled; restore the store from a backup",
        )
        .because(error),
        other => storage(other),
    };
    error.with("path", path.display()).during("open")
}

/// A failure to open the store in the directory `path`, which is named unless the error names a path already.
pub(crate) fn located(error: Error, path: &Path) -> Error {
    let error = if error.context().any(|(name, _)| name == "path") {
        error
    } else {
        error.with("path", path.display())
    };
    error.during("open")
}

/// A failure to get at the file `path`.
pub(crate) fn file(cause: io::Error, path: &Path) -> Error {
    file_error("cannot get at the store's file", cause)
        .with("file", path.display())
        .during("open")
}

#[cfg(test)]
mod tests {
    use stead_core::ErrorKind;

    use super::*;

    #[test]
    fn a_panic_while_closing_is_no_damaged_file() {
        let failed = guarded_close(|| -> Result<()> { panic!("the disk does not sync") });
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Unavailable);
        let failed = guarded(|| -> Result<()> { panic!("a page is not what it should be") });
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
