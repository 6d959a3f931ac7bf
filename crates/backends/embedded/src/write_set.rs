//! What one engine commit writes.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::slice;

use crate::Keyspace;

/// The writes of one commit: in each keyspace the last state of each key, in key order.
#[derive(Clone, Debug, Default)]
pub struct WriteSet {
    spaces: [Space; Keyspace::ALL.len()],
    size_bytes: usize,
}

/// As many writes as are quicker to move in a list than to find in a tree. A list that only grows at its end may be
/// longer.
const FEW: usize = 32;

/// A key and its value; `None` removes.
type Write = (Vec<u8>, Option<Vec<u8>>);

/// The writes of one keyspace: most commits write one record in each.
#[derive(Clone, Debug)]
enum Space {
    /// In key order.
    List(Vec<Write>),
    Tree(BTreeMap<Vec<u8>, Option<Vec<u8>>>),
}

impl Default for Space {
    fn default() -> Self {
        Space::List(Vec::new())
    }
}

impl Space {
    fn insert(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        match self {
            Space::Tree(tree) => drop(tree.insert(key, value)),
            Space::List(list) if list.last().is_none_or(|(last, _)| *last < key) => list.push((key, value)),
            Space::List(list) => match list.binary_search_by(|(other, _)| other.cmp(&key)) {
                Ok(at) => list[at].1 = value,
                Err(at) if list.len() < FEW => list.insert(at, (key, value)),
                Err(_) => {
                    let mut tree: BTreeMap<_, _> = std::mem::take(list).into_iter().collect();
                    tree.insert(key, value);
                    *self = Space::Tree(tree);
                }
            },
        }
    }

    fn get(&self, key: &[u8]) -> Option<&Option<Vec<u8>>> {
        match self {
            Space::Tree(tree) => tree.get(key),
            Space::List(list) => {
                let at = list.binary_search_by(|(other, _)| (**other).cmp(key)).ok()?;
                Some(&list[at].1)
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Space::Tree(tree) => tree.len(),
            Space::List(list) => list.len(),
        }
    }

    /// From `start` (included) on.
    fn iter_from(&self, start: &[u8]) -> Writes<'_> {
        use std::ops::Bound::{Included, Unbounded};
        match self {
            Space::Tree(tree) => Writes::Tree(tree.range::<[u8], _>((Included(start), Unbounded))),
            Space::List(list) => {
                let from = if start.is_empty() {
                    0
                } else {
                    list.partition_point(|(key, _)| **key < *start)
                };
                Writes::List(list[from..].iter())
            }
        }
    }
}

enum Writes<'a> {
    List(slice::Iter<'a, Write>),
    Tree(btree_map::Range<'a, Vec<u8>, Option<Vec<u8>>>),
}

impl<'a> Iterator for Writes<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = match self {
            Writes::List(list) => list.next().map(|(key, value)| (key, value)),
            Writes::Tree(tree) => tree.next(),
        }?;
        Some((key, value.as_deref()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Writes::List(list) => list.size_hint(),
            Writes::Tree(tree) => tree.size_hint(),
        }
    }
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
        self.spaces[space.index()].iter_from(&[])
    }

    /// The writes of one keyspace from `start` (included) to `end` (excluded) in key order.
    pub fn range<'a>(
        &'a self,
        space: Keyspace,
        start: &[u8],
        end: Option<&'a [u8]>,
    ) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        self.spaces[space.index()]
            .iter_from(start)
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
        self.spaces.iter().all(|space| space.len() == 0)
    }

    /// Bytes of keys and values, those overwritten within the set included.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }
}

impl PartialEq for WriteSet {
    fn eq(&self, other: &Self) -> bool {
        let same = |space| self.iter(space).eq(other.iter(space));
        self.size_bytes == other.size_bytes && Keyspace::ALL.into_iter().all(same)
    }
}

impl Eq for WriteSet {}

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

    #[test]
    fn set_of_any_size_and_order_holds_what_a_map_would() {
        for (keys, step) in [
            (FEW, 1),
            (5 * FEW, 1),
            (FEW, 7),
            (5 * FEW, 7),
            (5 * FEW, 5 * FEW - 1),
        ] {
            let mut writes = WriteSet::new();
            let mut map = BTreeMap::new();
            for number in 0..2 * keys {
                let key = (number * step % keys).to_be_bytes().to_vec();
                if number % 3 == 0 {
                    writes.delete(Keyspace::Data, key.clone());
                    map.insert(key, None);
                } else {
                    let value = number.to_be_bytes().to_vec();
                    writes.put(Keyspace::Data, key.clone(), value.clone());
                    map.insert(key, Some(value));
                }
            }
            assert_eq!(writes.len(Keyspace::Data), map.len());
            let all = map.iter().map(|(key, value)| (&key[..], value.as_deref()));
            assert!(
                writes.iter(Keyspace::Data).eq(all),
                "{keys} keys in steps of {step}"
            );
            for (key, value) in &map {
                assert_eq!(writes.get(Keyspace::Data, key), Some(value.as_deref()));
                let behind = map
                    .range(key.clone()..)
                    .map(|(key, value)| (&key[..], value.as_deref()));
                assert!(writes.range(Keyspace::Data, key, None).eq(behind));
            }
            assert_eq!(writes.get(Keyspace::Data, &keys.to_be_bytes()), None);
        }
    }
}
