//! The files of a store, copied and compared.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Copies a directory with all that is in it, as a kill would leave it if it is that of a store in use.
///
/// # Panics
///
/// If a file can be neither read nor written; one that goes away meanwhile is left out.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &place);
            continue;
        }
        match fs::copy(entry.path(), &place) {
            Ok(_) => {}
            // Drafts come and go.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => panic!("cannot copy {}: {error}", entry.path().display()),
        }
    }
}

/// Every file below a directory, by its path there, and what is in it.
///
/// # Panics
///
/// If one cannot be read.
#[must_use]
pub fn contents(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                files.insert(path.strip_prefix(root).unwrap().to_owned(), bytes);
            }
        }
    }
    files
}
