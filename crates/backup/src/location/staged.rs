//! Files whose bytes are on the disk before they get their names.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::directory::sync;

/// A file that is whole and durable beside its place, under a name that leftovers have. Removed when it is dropped.
pub(crate) struct Staged {
    path: PathBuf,
    /// `None` once it has its name.
    temporary: Option<PathBuf>,
    /// Folders that were made for it, and the one above them.
    made: Vec<PathBuf>,
}

impl Staged {
    /// Writes a file in one of the folders below `root`, which is made where it is missing; `root` never is.
    pub(super) fn write(root: &Path, folder: &str, name: &str, bytes: &[u8]) -> io::Result<Self> {
        let path = root.join(folder).join(name);
        let mut made = Vec::new();
        let (temporary, mut file) = match create_temporary(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                made = make_below(root, folder)?;
                create_temporary(&path)?
            }
            created => created?,
        };
        let staged = Staged {
            path,
            temporary: Some(temporary),
            made,
        };
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(staged)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name, whatever had it before. The name is durable once the folder was synced.
    pub(super) fn rename(mut self) -> io::Result<()> {
        if let Some(temporary) = &self.temporary {
            fs::rename(temporary, &self.path)?;
            self.temporary = None;
        }
        Ok(())
    }

    /// The same, durably.
    pub(crate) fn replace(self) -> io::Result<()> {
        let (folders, path) = (self.made.clone(), self.path.clone());
        self.rename()?;
        sync_names(&path, &folders)
    }

    /// Gives it its name durably, unless another file has it: then `false`.
    pub(crate) fn link(self) -> io::Result<bool> {
        if let Some(temporary) = &self.temporary {
            match fs::hard_link(temporary, &self.path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
                linked => linked?,
            }
        }
        let (folders, path) = (self.made.clone(), self.path.clone());
        // Its first name goes before the folder is synced, and not by itself afterwards.
        drop(self);
        sync_names(&path, &folders)?;
        Ok(true)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // If it stays, it is a leftover.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Makes the name of `path` durable, and those of the folders above it that were made.
fn sync_names(path: &Path, made: &[PathBuf]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    std::iter::once(folder)
        .chain(made.iter().map(PathBuf::as_path))
        .try_for_each(sync)
}

/// A new file beside `path`, with a name that leftovers have.
fn create_temporary(path: &Path) -> io::Result<(PathBuf, File)> {
    let mut number = 0_u32;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("#{number}"));
        match File::create_new(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < u32::MAX => number += 1,
            created => return created.map(|file| (name.into(), file)),
        }
    }
}

/// Makes the folders of `folder` below `root`, but never `root`. Those that name what was made, the deepest first.
fn make_below(root: &Path, folder: &str) -> io::Result<Vec<PathBuf>> {
    let mut path = root.to_owned();
    let mut naming = Vec::new();
    for part in folder.split('/').filter(|part| !part.is_empty()) {
        let above = path.clone();
        path.push(part);
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            // Also where it was there: who made it a moment ago may not have synced it.
            _ => naming.insert(0, above),
        }
    }
    Ok(naming)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_staged_counts_once_it_has_its_name() {
        let root = tempfile::tempdir().unwrap();
        let first = Staged::write(root.path(), "log", "7", b"first").unwrap();
        let second = Staged::write(root.path(), "log", "7", b"second").unwrap();
        assert_eq!(names(&root.path().join("log")), ["7#0", "7#1"]);
        assert!(first.link().unwrap());
        assert!(!second.link().unwrap());
        assert_eq!(names(&root.path().join("log")), ["7"]);
        assert_eq!(fs::read(root.path().join("log/7")).unwrap(), b"first");

        let third = Staged::write(root.path(), "log", "7", b"third").unwrap();
        third.replace().unwrap();
        assert_eq!(names(&root.path().join("log")), ["7"]);
        assert_eq!(fs::read(root.path().join("log/7")).unwrap(), b"third");

        drop(Staged::write(root.path(), "", "HEAD", b"nobody wants it").unwrap());
        assert_eq!(names(root.path()), ["log"]);
    }

    #[test]
    fn nothing_is_made_where_the_root_is_gone() {
        let base = tempfile::tempdir().unwrap();
        let root = base.path().join("root");
        for folder in ["log", ""] {
            let error = Staged::write(&root, folder, "7", b"x").err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
        assert!(names(base.path()).is_empty());
    }
}
