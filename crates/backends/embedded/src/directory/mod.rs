//! The directory of a store on disk: the engine's data, the lock, and the marker that says what it is.

mod error;
mod foreign;
mod lock;
mod switch;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use stead_core::{Error, Result};

pub use error::{file_error, locked_error};
pub use lock::DirectoryLock;
pub use switch::Previous;

/// Says that the store is complete, and of which engine and layout it is.
const MARKER_FILE: &str = "STEAD";
/// The marker of a store that is being made.
const DRAFT_FILE: &str = "STEAD.new";
const LOCK_FILE: &str = "LOCK";
/// How files lie in the directory of a store. Programs refuse newer ones.
const LAYOUT: u32 = 1;

/// The directory of a store.
///
/// Its marker, a text file named `STEAD`, is written last when a store is made: from then on, data that is missing is
/// missed. A store whose making was cut short has a draft of the marker only; nothing was ever acknowledged from it, so
/// it is made anew.
///
/// An engine opens its store in this order: [`prepare`](StoreDirectory::prepare), [`lock`](StoreDirectory::lock) unless
/// its data file carries a lock of its own, [`begin`](StoreDirectory::begin), its data at
/// [`data`](StoreDirectory::data), [`mark`](StoreDirectory::mark).
///
/// ```
/// use stead_embedded::StoreDirectory;
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("store");
/// let directory = StoreDirectory::new(&path, "toy", "state.toy");
/// directory.prepare(true)?;
/// let lock = directory.lock(false)?;
/// directory.begin()?;
/// std::fs::create_dir(directory.data()).unwrap();
/// std::fs::write(directory.data().join("log"), "").unwrap();
/// directory.mark()?;
///
/// let other = StoreDirectory::new(&path, "tin", "state.tin");
/// let error = other.prepare(true).unwrap_err();
/// assert!(error.to_string().contains("engine=toy"), "{error}");
/// # Ok::<(), stead_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StoreDirectory {
    path: PathBuf,
    engine: &'static str,
    data: &'static str,
}

