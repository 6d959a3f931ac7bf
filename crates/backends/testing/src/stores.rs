//! Stores, opened and filled.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use futures_executor::block_on;
use stead_core::{Backend, Entry, Error, ErrorKind, Key, Partition, WriteBatch};
use stead_embedded::{Embedded, EmbeddedOptions, EngineConfig, open_store};

use crate::TestedEngine;

/// A store on an engine.
pub type Store<E> = Arc<Embedded<<<E as TestedEngine>::Config as EngineConfig>::Engine>>;

/// Opens the store at `path` with the default options.
///
/// # Errors
///
/// Those of the engine's `open`.
pub fn open<E: TestedEngine>(path: &Path) -> Result<Store<E>, Error> {
    open_store(&E::config(path), EmbeddedOptions::default())
}

/// Opens the store at `path` for reading only.
///
/// # Errors
///
/// Those of the engine's `open`.
pub fn open_read_only<E: TestedEngine>(path: &Path) -> Result<Store<E>, Error> {
    open_store(&E::config(path), EmbeddedOptions::default().read_only())
}

/// The key at `path` in the partition that the cases use.
///
/// # Panics
///
/// If it is too long.
#[must_use]
pub fn key(path: &str) -> Key {
    Key::new(&Partition::new("p").unwrap(), path).unwrap()
}

/// The key of the n-th entry that [`fill`] writes.
///
/// # Panics
///
/// Never.
#[must_use]
pub fn nth(n: usize) -> Key {
    key(&format!("k{n:06}"))
}

/// Writes the entries with these numbers, a hundred bytes each, so many to a batch.
///
/// # Panics
///
/// If a batch is not committed.
pub fn fill(store: &dyn Backend, entries: Range<usize>, batch: usize) {
    for chunk in entries.collect::<Vec<_>>().chunks(batch) {
        let batch = chunk
            .iter()
            .fold(WriteBatch::new(), |batch, n| batch.put(nth(*n), vec![b'x'; 100]));
        assert!(block_on(store.apply(batch)).unwrap().is_committed());
    }
}

/// Leaves a closed store with so many entries at `path`.
///
/// # Panics
///
/// If that fails.
pub fn filled<E: TestedEngine>(path: &Path, entries: usize) {
    let store = open::<E>(path).unwrap();
    fill(&*store, 0..entries, 1000);
    block_on(store.close()).unwrap();
}

/// What is stored at a key.
///
/// # Panics
///
/// If it cannot be read.
pub fn entry(store: &dyn Backend, key: &Key) -> Option<Entry> {
    block_on(store.get(key)).unwrap()
}

/// What the refusal says with which opening `path` fails.
///
/// # Panics
///
/// If it opens, or fails in another way, or if the refusal does not name the path.
pub fn refused<E: TestedEngine>(path: &Path, kind: ErrorKind) -> String {
    let error = open::<E>(path).expect_err("must not open");
    assert_eq!(error.kind(), kind, "{error}");
    let text = error.to_string();
    let place = path.display().to_string();
    assert!(text.contains(&place), "the path is named: {text}");
    text
}
