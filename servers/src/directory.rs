//! The directory of one server, which goes with it.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Once;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::postgres::remove_shared_memory;
use crate::program::User;

const PREFIX: &str = "stead-server-";
/// Locked by the process that the directory belongs to, as long as that lives.
const LOCK: &str = "owner.lock";
/// A unix socket's path has at most 107 bytes; this leaves room for the names below the base.
const LONGEST_BASE: usize = 60;

/// A directory that only its owner may enter.
#[derive(Debug)]
pub(crate) struct Directory {
    // Removed first, then unlocked.
    directory: TempDir,
    _lock: File,
}

impl Directory {
    pub(crate) fn make() -> Result<Directory> {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(remove_left_over);
        let base = base()?;
        let directory = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(&base)
            .with_context(|| format!("cannot make a directory in {}", base.display()))?;
        // Locked before it has the name that others look for.
        let draft = directory.path().join("owner.new");
        let lock = File::create(&draft)?;
        lock.lock()?;
        fs::rename(draft, directory.path().join(LOCK))?;
        Ok(Directory {
            directory,
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Makes a directory in this one.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path().join(name);
        fs::create_dir(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o700))?;
        Ok(path)
    }

    /// Lets a user in who owns folders of this directory.
    pub(crate) fn let_in(&self, user: Option<&User>) -> Result<()> {
        if user.is_some() {
            fs::set_permissions(self.path(), Permissions::from_mode(0o711))?;
        }
        Ok(())
    }

    /// A file for what the server prints.
    pub(crate) fn log(&self) -> Result<File> {
        Ok(File::options().create(true).append(true).open(self.log_path())?)
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.path().join("server.log")
    }

    /// Whether what the server printed behind the first `start` bytes holds `words`.
    pub(crate) fn log_says(&self, start: u64, words: &str) -> bool {
        let log = fs::read(self.log_path()).unwrap_or_default();
        let start = usize::try_from(start).unwrap_or(usize::MAX).min(log.len());
        String::from_utf8_lossy(&log[start..]).contains(words)
    }

    /// How much the server has printed, in bytes.
    pub(crate) fn log_length(&self) -> u64 {
        fs::metadata(self.log_path()).map_or(0, |log| log.len())
    }

    /// The end of what the server printed, for an error.
    pub(crate) fn log_end(&self) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

/// Writes a file that only its owner may read, and gives it to `user`.
pub(crate) fn write_private(path: &Path, content: &str, user: Option<&User>) -> Result<()> {
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    user.map_or(Ok(()), |user| user.own(path))
}

/// Where the directories are made.
pub(crate) fn base() -> Result<PathBuf> {
    let base = std::env::var_os("STEAD_SERVERS_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let base = fs::canonicalize(&base).with_context(|| format!("there is no {}", base.display()))?;
    if base.as_os_str().len() > LONGEST_BASE {
        return Ok(PathBuf::from("/tmp"));
    }
    Ok(base)
}

/// Removes the directories of processes that ended without doing it. Best effort: what is left is somebody's next try.
fn remove_left_over() {
    let Ok(entries) = base().and_then(|base| Ok(fs::read_dir(base)?)) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_left_over(&path) {
            remove_shared_memory(&path);
            let _ = fs::remove_dir_all(&path);
        }
    }
}

fn is_left_over(path: &Path) -> bool {
    let is_ours = fs::symlink_metadata(path)
        .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw());
    is_ours && File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_left_over_only_when_its_owner_is_gone() -> Result<()> {
        let owned = Directory::make()?;
        assert!(!is_left_over(owned.path()));

        let base = base()?;
        let orphan = tempfile::Builder::new()
            .prefix("stead-orphan-")
            .tempdir_in(base)?;
        assert!(!is_left_over(orphan.path()), "one that is just being made");
        File::create(orphan.path().join(LOCK))?;
        assert!(is_left_over(orphan.path()));
        Ok(())
    }
}
