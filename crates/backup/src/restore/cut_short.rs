//! What is told where a restore could not go on.

use std::error::Error as StdError;
use std::io;

use stead_core::{Error, ErrorKind};

/// What a restore wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The target, which was empty and is marked as unfinished.
    Target,
    /// A second store, which goes.
    Second,
}

/// What went wrong while `place` was filled. Of a single write nobody may know whether it happened; of the restore it is
/// known that it is not done, and so it is no unknown outcome.
pub(super) fn cut_short(error: Error, place: Place) -> Error {
    let kind = match error.kind() {
        ErrorKind::Full | ErrorKind::Unavailable | ErrorKind::UnknownOutcome if is_full(&error) => {
            ErrorKind::Full
        }
        ErrorKind::Unavailable | ErrorKind::UnknownOutcome => ErrorKind::Unavailable,
        _ => return error,
    };
    let message = match (kind, place) {
        (ErrorKind::Full, Place::Target) => {
            "there is no room left, and the target holds a part of the backup; make room and restore it again"
        }
        (ErrorKind::Full, Place::Second) => {
            "there is no room left for a second store, and nothing has changed; make room and restore again"
        }
        (_, Place::Target) => {
            "the restore was cut short, and the target holds a part of the backup; restore it again"
        }
        (_, Place::Second) => "the second store could not be filled, and nothing has changed; restore again",
    };
    Error::new(kind, message).because(error)
}

/// Whether an error, or what it comes from, is a full disk or another limit of room.
fn is_full(error: &Error) -> bool {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(cause) = next {
        let ours = cause.downcast_ref::<Error>().map(Error::kind);
        let of_the_system = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let full = matches!(
            of_the_system,
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
        );
        if ours == Some(ErrorKind::Full) || full {
            return true;
        }
        next = cause.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_found_below_a_write_that_may_have_happened() {
        let disk = || io::Error::from(io::ErrorKind::StorageFull);
        let write = |cause: Error| Error::unknown_outcome("the write failed").because(cause);
        let full = [
            Error::full("no room"),
            write(Error::unavailable("the commit failed").because(disk())),
            write(Error::full("no room")),
        ];
        for error in full {
            let told = cut_short(error, Place::Target);
            assert_eq!(told.kind(), ErrorKind::Full, "{told}");
            assert!(told.source().is_some());
        }
        let told = cut_short(write(Error::unavailable("the commit failed")), Place::Second);
        assert_eq!(told.kind(), ErrorKind::Unavailable);
        assert!(told.to_string().contains("nothing has changed"), "{told}");
    }

    #[test]
    fn what_is_wrong_otherwise_is_told_as_it_is() {
        for error in [
            Error::corrupt("damaged"),
            Error::invalid("too large"),
            Error::closed(),
        ] {
            let (kind, text) = (error.kind(), error.to_string());
            let told = cut_short(error, Place::Target);
            assert_eq!((told.kind(), told.to_string()), (kind, text));
        }
    }
}
