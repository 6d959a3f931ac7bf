//! Putting one store in the place of another, in one step of the file system.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use stead_core::{Error, Result};

use super::error::file_error;
use super::{StoreDirectory, remove, sync_directory};

/// The store that is to take the place of the one in whose directory it lies; after the switch, the one that was replaced.
const STAGED: &str = "RESTORING";
/// A replaced store that was to be kept.
const PREVIOUS: &str = "PREVIOUS";
/// Behind the name of a record that was put aside.
const ASIDE: &str = ".aside";
/// What shows whether the file system can exchange two names.
const PROBES: [&str; 2] = ["probe.1", "probe.2"];

/// What becomes of the data that were replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Previous {
    /// They are removed.
    #[default]
    Remove,
    /// They are kept, as a store of its own in the folder `PREVIOUS` of the store's directory.
    Keep,
}

impl StoreDirectory {
    /// Where the store lies that is to take the place of this one: in its directory, so on its file system whatever the
    /// directory is.
    pub(crate) fn staged_path(&self) -> PathBuf {
        self.path.join(STAGED)
    }

    /// That a store may be staged, of which nothing is made yet.
    ///
    /// # Errors
    ///
    /// `Invalid` if what was replaced is to be kept, and what another restore replaced still is; `Unavailable` while
    /// somebody has a store open where one is staged.
    pub(crate) fn check_stage(&self, previous: Previous) -> Result<()> {
        let kept = self.path.join(PREVIOUS);
        if previous == Previous::Keep && kept.try_exists().map_err(|cause| self.unswitched(cause))? {
            return Err(Error::invalid(
                "what another restore replaced is still kept here; remove it, or do not ask for it to be kept",
            )
            .with("kept", kept.display()));
        }
        let staged = StoreDirectory {
            path: self.staged_path(),
            ..self.clone()
        };
        if staged.is_marked()? {
            // What a killed restore left is nobody's.
            staged.lock(false)?;
        }
        Ok(())
    }

    /// Makes room for a store to be staged, and removes one whose restore was cut short. Only while the lock is held.
    ///
    /// # Errors
    ///
    /// As [`check_stage`](StoreDirectory::check_stage); `Unsupported` where names cannot be exchanged; `Unavailable` or
    /// `Full`.
    pub(crate) fn make_stage(&self, previous: Previous) -> Result<()> {
        self.check_stage(previous)?;
        let staged = self.staged_path();
        let make = || {
            remove(&staged)?;
            fs::create_dir(&staged)?;
            for probe in PROBES {
                fs::create_dir(staged.join(probe))?;
            }
            Ok(PROBES.map(|probe| staged.join(probe)))
        };
        let [one, other] = make().map_err(|cause| self.unswitched(cause))?;
        // Rather than after hours of filling.
        exchange(&one, &other)?;
        let clear = || fs::remove_dir(&one).and_then(|()| fs::remove_dir(&other));
        clear().map_err(|cause| self.unswitched(cause))
    }

    /// Removes what [`make_stage`](StoreDirectory::make_stage) made, as far as that goes.
    pub(crate) fn clear_stage(&self) {
        // Who fails has told why, and the next restore removes it.
        let _ = remove(&self.staged_path());
    }

    /// Puts the data of the staged store in the place of this one's. Both are closed, and their locks held. A kill at any
    /// instant leaves the one or the other.
    ///
    /// The `records` beside the data tell how they are, and two names cannot change at once. So there is none at the instant
    /// of the exchange: data without a record are those of a store that was not closed, and are opened as after a crash.
    ///
    /// Returns where the replaced data are, if they still are.
    ///
    /// # Errors
    ///
    /// `Unavailable`, `Unsupported` or `Full` where nothing was switched; `UnknownOutcome` if it was, and the disk does not
    /// say that it will last.
    pub(crate) fn switch(&self, records: &[&str], previous: Previous) -> Result<Option<PathBuf>> {
        let staged = StoreDirectory {
            path: self.staged_path(),
            ..self.clone()
        };
        if !staged.is_marked()? {
            return Err(Error::internal("the staged store is not complete"));
        }
        let put_aside = || {
            sync_tree(&staged.path)?;
            self.put_aside(records)?;
            sync_directory(&self.path)
        };
        let switched = put_aside()
            .map_err(|cause| self.unswitched(cause))
            .and_then(|()| exchange(&self.data(), &staged.data()));
        if let Err(error) = switched {
            // It is as it was, then. Where even that fails, the store is opened as after a crash.
            let _ = self.put_back(records);
            return Err(error);
        }
        let finish = || {
            sync_directory(&self.path)?;
            sync_directory(&staged.path)?;
            for record in records {
                rename_if_there(&staged.path.join(record), &self.path.join(record))?;
                rename_if_there(&staged.path.join(aside(record)), &staged.path.join(record))?;
            }
            sync_directory(&staged.path)?;
            sync_directory(&self.path)
        };
        finish().map_err(|cause| {
            Error::unknown_outcome(
                "the store was switched, and the disk failed before that was sure to last; look at the disk, open the \
                 store, and see which state it has",
            )
            .with("path", self.path.display())
            .because(cause)
        })?;
        Ok(self.end_stage(previous))
    }

    /// What is done to the replaced data.
    fn end_stage(&self, previous: Previous) -> Option<PathBuf> {
        let staged = self.staged_path();
        let kept = self.path.join(PREVIOUS);
        match previous {
            // The switch is done whatever comes of this, and the caller learns where they are.
            Previous::Remove => remove(&staged).err().map(|_| staged),
            Previous::Keep => {
                let renamed = fs::rename(&staged, &kept).and_then(|()| sync_directory(&self.path));
                Some(renamed.map_or(staged, |()| kept))
            }
        }
    }

    fn put_aside(&self, records: &[&str]) -> io::Result<()> {
        let staged = self.staged_path();
        records
            .iter()
            .try_for_each(|record| rename_if_there(&self.path.join(record), &staged.join(aside(record))))
    }

    fn put_back(&self, records: &[&str]) -> io::Result<()> {
        let staged = self.staged_path();
        for record in records {
            rename_if_there(&staged.join(aside(record)), &self.path.join(record))?;
        }
        sync_directory(&self.path)
    }

    fn unswitched(&self, cause: io::Error) -> Error {
        file_error("cannot stage a store in the store's directory", cause).with("path", self.path.display())
    }
}

fn aside(record: &str) -> String {
    format!("{record}{ASIDE}")
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Syncs every file and directory. The engines have done so; this asks once more, because the store that there is goes.
fn sync_tree(path: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(path)?.file_type();
    if kind.is_dir() {
        for entry in fs::read_dir(path)? {
            sync_tree(&entry?.path())?;
        }
    }
    if kind.is_dir() || kind.is_file() {
        File::open(path)?.sync_all()?;
    }
    Ok(())
}

/// Exchanges what two names stand for, in one step.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn exchange(one: &Path, other: &Path) -> Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;

    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(errno @ (Errno::INVAL | Errno::NOSYS | Errno::NOTSUP)) => Err(cannot_exchange().because(errno)),
        Err(errno) => Err(file_error("cannot exchange two files", errno.into()).with("path", one.display())),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn exchange(_: &Path, _: &Path) -> Result<()> {
    Err(cannot_exchange())
}

fn cannot_exchange() -> Error {
    Error::unsupported(
        "the file system cannot exchange two files in one step; restore into an empty store, and put that in the place of \
         this one while both are closed",
    )
}
