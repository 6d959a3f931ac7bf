//! The manifest after an unclean end. It is written in the format of the log.
//!
//! RocksDB appends to its manifest and syncs it. A power failure in between may leave the new length with only some of the
//! sectors, and what is missing is zeros. RocksDB ignores an end that is cut off, but refuses one with such a hole,
//! though nothing that it ever relied on is lost. So the end is cut off here.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use stead_core::{Error, Result};
use stead_embedded::file_error;

use super::Cut;
use super::reader::{is_followed, whole_records};
use crate::session::Session;

/// What a disk writes as a whole.
const SECTOR: usize = 512;

/// How the manifest in `data` has to be cut, if its end is torn and nothing else is wrong with it. RocksDB judges all
/// other manifests.
///
/// # Errors
///
/// `Corrupt` if less of it is good than the last session left safe on disk; `Unavailable` if the operating system
/// refuses.
pub(crate) fn torn_end(data: &Path, session: Option<&Session>) -> Result<Option<Cut>> {
    let Some((file, bytes)) = read(data).map_err(|error| failed(error, data))? else {
        return Ok(None);
    };
    let length = whole_records(&bytes);
    let safe = match session {
        Some(Session::Closed(_)) => bytes.len(),
        Some(Session::Opened { manifest, length }) if file.ends_with(manifest) => *length,
        // Nothing was written yet to a store that was being opened or made.
        _ => 0,
    };
    if length < safe {
        // RocksDB takes a record that reaches beyond the end of the file for one that was never whole.
        return Err(Error::corrupt(
            "rocksdb's manifest is damaged where it was safe on disk; restore the store from a backup",
        )
        .with("file", file.display())
        .with("offset_bytes", length)
        .during("open"));
    }
    let torn = length > 0 && has_hole(&bytes, length) && !is_followed(&bytes, length);
    Ok(torn.then_some(Cut { file, length }))
}

/// Makes the manifest of a database that was just opened safe on disk, and says how much of it there is.
///
/// # Errors
///
/// `Unavailable` if the operating system refuses.
pub(crate) fn settle(data: &Path) -> Result<Session> {
    let settle = || {
        let (file, bytes) = read(data)?.ok_or(io::ErrorKind::NotFound)?;
        File::open(&file)?.sync_all()?;
        let manifest = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        // RocksDB may be adding a record at this very moment.
        let length = whole_records(&bytes);
        Ok(Session::Opened { manifest, length })
    };
    settle().map_err(|error| failed(error, data))
}

fn failed(cause: io::Error, data: &Path) -> Error {
    file_error("cannot get at the store's manifest", cause)
        .with("path", data.display())
        .during("open")
}

/// The manifest that is in use, or `None` where that cannot be told.
fn read(data: &Path) -> io::Result<Option<(PathBuf, Vec<u8>)>> {
    let there = |result: io::Result<Vec<u8>>| match result {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let Some(current) = there(fs::read(data.join("CURRENT")))? else {
        return Ok(None);
    };
    let name = String::from_utf8_lossy(&current);
    let name = name.trim_end();
    if !name.starts_with("MANIFEST-") || name.contains(std::path::is_separator) {
        return Ok(None);
    }
    let file = data.join(name);
    let bytes = there(fs::read(&file))?;
    Ok(bytes.map(|bytes| (file, bytes)))
}

/// Whether what a sector holds of the end is zeros.
fn has_hole(bytes: &[u8], mut from: usize) -> bool {
    while from < bytes.len() {
        let end = bytes.len().min((from / SECTOR + 1) * SECTOR);
        if bytes[from..end].iter().all(|byte| *byte == 0) {
            return true;
        }
        from = end;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::tests::Writer;
    use super::*;

    /// The manifest of two synced records and one that was being written, and where that begins.
    fn manifest() -> (Vec<u8>, usize) {
        let mut writer = Writer::default();
        writer.record(&[b'a'; 300]);
        writer.record(&[b'b'; 200]);
        let synced = writer.0.len();
        writer.record(&[b'c'; 1500]);
        (writer.0, synced)
    }

    fn cut_of(bytes: &[u8]) -> Option<usize> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("CURRENT"), "MANIFEST-000005\n").unwrap();
        fs::write(dir.path().join("MANIFEST-000005"), bytes).unwrap();
        torn_end(dir.path(), None).unwrap().map(|cut| cut.length)
    }

    #[test]
    fn lost_sector_of_the_last_record_is_cut_off_with_it() {
        let (whole, synced) = manifest();
        for sector in synced / SECTOR..=whole.len() / SECTOR {
            let mut bytes = whole.clone();
            let end = bytes.len().min((sector + 1) * SECTOR);
            bytes[(sector * SECTOR).max(synced)..end].fill(0);
            assert_eq!(cut_of(&bytes), Some(synced), "sector {sector}");
        }
    }

    #[test]
    fn other_manifests_are_left_to_rocksdb() {
        let (whole, synced) = manifest();
        assert_eq!(cut_of(&whole), None);
        assert_eq!(cut_of(&whole[..synced + 700]), None, "cut off, which it ignores");
        assert_eq!(cut_of(&[]), None);
        let mut flipped = whole.clone();
        flipped[synced + 100] ^= 1;
        assert_eq!(cut_of(&flipped), None, "damage that no power failure leaves");
        let mut early = whole;
        early[100..300].fill(0);
        assert_eq!(cut_of(&early), None, "records that follow were synced after it");
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(torn_end(dir.path(), None).unwrap(), None);
    }
}
