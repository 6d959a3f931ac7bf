//! What the tests of this engine share.

#![allow(dead_code, reason = "each test file takes what it needs")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_executor::block_on;
use stead_core::{Backend, Error, ErrorKind, Key, Partition, WriteBatch};
use stead_rocksdb::{Embedded, EmbeddedOptions, RocksDbConfig, RocksDbEngine};

pub(crate) type Store = Arc<Embedded<RocksDbEngine>>;

pub(crate) fn config(path: &Path) -> RocksDbConfig {
    RocksDbConfig::new(path).with_cache_capacity(8 << 20)
}

pub(crate) fn open(path: &Path) -> Result<Store, Error> {
    stead_rocksdb::open(&config(path), EmbeddedOptions::default())
}

pub(crate) fn open_read_only(path: &Path) -> Result<Store, Error> {
    stead_rocksdb::open(&config(path).read_only(), EmbeddedOptions::default())
}

pub(crate) fn key(path: &str) -> Key {
    Key::new(&Partition::new("p").unwrap(), path).unwrap()
}

/// Writes `entries` entries, a thousand in a batch.
pub(crate) fn fill(store: &Store, entries: usize) {
    for chunk in (0..entries).collect::<Vec<_>>().chunks(1000) {
        let batch = chunk.iter().fold(WriteBatch::new(), |batch, n| {
            batch.put(key(&format!("k{n:06}")), vec![b'x'; 100])
        });
        assert!(block_on(store.apply(batch)).unwrap().is_committed());
    }
}

/// A closed store with `entries` entries.
pub(crate) fn filled(path: &Path, entries: usize) {
    let store = open(path).unwrap();
    fill(&store, entries);
    block_on(store.close()).unwrap();
}

/// Opening fails with this kind, and the path is named.
pub(crate) fn refused(path: &Path, kind: ErrorKind) -> String {
    let error = open(path).expect_err("must not open");
    assert_eq!(error.kind(), kind, "{error}");
    let text = error.to_string();
    assert!(
        text.contains(&path.display().to_string()),
        "the path is named: {text}"
    );
    text
}

/// Copies a directory with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}

/// The files of the database whose name fits, in order.
pub(crate) fn files(path: &Path, fits: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(path.join("state.rocksdb")).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|file| fits(file.file_name().unwrap().to_str().unwrap()))
        .collect();
    files.sort_unstable();
    files
}
