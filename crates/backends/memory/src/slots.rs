//! The sorted slots of a tree's node.
//!
//! Looking a key up by following a pointer for every comparison costs a cache miss each. So a node keeps the prefix that
//! all its keys have in common, and beside each slot the next eight bytes of its key as a number (Graefe and Larson 2001,
//! "B-tree indexes and CPU caches", poor man's normalised keys). Most searches then follow one pointer only.

use std::ops::Range;
use std::sync::Arc;

use stead_core::Entry;

pub(crate) trait Keyed {
    fn key(&self) -> &[u8];
}

impl Keyed for Entry {
    #[inline]
    fn key(&self) -> &[u8] {
        self.prefix()
    }
}

impl Keyed for Arc<[u8]> {
    #[inline]
    fn key(&self) -> &[u8] {
        self
    }
}

#[derive(Clone)]
pub(crate) struct Slots<T> {
    /// What every key starts with. As long as it was possible when the node was last laid out anew.
    common: Arc<[u8]>,
    /// For each item, the eight bytes of its key behind `common`, padded with zeros: in the same order as the keys, but
    /// for keys that these bytes cannot tell apart.
    heads: Vec<u64>,
    items: Vec<T>,
}

impl<T: Keyed> Slots<T> {
    pub(crate) fn new(items: Vec<T>) -> Self {
        let mut slots = Slots {
            common: Arc::from([]),
            heads: Vec::with_capacity(items.capacity()),
            items,
        };
        slots.lay_out();
        slots
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn items(&self) -> &[T] {
        &self.items
    }

    pub(crate) fn into_items(self) -> Vec<T> {
        self.items
    }

    /// Where `key` is, or where it would have to be.
    #[inline]
    pub(crate) fn find(&self, key: &[u8]) -> Result<usize, usize> {
        let Some(rest) = key.strip_prefix(&*self.common) else {
            return Err(if key < &*self.common { 0 } else { self.items.len() });
        };
        let ties = self.ties(head(rest));
        match &self.items[ties.clone()] {
            [] => Err(ties.start),
            items => match items.binary_search_by(|item| item.key().cmp(key)) {
                Ok(at) => Ok(ties.start + at),
                Err(at) => Err(ties.start + at),
            },
        }
    }

    /// The slots whose head is `head`.
    fn ties(&self, head: u64) -> Range<usize> {
        let start = self.heads.partition_point(|other| *other < head);
        let same = self.heads[start..]
            .iter()
            .take_while(|other| **other == head)
            .count();
        start..start + same
    }

    pub(crate) fn insert(&mut self, slot: usize, item: T) {
        match item.key().strip_prefix(&*self.common) {
            Some(rest) if !self.items.is_empty() => {
                self.heads.insert(slot, head(rest));
                self.items.insert(slot, item);
            }
            _ => {
                self.items.insert(slot, item);
                self.lay_out();
            }
        }
    }

    /// Puts `item`, whose key is that of the slot, in its place.
    pub(crate) fn replace(&mut self, slot: usize, item: T) -> T {
        std::mem::replace(&mut self.items[slot], item)
    }

    pub(crate) fn remove(&mut self, slot: usize) -> T {
        self.heads.remove(slot);
        self.items.remove(slot)
    }

    /// Cuts off the items from `at` on.
    pub(crate) fn split_off(&mut self, at: usize, capacity: usize) -> Self {
        let mut right = Vec::with_capacity(capacity);
        right.extend(self.items.drain(at..));
        self.lay_out();
        Slots::new(right)
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        self.heads.pop();
        self.items.pop()
    }

    pub(crate) fn append(&mut self, right: impl IntoIterator<Item = T>) {
        self.items.extend(right);
        self.lay_out();
    }

    /// Finds the longest common prefix and makes all heads anew.
    fn lay_out(&mut self) {
        if let (Some(first), Some(last)) = (self.items.first(), self.items.last()) {
            let (first, last) = (first.key(), last.key());
            let same = first.iter().zip(last).take_while(|(a, b)| a == b).count();
            self.common = Arc::from(&first[..same]);
        }
        let skip = self.common.len();
        self.heads.clear();
        self.heads
            .extend(self.items.iter().map(|item| head(&item.key()[skip..])));
    }
}

/// The first eight bytes as a number that sorts as they do.
#[inline]
fn head(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(chunk) => u64::from_be_bytes(*chunk),
        None => {
            let mut chunk = [0; 8];
            chunk[..bytes.len()].copy_from_slice(bytes);
            u64::from_be_bytes(chunk)
        }
    }
}
