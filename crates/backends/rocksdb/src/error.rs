//! What RocksDB's errors mean to a caller.

use std::path::Path;

use rocksdb::ErrorKind;
use stead_core::Error;
use stead_embedded::locked_error;

const RESTORE: &str = "rocksdb finds its files damaged; restore the store from a backup";

/// A failure to read.
pub(crate) fn reading(error: rocksdb::Error) -> Error {
    match error.kind() {
        ErrorKind::Corruption => damaged(error),
        ErrorKind::ShutdownInProgress => Error::closed(),
        // A file that the store needs, and that somebody removed.
        ErrorKind::IOError if is_missing(&error) => damaged(error),
        ErrorKind::IOError => Error::unavailable("the disk failed").because(error),
        _ => Error::unavailable("rocksdb failed; open the store anew").because(error),
    }
}

/// A failure of the commit itself, after which nobody knows what is on disk: never `Full`, which would promise that
/// nothing was written.
pub(crate) fn writing(error: rocksdb::Error) -> Error {
    match error.kind() {
        ErrorKind::Corruption => damaged(error),
        _ if is_full(&error) => Error::unavailable(
            "rocksdb could not finish a commit, there is no room left on the disk; make room and open the store anew",
        )
        .because(no_room(error)),
        _ => Error::unavailable("rocksdb could not finish a commit; open the store anew").because(error),
    }
}

/// A failure to open the database at `data`, which is there and is ours.
pub(crate) fn opening(error: rocksdb::Error, data: &Path) -> Error {
    let text: &str = error.as_ref();
    let error = match error.kind() {
        _ if text.contains("lock hold by current process") || text.contains("While lock file") => {
            return locked_error(&data.join("LOCK"));
        }
        ErrorKind::Corruption => return at(damaged(error), data),
        ErrorKind::IOError if is_missing(&error) => return at(damaged(error), data),
        // What a database is told that lacks its CURRENT file, or one of our column families.
        ErrorKind::InvalidArgument => return at(damaged(error), data),
        ErrorKind::NotSupported => {
            Error::corrupt("the store was written by a newer rocksdb; use a newer version of the program")
                .because(error)
        }
        _ if is_full(&error) => no_room(error),
        _ => Error::unavailable(
            "rocksdb cannot open its files; check who owns the path and that the disk works",
        )
        .because(error),
    };
    at(error, data)
}

fn no_room(error: rocksdb::Error) -> Error {
    Error::full("there is no room left on the disk; make room").because(error)
}

fn at(error: Error, data: &Path) -> Error {
    error.with("path", data.display()).during("open")
}

/// RocksDB's messages name the file, and some of them show keys: the first is repeated, the second stays in the cause.
fn damaged(error: rocksdb::Error) -> Error {
    let file = named_file(error.as_ref()).map(str::to_owned);
    let damaged = Error::corrupt(RESTORE);
    match file {
        Some(file) => damaged.with("file", file),
        None => damaged,
    }
    .because(error)
}

fn is_missing(error: &rocksdb::Error) -> bool {
    error.as_ref().contains("No such file or directory")
}

fn is_full(error: &rocksdb::Error) -> bool {
    error.as_ref().contains("No space left on device")
}

/// The first file of a database that a message names.
fn named_file(message: &str) -> Option<&str> {
    message
        .split(|part: char| part.is_whitespace() || matches!(part, ':' | ',' | ';' | '(' | ')' | '"'))
        .map(|word| word.rsplit('/').next().unwrap_or(word).trim_end_matches('.'))
        .find(|name| {
            name.strip_suffix(".sst")
                .or_else(|| name.strip_suffix(".log"))
                .is_some_and(is_number)
                || name.strip_prefix("MANIFEST-").is_some_and(is_number)
                || *name == "CURRENT"
        })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_messages() {
        for (message, file) in [
            (
                "Corruption: block checksum mismatch: stored = 1, computed = 2, type = 4  in /a/b/000012.sst offset 0 size 9",
                Some("000012.sst"),
            ),
            (
                "IO error: No such file or directory: While open a file: /a/MANIFEST-000005: No such",
                Some("MANIFEST-000005"),
            ),
            (
                "Corruption: CURRENT file does not end with newline",
                Some("CURRENT"),
            ),
            ("Corruption: checksum mismatch", None),
            ("Corruption: the key a.sst", None),
        ] {
            assert_eq!(named_file(message), file, "{message}");
        }
    }
}
