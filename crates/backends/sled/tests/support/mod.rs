//! Stores and copies of them.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file is a crate that uses the parts that it needs"
)]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use futures_executor::block_on;
use stead_core::{Backend, Error, ErrorKind, Key, Partition, WriteBatch};
use stead_sled::{Embedded, EmbeddedOptions, SledConfig, SledEngine};

pub type Store = Arc<Embedded<SledEngine>>;

pub fn open(path: &Path) -> Result<Store, Error> {
    stead_sled::open(&SledConfig::new(path), EmbeddedOptions::default())
}

pub fn key(path: &str) -> Key {
    Key::new(&Partition::new("p").unwrap(), path).unwrap()
}

/// The path of the n-th key that `fill` writes.
pub fn nth(n: usize) -> Key {
    key(&format!("k{n:06}"))
}

/// Writes entries of 100 bytes, so many to a batch.
pub fn fill(store: &Store, entries: usize, batch: usize) {
    for chunk in (0..entries).collect::<Vec<_>>().chunks(batch) {
        let batch = chunk
            .iter()
            .fold(WriteBatch::new(), |batch, n| batch.put(nth(*n), vec![b'x'; 100]));
        assert!(block_on(store.apply(batch)).unwrap().is_committed());
    }
}

/// A closed store with `entries` entries.
pub fn filled(path: &Path, entries: usize) {
    let store = open(path).unwrap();
    fill(&store, entries, 1000);
    block_on(store.close()).unwrap();
}

pub fn refused(path: &Path, kind: ErrorKind) -> String {
    let error = open(path).expect_err("must not open");
    assert_eq!(error.kind(), kind, "{error}");
    let text = error.to_string();
    assert!(
        text.contains(&path.display().to_string()),
        "the path is named: {text}"
    );
    text
}

/// Copies a directory, as a kill would leave it if it is that of a store in use.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            // Drafts come and go.
            let _ = fs::copy(entry.path(), to);
        }
    }
}

/// The name of the one snapshot in the directory of a database.
pub fn snapshot(data: &Path) -> String {
    let names = fs::read_dir(data).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.find(|name| name.starts_with("snap.")).unwrap()
}
