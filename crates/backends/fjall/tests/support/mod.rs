//! What the tests of stores on disk share.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_executor::block_on;
use stead_core::{
    Backend, BackendExt, Direction, Error, ErrorKind, Key, KeyRange, Partition, ReadExt, Scan, WriteBatch,
};
use stead_fjall::{Embedded, EmbeddedOptions, FjallConfig, FjallEngine};

pub(crate) type Store = Arc<Embedded<FjallEngine>>;

pub(crate) fn open(path: &Path) -> Result<Store, Error> {
    stead_fjall::open(&FjallConfig::new(path), EmbeddedOptions::default())
}

pub(crate) fn open_read_only(path: &Path) -> Result<Store, Error> {
    stead_fjall::open(&FjallConfig::new(path).read_only(), EmbeddedOptions::default())
}

pub(crate) fn key(path: &str) -> Key {
    Key::new(&Partition::new("p").unwrap(), path).unwrap()
}

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

/// A closed store with `entries` entries of 100 bytes, a hundred to a batch.
pub(crate) fn filled(path: &Path, entries: usize) {
    let store = open(path).unwrap();
    fill(&store, 0..entries);
    block_on(store.close()).unwrap();
}

/// A closed store with `entries` entries in tables and as many in a journal.
pub(crate) fn filled_with_tables(path: &Path, entries: usize) {
    filled(path, entries);
    fs::remove_file(path.join("CLOSED")).unwrap();
    let bare = fjall::Database::builder(path.join("state.fjall")).open().unwrap();
    for name in ["data", "expiry", "changes", "meta", "history", "marks"] {
        let keyspace = bare
            .keyspace(name, fjall::KeyspaceCreateOptions::default)
            .unwrap();
        keyspace.rotate_memtable_and_wait().unwrap();
    }
    drop(bare);
    let store = open(path).unwrap();
    fill(&store, entries..2 * entries);
    block_on(store.close()).unwrap();
}

fn fill(store: &Store, entries: std::ops::Range<usize>) {
    for chunk in entries.collect::<Vec<_>>().chunks(100) {
        let batch = chunk.iter().fold(WriteBatch::new(), |batch, n| {
            batch.put(key(&format!("k{n:06}")), value(*n))
        });
        assert!(block_on(store.apply(batch)).unwrap().is_committed());
    }
}

pub(crate) fn value(n: usize) -> Vec<u8> {
    format!("{n:0100}").into_bytes()
}

/// Opens, reads everything in each way, checks, writes, and closes. Returns how many entries there are; each that is
/// there must be right.
pub(crate) fn read_all_and_write(path: &Path) -> Result<usize, Error> {
    let store = open(path)?;
    let items = block_on(store.collect(&Scan::new(KeyRange::all())))?;
    let mut count = 0;
    for item in &items {
        let Some(n) = item.key.path().strip_prefix(b"k") else {
            continue;
        };
        let n = str::from_utf8(n).unwrap().parse().unwrap();
        assert_eq!(item.entry.as_ref().unwrap().value(), value(n));
        count += 1;
    }
    let found = block_on(store.collect(&Scan::new(KeyRange::all()).direction(Direction::Reverse)))?;
    assert_eq!(found.len(), items.len());
    block_on(store.check(&|_| {}))?;
    block_on(store.put(key("written"), "after"))?;
    block_on(store.close())?;
    Ok(count)
}

/// The files below a directory, as they are; journals without the zeros at their end.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Image(pub(crate) BTreeMap<PathBuf, Vec<u8>>);

impl Image {
    pub(crate) fn of(path: &Path) -> Self {
        let mut files = BTreeMap::new();
        collect(path, path, &mut files);
        Image(files)
    }

    /// Makes `path` hold these files and no others.
    pub(crate) fn write(&self, path: &Path) {
        if path.exists() {
            fs::remove_dir_all(path).unwrap();
        }
        for (name, bytes) in &self.0 {
            let file = path.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        }
    }

    pub(crate) fn with(&self, name: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut image = self.clone();
        change(image.0.get_mut(name).unwrap());
        image
    }

    pub(crate) fn without(&self, name: &Path) -> Self {
        let mut image = self.clone();
        image.0.remove(name).unwrap();
        image
    }

    pub(crate) fn journals(&self) -> Vec<PathBuf> {
        let is_journal = |name: &&PathBuf| name.extension().is_some_and(|suffix| suffix == "jnl");
        self.0.keys().filter(is_journal).cloned().collect()
    }
}

fn collect(root: &Path, path: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        if path.extension().is_some_and(|suffix| suffix == "jnl") {
            while bytes.last_chunk() == Some(&[0; 4096]) {
                bytes.truncate(bytes.len() - 4096);
            }
            while bytes.last() == Some(&0) {
                bytes.pop();
            }
        }
        files.insert(path.strip_prefix(root).unwrap().to_owned(), bytes);
    }
}
