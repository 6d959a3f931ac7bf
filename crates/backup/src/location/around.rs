//! What lies around a place: neither a repository nor a store may have a repository among its files.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, absolute};

use stead_core::{Error, Result};

use crate::repository::FORMAT;

/// What the first object of every repository begins with.
pub(super) const MARK: &[u8; 25] = br#"{"format":"stead-backup","#;

/// What the file `STEAD` of every store in a directory begins with.
const STORE: &[u8; 12] = b"stead store\n";

/// Whether a folder is that of a repository of any version, as far as it can be read: where nothing else may lie.
#[must_use]
pub fn is_repository(folder: &Path) -> bool {
    begins_with(&folder.join(FORMAT), MARK)
}

/// The nearest of `folder` and those above it that a repository is in.
pub(super) fn repository_around(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|folder| is_repository(folder))
}

/// The nearest of `folder` and those above it that a store is in.
pub(super) fn store_around(folder: &Path) -> Option<&Path> {
    let mut folders = folder.ancestors();
    folders.find(|folder| begins_with(&folder.join("STEAD"), STORE))
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
    // What is wrong with the path is told when it is made.
    let there = absolute(path).ok().and_then(|path| {
        let mut above = path.ancestors();
        above.find_map(|folder| fs::canonicalize(folder).ok())
    });
    let Some(there) = there else {
        return Ok(());
    };
    if let Some(around) = repository_around(&there) {
        return Err(within_repository(&path.display(), &around.display()));
    }
    match store_around(&there) {
        Some(store) => Err(within_store(&path.display(), store)),
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
