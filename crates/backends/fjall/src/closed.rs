//! The record of a clean close, a text file beside fjall's files.
//!
//! It says how long each journal is and which manifest each tree has. It is removed, for good, before fjall opens the
//! files, so a store that has one is as it was closed, or it is damaged.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use stead_core::{Error, Result};
use xxhash_rust::xxh3::xxh3_64;

use crate::{error, journal, manifest};

pub(crate) const FILE: &str = "CLOSED";
const DRAFT: &str = "CLOSED.new";
const TITLE: &str = "stead fjall closed 1\n";

/// The record in the directory of the store at `path`.
pub(crate) fn path_in(path: &Path) -> PathBuf {
    path.join(FILE)
}

/// Whether the store at `path` was closed cleanly.
///
/// # Errors
///
/// `Corrupt` if it was, and the files in `data` are not as they were then.
pub(crate) fn check(path: &Path, data: &Path) -> Result<bool> {
    let file = path_in(path);
    let found = match fs::read(&file) {
        Ok(found) => found,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(cause) => return Err(error::file(cause, &file)),
    };
    let written = body(&found).ok_or_else(|| {
        error::damaged(
            "the record of the last close is damaged; restore the store from a backup, or remove this file to open \
             the store as after a crash",
            &file,
        )
    })?;
    let now = describe(data)?;
    let differing = written.lines().zip(now.lines()).find(|(then, now)| then != now);
    match differing {
        None if written == now => Ok(true),
        Some((then, _)) => Err(changed(data).with("at_the_close", then)),
        None => Err(changed(data)),
    }
}

fn changed(data: &Path) -> Error {
    error::damaged(
        "the files are not as they were when the store was closed; restore the store from a backup",
        data,
    )
}

/// The text of a record whose checksum fits.
fn body(record: &[u8]) -> Option<&str> {
    let text = str::from_utf8(record).ok()?;
    let (body, sum) = text.strip_suffix('\n')?.rsplit_once("checksum ")?;
    (body.starts_with(TITLE) && sum == sum_of(body)).then_some(body)
}

fn sum_of(body: &str) -> String {
    format!("{:016x}", xxh3_64(body.as_bytes()))
}

fn describe(data: &Path) -> Result<String> {
    let mut text = TITLE.to_owned();
    let name = |path: &Path| path.strip_prefix(data).unwrap_or(path).display().to_string();
    for journal in journal::list(data)? {
        let length = fs::metadata(&journal)
            .map_err(|cause| error::file(cause, &journal))?
            .len();
        let _ = writeln!(text, "journal {} {length}", name(&journal));
    }
    for current in manifest::currents(data) {
        let bytes = fs::read(&current).map_err(|cause| error::file(cause, &current))?;
        let _ = write!(text, "tree {} ", name(&current));
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
    }
    Ok(text)
}

/// Records that the store at `path` was closed with the files in `data` as they are now.
///
/// # Errors
///
/// `Unavailable` or `Full`.
pub(crate) fn write(path: &Path, data: &Path) -> Result<()> {
    let body = describe(data)?;
    put(path, format!("{body}checksum {}\n", sum_of(&body)).as_bytes())
}

fn put(path: &Path, record: &[u8]) -> Result<()> {
    let put = || {
        let draft = path.join(DRAFT);
        let mut file = File::create(&draft)?;
        file.write_all(record)?;
        file.sync_all()?;
        fs::rename(draft, path_in(path))?;
        File::open(path)?.sync_all()
    };
    put().map_err(|cause| error::file(cause, &path_in(path)))
}

/// A record that was removed, to be put back if the files could not be opened.
pub(crate) struct Removed(Option<Vec<u8>>);

/// Removes the record, for good.
///
/// # Errors
///
/// `Unavailable`.
pub(crate) fn remove(path: &Path) -> Result<Removed> {
    let file = path_in(path);
    let remove = || -> io::Result<Vec<u8>> {
        let record = fs::read(&file)?;
        fs::remove_file(&file)?;
        File::open(path)?.sync_all()?;
        Ok(record)
    };
    match remove() {
        Ok(record) => Ok(Removed(Some(record))),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Removed(None)),
        Err(cause) => Err(error::file(cause, &file)),
    }
}

impl Removed {
    /// Puts the record back. If fjall changed anything meanwhile, the next open says that it is not as it was closed.
    pub(crate) fn put_back(self, path: &Path) {
        if let Some(record) = self.0 {
            // The caller is about to tell of the failure that led here.
            let _ = put(path, &record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_with_any_damage_says_nothing() {
        let text = format!("{TITLE}journal 0.jnl 4711\ntree keyspaces/0/current 00ff\n");
        let record = format!("{text}checksum {}\n", sum_of(&text)).into_bytes();
        assert_eq!(body(&record), Some(&*text));
        for at in 0..record.len() {
            let mut damaged = record.clone();
            damaged[at] ^= 1;
            assert_eq!(body(&damaged), None, "byte {at}");
            assert_eq!(body(&record[..at]), None, "length {at}");
        }
    }
}
