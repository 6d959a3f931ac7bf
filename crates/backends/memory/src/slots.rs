//! The sorted slots of a tree's node.
//!
//! Looking a key up by following a pointer for every comparison costs a cache miss each. So a node keeps the prefix that
//! all its keys have in common, and beside each slot the next eight bytes of its key as a number (Graefe and Larson 2001,
//! "B-tree indexes and CPU caches", poor man's normalised keys). Most searches then follow one pointer only.

use std::ops::Range;
use std::sync::Arc;

use stead_core::Entry;

use crate::words::same;

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
        let rest = match key.split_at_checked(self.common.len()) {
            Some((start, rest)) if same(start, &self.common) => rest,
            _ if key < &*self.common => return Err(0),
            _ => return Err(self.items.len()),
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

    /// Where the item of `key` is that `is` knows. For an item that is here: no other key is looked at.
    #[inline]
    pub(crate) fn find_known(&self, key: &[u8], mut is: impl FnMut(&T) -> bool) -> Option<usize> {
        let rest = key.get(self.common.len()..)?;
        self.ties(head(rest)).find(|slot| is(&self.items[*slot]))
    }

    /// The slots whose head is `head`.
    #[inline]
    fn ties(&self, head: u64) -> Range<usize> {
        let start = lower_bound(&self.heads, head);
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

/// How many of the sorted `heads` are below `head`. Counts in steps of eight and then the last eight: of halving, every step
/// would wait for the one before.
#[inline]
fn lower_bound(heads: &[u64], head: u64) -> usize {
    let eights = heads.as_chunks::<8>().0.iter();
    let passed = 8 * eights.filter(|eight| eight[7] < head).count();
    let rest = heads[passed..].iter().take(8);
    passed + rest.filter(|other| **other < head).count()
}

/// The first eight bytes as a number that sorts as they do. Without a copy to where it is read: that would be waited for.
#[inline]
fn head(bytes: &[u8]) -> u64 {
    if let Some(chunk) = bytes.first_chunk() {
        return u64::from_be_bytes(*chunk);
    }
    let gap = 8 * (8 - bytes.len());
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_be_bytes(*first)) << 32 | u64::from(u32::from_be_bytes(*last)) << gap
        }
        _ if bytes.is_empty() => 0,
        _ => bytes.iter().fold(0, |head, byte| head << 8 | u64::from(*byte)) << gap,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_the_bytes_and_zeros() {
        let whole: Vec<u8> = (1..=12).map(|byte| byte * 19).collect();
        for len in 0..=whole.len() {
            let mut padded = [0; 8];
            padded[..len.min(8)].copy_from_slice(&whole[..len.min(8)]);
            assert_eq!(head(&whole[..len]), u64::from_be_bytes(padded), "{len} bytes");
        }
    }

    #[test]
    fn lower_bound_counts_what_is_below() {
        for len in 0..70 {
            let heads: Vec<u64> = (0..len).map(|slot| slot / 2 * 10).collect();
            for wanted in 0..=len * 5 + 10 {
                let counted = heads.partition_point(|head| *head < wanted);
                assert_eq!(lower_bound(&heads, wanted), counted, "{wanted} in {len}");
            }
        }
    }
}
