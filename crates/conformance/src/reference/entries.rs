//! The ordered map.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Bound;

use stead_core::{Entry, Key, KeyRange};

/// Everything that is stored, in the byte order of encoded keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries(BTreeMap<Encoded, Entry>);

/// A key that is found by its bytes, since the bounds of a range need not be keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Encoded(Key);

impl Borrow<[u8]> for Encoded {
    fn borrow(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Entries that can be walked from either end.
pub(super) type Stored<'a> = Box<dyn DoubleEndedIterator<Item = (&'a Key, &'a Entry)> + 'a>;

impl Entries {
    pub(super) fn get(&self, key: &Key) -> Option<&Entry> {
        self.0.get(key.as_bytes())
    }

    pub(super) fn insert(&mut self, key: Key, entry: Entry) {
        self.0.insert(Encoded(key), entry);
    }

    pub(super) fn remove(&mut self, key: &Key) {
        self.0.remove(key.as_bytes());
    }

    /// Writes or removes.
    pub(super) fn replace(&mut self, key: &Key, entry: Option<&Entry>) {
        match entry {
            Some(entry) => self.insert(key.clone(), entry.clone()),
            None => self.remove(key),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&Key, &Entry)> {
        self.0.iter().map(|(key, entry)| (&key.0, entry))
    }

    /// What lies in `range`, past its deadline or not.
    pub(super) fn range(&self, range: &KeyRange) -> Stored<'_> {
        // A map panics over bounds that cross.
        if range.is_empty() {
            return Box::new(std::iter::empty());
        }
        let bounds = (
            Bound::Included(range.start()),
            range.end().map_or(Bound::Unbounded, Bound::Excluded),
        );
        Box::new(
            self.0
                .range::<[u8], _>(bounds)
                .map(|(key, entry)| (&key.0, entry)),
        )
    }
}
