//! What lies around a place: neither a repository nor a store may have a repository among its files.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Component, Path, PathBuf, absolute};

use stead_core::{Error, Result};

use crate::repository::FORMAT;

/// What the first object of every repository begins with.
pub(super) const MARK: &[u8; 25] = br#"{"format":"stead-backup","#;

/// What the file `STEAD` of every store in a directory begins with.
const STORE: &[u8; 12] = b"stead store\n";

/// Whether a folder is that of a repository of any version, as far as it can be read: where nothing else may lie.
fn is_repository(folder: &Path) -> bool {
    begins_with(&folder.join(FORMAT), MARK)
}

/// The repository that a path is in, or would be in once it is made, if there is one.
#[must_use]
pub fn repository_around(path: &Path) -> Option<PathBuf> {
    let path = made(path)?;
    path.ancestors()
        .find(|folder| is_repository(folder))
        .map(PathBuf::from)
}

/// The same for a store in a directory.
pub(super) fn store_around(path: &Path) -> Option<PathBuf> {
    let path = made(path)?;
    let mut folders = path.ancestors();
    let found = folders.find(|folder| begins_with(&folder.join("STEAD"), STORE));
    found.map(PathBuf::from)
}

/// What a path is once all of it was made: what is there without symbolic links, and behind that `..` as it will count.
fn made(path: &Path) -> Option<PathBuf> {
    let path = absolute(path).ok()?;
    let (there, rest) = there_of(&path)?;
    let mut made = there;
    for part in rest.components() {
        match part {
            Component::ParentDir => drop(made.pop()),
            part => made.push(part),
        }
    }
    // Behind a `..` there may be something again.
    let (there, rest) = there_of(&made)?;
    Some(there.join(rest))
}

/// As much of a path as is there, without symbolic links, and the rest.
fn there_of(path: &Path) -> Option<(PathBuf, &Path)> {
    let mut above = path.ancestors();
    above.find_map(|folder| {
        let there = fs::canonicalize(folder).ok()?;
        Some((there, path.strip_prefix(folder).ok()?))
    })
}

/// Whether there is a file that begins so.
fn begins_with<const N: usize>(file: &Path, begin: &[u8; N]) -> bool {
    let mut bytes = [0; N];
    let file = File::open(file);
    file.is_ok_and(|mut file| file.read_exact(&mut bytes).is_ok() && bytes == *begin)
}

/// That a directory which is not there may be made, for a repository.
///
/// # Errors
///
/// `Invalid` where it would lie among the files of another one, or of a store.
pub(super) fn check_before_making(path: &Path) -> Result<()> {
    if let Some(around) = repository_around(path) {
        return Err(within_repository(&path.display(), &around.display()));
    }
    match store_around(path) {
        Some(store) => Err(within_store(&path.display(), &store)),
        None => Ok(()),
    }
}

pub(crate) fn within_repository(place: &dyn std::fmt::Display, around: &dyn std::fmt::Display) -> Error {
    Error::invalid(
        "the place lies within another repository, which would be damaged by it; name one outside of that",
    )
    .with("repository", place)
    .with("within", around)
}

pub(crate) fn within_store(place: &dyn std::fmt::Display, store: &Path) -> Error {
    Error::invalid(
        "the place lies among the files of a store, which may be removed with them; name one outside of that",
    )
    .with("repository", place)
    .with("store", store.display())
}
