//! How the last session with a store ended, and what was safe on disk when it began.
//!
//! RocksDB's log cannot say that its last batches are missing, nor its manifest, the list of its files, that its last
//! records are. So a file beside the database holds one line: while the store is open, how much of the manifest was there
//! when it was opened; after a clean close, the last sequence number. The next open compares.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use stead_core::{Error, Result};
use stead_embedded::file_error;

pub(crate) const FILE: &str = "SESSION";
const DRAFT: &str = "SESSION.new";
const CLOSED: &str = "stead rocksdb closed at ";
const OPENED: &str = "stead rocksdb opened with ";

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    /// There was a clean end at this sequence number.
    Closed(u64),
    /// There was none. When the session began, this much of this manifest was safe on disk.
    Opened {
        /// The file's name.
        manifest: String,
        /// Its length in bytes.
        length: usize,
    },
}

impl Session {
    fn parse(text: &str) -> Option<Self> {
        let line = text.strip_suffix('\n')?;
        if let Some(sequence) = line.strip_prefix(CLOSED) {
            return sequence.parse().ok().map(Session::Closed);
        }
        let (length, manifest) = line.strip_prefix(OPENED)?.split_once(" bytes of ")?;
        Some(Session::Opened {
            manifest: manifest.to_owned(),
            length: length.parse().ok()?,
        })
    }

    fn text(&self) -> String {
        match self {
            Session::Closed(sequence) => format!("{CLOSED}{sequence}\n"),
            Session::Opened { manifest, length } => format!("{OPENED}{length} bytes of {manifest}\n"),
        }
    }
}

/// The file in the directory of a store.
#[derive(Clone, Debug)]
pub(crate) struct SessionFile {
    directory: PathBuf,
}

impl SessionFile {
    pub(crate) fn new(directory: &Path) -> Self {
        SessionFile {
            directory: directory.to_owned(),
        }
    }

    /// What it says, or `None` in a store whose making was cut short.
    ///
    /// # Errors
    ///
    /// `Corrupt` for a file that says nothing of the kind.
    pub(crate) fn read(&self) -> Result<Option<Session>> {
        let text = match fs::read(self.file()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        let session = std::str::from_utf8(&text).ok().and_then(Session::parse);
        session.map(Some).ok_or_else(|| {
            self.corrupt("the record of the last session is damaged; restore the store from a backup")
        })
    }

    /// Compares the last sequence number that was found with the one of the clean close.
    ///
    /// # Errors
    ///
    /// `Corrupt` if they differ.
    pub(crate) fn compare(&self, session: Option<&Session>, found: u64) -> Result<()> {
        match session {
            Some(Session::Closed(recorded)) if *recorded != found => Err(self
                .corrupt(
                    "the store is not as it was closed: writes are missing, or others were added; restore it from a \
                     backup",
                )
                .with("closed_at", recorded)
                .with("found", found)),
            _ => Ok(()),
        }
    }

    /// Replaces it, durably and at once. What it says must be true on disk by now.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Full`.
    pub(crate) fn write(&self, session: &Session) -> Result<()> {
        let write = || {
            let draft = self.directory.join(DRAFT);
            let mut file = File::create(&draft)?;
            file.write_all(session.text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, self.file())?;
            File::open(&self.directory)?.sync_all()
        };
        write().map_err(|error| self.failed(error))
    }

    fn file(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    fn corrupt(&self, message: &'static str) -> Error {
        Error::corrupt(message)
            .with("file", self.file().display())
            .during("open")
    }

    fn failed(&self, cause: io::Error) -> Error {
        file_error("cannot get at the record of the last session", cause).with("file", self.file().display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let opened = Session::Opened {
            manifest: "MANIFEST-000005".to_owned(),
            length: 941,
        };
        for session in [Session::Closed(17), opened] {
            assert_eq!(Session::parse(&session.text()), Some(session));
        }
        for text in [
            "",
            "stead rocksdb closed at 17",
            "stead rocksdb closed at x\n",
            "closed\n",
        ] {
            assert_eq!(Session::parse(text), None, "{text}");
        }
    }
}
