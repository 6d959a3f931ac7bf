//! What fjall's errors mean to a caller.

use std::io;
use std::path::Path;

use fjall::LsmError;
use stead_core::{Error, ErrorKind, Result};
use stead_embedded::{Outside, file_error};

/// Runs `call`, and makes an error of a panic: fjall trusts its files in places, and gives up over damaged ones.
pub(crate) fn guarded<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    stead_embedded::guarded(panicked, call)
}

/// As [`guarded`], for a scan: one guard around it instead of one for each record.
pub(crate) fn guarded_around<T>(call: impl FnOnce(&Outside) -> Result<T>) -> Result<T> {
    stead_embedded::guarded_around(panicked, call)
}

#[cold]
fn panicked() -> Error {
    Error::corrupt("fjall panicked, as it does over damaged files; restore the store from a backup")
}

/// A file that is not as it was written.
pub(crate) fn damaged(what: &'static str, path: &Path) -> Error {
    Error::corrupt(what).with("file", path.display()).during("open")
}

/// A failure to get at a file of a complete store, where one that is missing or ends early is damage.
pub(crate) fn file(cause: io::Error, path: &Path) -> Error {
    io(cause).with("file", path.display()).during("open")
}

fn io(cause: io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::NotFound => {
            Error::corrupt("a file of the store is missing; restore the store from a backup").because(cause)
        }
        // The last is what comes of looking for the end of a file that has none.
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => {
            Error::corrupt("a file of the store ends early or is damaged; restore the store from a backup")
                .because(cause)
        }
        _ => file_error("the disk failed", cause),
    }
}

/// A failure of fjall.
pub(crate) fn fjall(error: fjall::Error) -> Error {
    match error {
        fjall::Error::Io(cause) | fjall::Error::Storage(LsmError::Io(cause)) => io(cause),
        fjall::Error::Poisoned => Error::unavailable(
            "fjall failed before, perhaps in the background, and takes no more writes; open the store anew and check it",
        )
        .because(error),
        fjall::Error::Locked => Error::unavailable(
            "fjall's files are open elsewhere, in another process or this one; close them there, or choose another path",
        ),
        fjall::Error::InvalidVersion(_) => {
            Error::corrupt("the files are of a fjall format that this version does not read").because(error)
        }
        other => Error::corrupt("fjall finds its files damaged; restore the store from a backup").because(other),
    }
}

/// A failure of the commit itself, after which nobody knows what is on disk: never `Full`, which would promise that
/// nothing was written.
pub(crate) fn commit(error: fjall::Error) -> Error {
    let error = fjall(error);
    if error.kind() == ErrorKind::Full {
        return Error::unavailable(
            "fjall found no room in the middle of a commit; make room and open the store anew",
        )
        .because(error);
    }
    error
}