/// Whether there is no store at `path`, of whatever engine, and nothing in the way of one: no directory, an empty one, or one in
/// which the making of a store was cut short. Opening a store makes one there.
#[must_use]
pub fn is_free(path: &Path) -> bool {
    let is_there = |name| path.join(name).symlink_metadata().is_ok();
    match fs::read_dir(path) {
        Ok(mut names) => {
            let is_lock =
                |name: io::Result<fs::DirEntry>| name.is_ok_and(|name| name.file_name() == LOCK_FILE);
            !is_there(MARKER_FILE) && (is_there(DRAFT_FILE) || names.all(is_lock))
        }
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

impl StoreDirectory {
    /// The store of `engine`, as in its URL, in the directory `path`; the engine's file or directory in there is `data`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, engine: &'static str, data: &'static str) -> Self {
        StoreDirectory {
            path: path.into(),
            engine,
            data,
        }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the engine keeps its data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.path.join(self.data)
    }

    /// Looks at what is at the path, and makes the directory if nothing is and `create` says so.
    ///
    /// # Errors
    ///
    /// - `Invalid` for what can be no store of this engine: a file, a directory that holds something else, the store of
    ///   another engine, which is named, or no store where none is to be made;
    /// - `Corrupt` for a store that lost its data or is of a newer layout;
    /// - `Unavailable` if the operating system refuses.
    pub fn prepare(&self, create: bool) -> Result<()> {
        match fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_dir() => self.look(create),
            Ok(_) => {
                Err(self.invalid("the store path is a file; give a directory, or a path where none is yet"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && create => {
                fs::create_dir_all(&self.path).map_err(|error| self.failed(error))?;
                self.sync_parent().map_err(|error| self.failed(error))
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
        let empty = self.is_data_empty()?;
        match empty {
            None | Some(true) if marked => Err(Error::corrupt(
                "the store's data is missing or empty; restore the store from a backup",
            )
            .with("file", self.data().display())
            .during("open")),
            None | Some(true) if !create => Err(self.none()),
            None => self.check_no_strangers(),
            Some(_) => Ok(()),
        }
    }

    /// Whether the data holds nothing, or `None` where there is none.
    fn is_data_empty(&self) -> Result<Option<bool>> {
        let data = self.data();
        let seen = fs::metadata(&data).and_then(|metadata| {
            Ok(if metadata.is_dir() {
                fs::read_dir(&data)?.next().is_none()
            } else {
                metadata.len() == 0
            })
        });
        match seen {
            Ok(empty) => Ok(Some(empty)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Whether the store is complete.
    ///
    /// # Errors
    ///
    /// `Corrupt` for a marker that is none, of a newer layout, or of another engine than the data beside it; `Invalid` for
    /// that of another engine.
    pub fn is_marked(&self) -> Result<bool> {
        let marker = self.path.join(MARKER_FILE);
        let text = match fs::read(&marker) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(self.failed(error)),
        };
        match foreign::parse_marker(&String::from_utf8_lossy(&text)) {
            Some((engine, LAYOUT)) if engine == self.engine => Ok(true),
            Some((engine, layout)) if engine == self.engine => Err(Error::corrupt(
                "the store was written by a newer format; use a newer version of the program",
            )
            .with("layout", layout)
            .with("path", self.path.display())
            .during("open")),
            // An engine's data has a name of its own, so it is the marker that is wrong.
            Some(_) if self.data().exists() => Err(damaged_marker(&marker)),
            Some((engine, _)) => Err(self
                .invalid("the store at this path is of another engine; open it by that engine's URL")
                .with("engine", &engine)
                .with("asked_for", self.engine)),
            None => Err(damaged_marker(&marker)),
        }
    }

    /// A store is made only in a directory of its own.
    fn check_no_strangers(&self) -> Result<()> {
        if let Some(engine) = foreign::recognise(&self.path).map_err(|error| self.failed(error))? {
            return Err(self
                .invalid(
                    "the directory holds a bare database and no stead store; give a directory of its own",
                )
                .with("engine", engine));
        }
        let entries = fs::read_dir(&self.path).map_err(|error| self.failed(error))?;
        for entry in entries {
            let name = entry.map_err(|error| self.failed(error))?.file_name();
            if name != self.data && name != DRAFT_FILE && name != LOCK_FILE {
                return Err(self
                    .invalid("the directory holds other files and no store; give a directory of its own")
                    .with("found", name.display()));
            }
        }
        Ok(())
    }

    /// Takes the lock of the directory: alone for writing, together with other readers for reading. It is held until
    /// the returned value is dropped, and ends with the process.
    ///
    /// # Errors
    ///
    /// `Unavailable`, naming the lock, while another handle holds it in this process or another.
    pub fn lock(&self, read_only: bool) -> Result<DirectoryLock> {
        lock::take(&self.path.join(LOCK_FILE), read_only)
    }

    /// Begins to make a store: writes the draft of the marker, and removes data whose making was cut short. Does nothing
    /// to a complete store, nor to data without any marker, which somebody else may have put there. Only while the lock
    /// is held.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Full`.
    pub fn begin(&self) -> Result<()> {
        if self.is_marked()? {
            return Ok(());
        }
        let begin = || {
            let draft = self.path.join(DRAFT_FILE);
            let data = self.data();
            if draft.try_exists()? {
                remove(&data)?;
            } else if data.try_exists()? {
                return Ok(());
            }
            self.write_draft()?;
            sync_directory(&self.path)
        };
        begin().map_err(|error| self.failed(error))
    }

    /// Marks the store as complete. Everything that the engine needs to find it again must be durable by now.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Full`.
    pub fn mark(&self) -> Result<()> {
        if self.is_marked()? {
            return Ok(());
        }
        let write = || {
            self.write_draft()?;
            sync_directory(&self.path)?;
            fs::rename(self.path.join(DRAFT_FILE), self.path.join(MARKER_FILE))?;
            sync_directory(&self.path)
        };
        write().map_err(|error| self.failed(error))
    }

    fn write_draft(&self) -> io::Result<()> {
        let mut file = File::create(self.path.join(DRAFT_FILE))?;
        file.write_all(foreign::marker(self.engine, LAYOUT).as_bytes())?;
        file.sync_all()
    }

    /// A directory that was just made lasts only once the one that it stands in is synced.
    fn sync_parent(&self) -> io::Result<()> {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
            _ => sync_directory(Path::new(".")),
        }
    }

    /// Bytes that all files of the data take of the disk, without the holes in them.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the operating system refuses.
    pub fn disk_bytes(&self) -> Result<u64> {
        size_of(&self.data()).map_err(|error| self.failed(error))
    }

    fn none(&self) -> Error {
        self.invalid("there is no store at this path; open it for writing to make one")
    }

    fn invalid(&self, message: &'static str) -> Error {
        Error::invalid(message)
            .with("path", self.path.display())
            .during("open")
    }

    fn failed(&self, cause: io::Error) -> Error {
        file_error("cannot get at the store's directory", cause)
            .with("path", self.path.display())
            .during("open")
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Files may come and go meanwhile: an engine that compacts does that.
fn size_of(path: &Path) -> io::Result<u64> {
    let gone = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Ok(0),
        _ => Err(error),
    };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return gone(error),
    };
    if !metadata.is_dir() {
        return Ok(occupied(&metadata));
    }
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return gone(error),
    };
    let mut size_bytes = 0;
    for entry in entries {
        size_bytes += size_of(&entry?.path())?;
    }
    Ok(size_bytes)
}

fn damaged_marker(marker: &Path) -> Error {
    Error::corrupt(
        "the marker file of the store is damaged, or not that of a store; restore the store from a backup, or give \
         a directory of its own",
    )
    .with("file", marker.display())
    .during("open")
}

/// What a file takes of the disk: some engines make their logs larger than what is in them, and most of it a hole.
#[cfg(unix)]
fn occupied(metadata: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    metadata.len().min(metadata.blocks().saturating_mul(512))
}

#[cfg(not(unix))]
fn occupied(metadata: &fs::Metadata) -> u64 {
    metadata.len()
}

#[cfg(test)]
mod tests;
