//! The directory of a store: the data file, and the marker that says what it is.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use stead_core::{Error, Result};

use crate::error;

/// redb's file, which also carries the lock.
const DATA_FILE: &str = "state.redb";
/// Written once the data file is complete.
const MARKER_FILE: &str = "STEAD";
const MARKER_DRAFT: &str = "STEAD.new";
const MARKER: &str = "stead store\nengine redb\nlayout 1\n";

/// The directory of a store.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    directory: PathBuf,
    pub(crate) data: PathBuf,
}

impl Files {
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Files {
            directory: directory.to_owned(),
            data: directory.join(DATA_FILE),
        }
    }

    /// Looks at what is at the path, and makes the directory if nothing is and `create` says so.
    ///
    /// # Errors
    ///
    /// `Invalid` for what can be no store, `Corrupt` for one that lost its file or is of a newer layout.
    pub(crate) fn prepare(&self, create: bool) -> Result<()> {
        match fs::metadata(&self.directory) {
            Ok(metadata) if metadata.is_dir() => self.look(create),
            Ok(_) => {
                Err(self.invalid("the store path is a file; give a directory, or a path where none is yet"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && create => {
                fs::create_dir_all(&self.directory).map_err(|error| self.failed(error))?;
                sync_parent(&self.directory).map_err(|error| self.failed(error))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.none()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Err(self.invalid("a part of the store path is a file"))
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    fn look(&self, create: bool) -> Result<()> {
        let marked = self.is_marked()?;
        let length = match fs::metadata(&self.data) {
            Ok(metadata) if metadata.is_file() => Some(metadata.len()),
            Ok(_) => return Err(self.invalid("the store's data file is no file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(self.failed(error)),
        };
        match length {
            None | Some(0) if marked => Err(Error::corrupt(
                "the store's data file is missing or empty; restore the store from a backup",
            )
            .with("file", self.data.display())
            .during("open")),
            None | Some(0) if !create => Err(self.none()),
            None => self.check_no_strangers(),
            Some(_) => Ok(()),
        }
    }

    fn is_marked(&self) -> Result<bool> {
        let marker = self.directory.join(MARKER_FILE);
        let text = match fs::read(&marker) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(self.failed(error)),
        };
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines();
        let foreign = || {
            Error::corrupt("the marker file is not that of a stead store")
                .with("file", marker.display())
                .during("open")
        };
        if lines.next() != Some("stead store") {
            return Err(foreign());
        }
        let mut engine = None;
        let mut layout = None;
        for line in lines {
            match line.split_once(' ') {
                Some(("engine", name)) => engine = Some(name),
                Some(("layout", number)) => layout = number.parse::<u32>().ok(),
                _ => {}
            }
        }
        match (engine, layout) {
            (Some("redb"), Some(1)) => Ok(true),
            (Some("redb"), Some(layout)) => Err(Error::corrupt(
                "the store was written by a newer format; use a newer version of the program",
            )
            .with("layout", layout)
            .with("path", self.directory.display())
            .during("open")),
            (Some(_), Some(_)) => Err(self.invalid("the store at this path is of another engine")),
            _ => Err(foreign()),
        }
    }

    /// A store is made only in a directory of its own.
    fn check_no_strangers(&self) -> Result<()> {
        let entries = fs::read_dir(&self.directory).map_err(|error| self.failed(error))?;
        for entry in entries {
            let name = entry.map_err(|error| self.failed(error))?.file_name();
            if name != DATA_FILE && name != MARKER_DRAFT {
                return Err(self
                    .invalid("the directory holds other files and no store; give a directory of its own")
                    .with("found", name.display()));
            }
        }
        Ok(())
    }

    /// Opens the data file and takes its lock.
    ///
    /// redb writes its magic number only once a new file is set up. What has none and was never marked is left over
    /// from a crash in between, and is begun again.
    ///
    /// # Errors
    ///
    /// `Unavailable`, naming the lock if it is that.
    pub(crate) fn lock_data(&self) -> Result<File> {
        let failed = |error| error::file(error, &self.data);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.data)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(error::locked(&self.data)),
            // redb knows what to do where there are no locks.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut front = Vec::new();
        (&mut file).take(9).read_to_end(&mut front).map_err(failed)?;
        if front.iter().all(|byte| *byte == 0) && !self.is_marked()? {
            file.set_len(0).map_err(failed)?;
        }
        Ok(file)
    }

    /// Marks the directory as a complete store, so that a data file that goes missing is missed.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Full`.
    pub(crate) fn mark(&self) -> Result<()> {
        if self.is_marked()? {
            return Ok(());
        }
        let write = || {
            let draft = self.directory.join(MARKER_DRAFT);
            let mut file = File::create(&draft)?;
            file.write_all(MARKER.as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, self.directory.join(MARKER_FILE))?;
            File::open(&self.directory)?.sync_all()
        };
        write().map_err(|error| self.failed(error))
    }

    fn none(&self) -> Error {
        self.invalid("there is no store at this path; open it for writing to make one")
    }

    fn invalid(&self, message: &'static str) -> Error {
        Error::invalid(message)
            .with("path", self.directory.display())
            .during("open")
    }

    fn failed(&self, cause: io::Error) -> Error {
        error::io_error("cannot get at the store's directory", cause)
            .with("path", self.directory.display())
            .during("open")
    }
}

/// A directory that was just made lasts only once the one that it stands in is synced.
fn sync_parent(directory: &Path) -> io::Result<()> {
    match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}
