//! What the file system's errors mean to a caller.

use std::io;
use std::path::Path;

use stead_core::Error;

/// A failure of the file system, with what it says to do: `Full` where there is no room left, else `Unavailable`.
#[must_use]
pub fn file_error(what: &'static str, cause: io::Error) -> Error {
    let error = match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Error::full("there is no room left on the disk; make room")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Error::unavailable(
            "the operating system does not let this user write there; check who owns the path, or open the store \
             for reading only",
        ),
        _ => Error::unavailable(what),
    };
    error.with("reason", cause.kind()).because(cause)
}

/// Another handle holds the lock at `path`.
#[must_use]
pub fn locked_error(path: &Path) -> Error {
    Error::unavailable(
        "the store is open elsewhere, in another process or this one; close it there, or choose another path",
    )
    .with("locked_file", path.display())
    .during("open")
}
