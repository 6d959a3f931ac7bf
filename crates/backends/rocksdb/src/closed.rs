//! The record of a clean end.
//!
//! The log of RocksDB cannot say that its last batches are missing. So a clean close leaves a file beside the database
//! that names the last sequence number, and the next open compares. It is gone, durably, before anything is written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use stead_core::{Error, Result};
use stead_embedded::file_error;

const CLOSED_FILE: &str = "CLOSED";
const DRAFT_FILE: &str = "CLOSED.new";
const TITLE: &str = "stead rocksdb closed at";

/// The record in the directory of a store.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    directory: PathBuf,
}

impl Closed {
    pub(crate) fn new(directory: &Path) -> Self {
        Closed {
            directory: directory.to_owned(),
        }
    }

    /// The last sequence number, if the store was closed cleanly.
    ///
    /// # Errors
    ///
    /// `Corrupt` for a record that is none.
    pub(crate) fn read(&self) -> Result<Option<u64>> {
        let text = match fs::read(self.file()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        let parsed = std::str::from_utf8(&text).ok().and_then(|text| {
            text.strip_prefix(TITLE)?
                .strip_prefix(' ')?
                .strip_suffix('\n')?
                .parse()
                .ok()
        });
        parsed.map(Some).ok_or_else(|| {
            self.corrupt("the record of the clean close is damaged; restore the store from a backup")
        })
    }

    /// Compares what was found with the record.
    ///
    /// # Errors
    ///
    /// `Corrupt` if they differ.
    pub(crate) fn compare(&self, recorded: u64, found: u64) -> Result<()> {
        if recorded == found {
            return Ok(());
        }
        Err(self
            .corrupt("the store is not as it was closed: writes are missing, or others were added; restore it from a backup")
            .with("closed_at", recorded)
            .with("found", found))
    }

    /// Records a clean end at `sequence`. Everything must be durable by now.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Full`.
    pub(crate) fn write(&self, sequence: u64) -> Result<()> {
        let write = || {
            let draft = self.directory.join(DRAFT_FILE);
            let mut file = File::create(&draft)?;
            writeln!(file, "{TITLE} {sequence}")?;
            file.sync_all()?;
            fs::rename(&draft, self.file())?;
            self.sync()
        };
        write().map_err(|error| self.failed(error))
    }

    /// Takes the record away, durably.
    ///
    /// # Errors
    ///
    /// `Unavailable`.
    pub(crate) fn remove(&self) -> Result<()> {
        let remove = || match fs::remove_file(self.file()) {
            Ok(()) => self.sync(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        remove().map_err(|error| self.failed(error))
    }

    fn file(&self) -> PathBuf {
        self.directory.join(CLOSED_FILE)
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn corrupt(&self, message: &'static str) -> Error {
        Error::corrupt(message)
            .with("file", self.file().display())
            .during("open")
    }

    fn failed(&self, cause: io::Error) -> Error {
        file_error("cannot get at the record of the clean close", cause).with("file", self.file().display())
    }
}
