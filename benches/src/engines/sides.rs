//! The Stead side, with the calls that its users make.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_executor::block_on;
use stead_core::{Backend, Durability, Entry, Item, Key, KeyRange, Scan, WriteBatch};

use super::Engine;
use crate::workload::{nth, values};

/// A store on an engine. Failures panic, as on the bare side.
pub struct Stead {
    store: Arc<dyn Backend>,
    values: Vec<Bytes>,
    /// How many values were written.
    written: AtomicU64,
}

impl Stead {
    /// Opens a store on `engine` at `path`.
    #[must_use]
    pub fn open(engine: &Engine, path: &Path) -> Self {
        Stead {
            store: (engine.stead)(path),
            values: values().into_iter().map(Bytes::from).collect(),
            written: AtomicU64::new(0),
        }
    }

    /// Writes `keys` as one batch.
    ///
    /// # Panics
    ///
    /// When the store fails.
    pub fn put(&self, keys: &[Key], durability: Durability) {
        let from = self.written.fetch_add(keys.len() as u64, Ordering::Relaxed);
        let mut batch = WriteBatch::new().durability(durability);
        for (key, place) in keys.iter().zip(from..) {
            batch = batch.put(key.clone(), self.values[nth(place)].clone());
        }
        let outcome = block_on(self.store.apply(batch)).expect("it writes");
        assert!(outcome.is_committed(), "there is nothing to conflict with");
    }

    /// Writes all `keys` in batches of `size`, and makes them durable.
    ///
    /// # Panics
    ///
    /// When the store fails.
    pub fn load(&self, keys: &[Key], size: usize) {
        for batch in keys.chunks(size) {
            self.put(batch, Durability::Buffered);
        }
        block_on(self.store.sync()).expect("it syncs");
    }

    /// `writers` threads put `each` keys durably. `key` says what a writer puts.
    ///
    /// # Panics
    ///
    /// When the store fails.
    pub fn put_concurrently<'k>(
        &self,
        writers: usize,
        each: usize,
        key: &(dyn Fn(usize, usize) -> &'k Key + Sync),
    ) {
        std::thread::scope(|scope| {
            for writer in 0..writers {
                scope.spawn(move || {
                    for index in 0..each {
                        self.put(std::slice::from_ref(key(writer, index)), Durability::Durable);
                    }
                });
            }
        });
    }

    /// Reads one entry.
    ///
    /// # Panics
    ///
    /// When the store fails.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Entry> {
        block_on(self.store.get(key)).expect("it reads")
    }

    /// Reads the first `limit` entries from `start` on, in one page.
    ///
    /// # Panics
    ///
    /// When the store fails.
    #[must_use]
    pub fn scan(&self, start: &Key, limit: usize) -> Vec<Item> {
        let range = KeyRange::paths(
            &start.partition(),
            std::ops::Bound::Included(start.path()),
            std::ops::Bound::Unbounded,
        );
        let scan = Scan::new(range.expect("a valid range"))
            .limit(limit)
            .page_size(limit);
        let mut cursor = self.store.scan(&scan).expect("it scans");
        block_on(cursor.next_page()).expect("it scans")
    }

    /// Reads every entry in order, and counts them.
    ///
    /// # Panics
    ///
    /// When the store fails.
    #[must_use]
    pub fn count(&self) -> usize {
        let mut cursor = self.store.scan(&Scan::new(KeyRange::all())).expect("it scans");
        let mut count = 0;
        loop {
            let page = block_on(cursor.next_page()).expect("it scans");
            if page.is_empty() {
                return count;
            }
            count += page.len();
        }
    }

    /// Releases the files.
    ///
    /// # Panics
    ///
    /// When the store fails.
    pub fn close(self) {
        block_on(self.store.close()).expect("it closes");
    }
}
