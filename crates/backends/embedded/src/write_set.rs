//! What one engine commit writes.

use std::collections::BTreeMap;

use crate::Keyspace;

/// The writes of one commit: in each keyspace the last state of each key, in key order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteSet {
    spaces: [BTreeMap<Vec<u8>, Option<Vec<u8>>>; Keyspace::ALL.len()],
    size_bytes: usize,
}

impl WriteSet {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes `value` under `key`.
    pub fn put(&mut self, space: Keyspace, key: Vec<u8>, value: Vec<u8>) {
        self.size_bytes += key.len() + value.len();
        self.spaces[space.index()].insert(key, Some(value));
    }

    /// Removes what is under `key`, if anything is.
    pub fn delete(&mut self, space: Keyspace, key: Vec<u8>) {
        self.size_bytes += key.len();
        self.spaces[space.index()].insert(key, None);
    }

    /// What is written under `key`: `None` if nothing, `Some(None)` for a removal.
    #[must_use]
    pub fn get(&self, space: Keyspace, key: &[u8]) -> Option<Option<&[u8]>> {
        self.spaces[space.index()].get(key).map(Option::as_deref)
    }

    /// The writes of one keyspace in key order; `None` removes.
    pub fn iter(&self, space: Keyspace) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.spaces[space.index()]
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// The writes of one keyspace from `start` (included) to `end` (excluded) in key order.
    pub fn range<'a>(
        &'a self,
        space: Keyspace,
        start: &[u8],
        end: Option<&'a [u8]>,
    ) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        use std::ops::Bound::{Included, Unbounded};
        self.spaces[space.index()]
            .range::<[u8], _>((Included(start), Unbounded))
            .map(|(key, value)| (key.as_slice(), value.as_deref()))
            .take_while(move |(key, _)| end.is_none_or(|end| *key < end))
    }

    /// How many writes there are in one keyspace.
    #[must_use]
    pub fn len(&self, space: Keyspace) -> usize {
        self.spaces[space.index()].len()
    }

    /// Whether nothing is written at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spaces.iter().all(BTreeMap::is_empty)
    }

    /// Bytes of keys and values, those overwritten within the set included.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_write_wins_and_order_is_of_bytes() {
        let mut writes = WriteSet::new();
        writes.put(Keyspace::Data, b"b".to_vec(), b"1".to_vec());
        writes.put(Keyspace::Data, b"a".to_vec(), b"2".to_vec());
        writes.delete(Keyspace::Data, b"b".to_vec());
        writes.put(Keyspace::Meta, b"0".to_vec(), Vec::new());
        let data: Vec<_> = writes.iter(Keyspace::Data).collect();
        assert_eq!(data, [(&b"a"[..], Some(&b"2"[..])), (b"b", None)]);
        assert_eq!(writes.get(Keyspace::Data, b"b"), Some(None));
        assert_eq!(writes.get(Keyspace::Data, b"c"), None);
        assert_eq!(writes.get(Keyspace::Expiry, b"a"), None);
        let below: Vec<_> = writes.range(Keyspace::Data, b"", Some(b"b")).collect();
        assert_eq!(below, [(&b"a"[..], Some(&b"2"[..]))]);
    }
}
