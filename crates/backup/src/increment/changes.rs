//! What the log of changes says, key by key.

use stead_core::{ChangeKind, Key, Revision};

use crate::records::{Payload, Record};

/// What a changed key takes besides its bytes.
const CHANGED_BYTES: usize = 96;
/// So many changes are taken before they are first put in order.
const FIRST_CHANGES: usize = 16 << 10;

/// What the log of changes says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(super) first: Revision,
    last: Revision,
    kind: ChangeKind,
}

impl Change {
    /// There is no entry any more: it was deleted, or its deadline has passed.
    pub(super) fn removal(self, key: Key) -> Record {
        Record {
            key,
            revision: self.last,
            first: self.first,
            deadline: None,
            payload: match self.kind {
                ChangeKind::Delete => Payload::Deleted,
                ChangeKind::Put | ChangeKind::Expired => Payload::Expired,
            },
        }
    }
}

/// Keys that changed: all of them, or as many of the first ones as there is room for.
///
/// Changes are put one behind the other, and in order now and then: most come in runs that are in order already, and where
/// they do not, sorting many at once takes less than finding the place of each.
pub(super) struct Changes {
    /// Before they are put in order, a key has as many as it was changed.
    keys: Vec<(Key, Change)>,
    /// They are put in order when there are so many.
    order_at: usize,
    bytes: usize,
    most_bytes: usize,
    /// The lowest key that there was no room for. From there on nothing is complete.
    cut: Option<Key>,
}

impl Changes {
    /// None yet, in the memory of `buffer`.
    pub(super) fn new(buffer: Vec<(Key, Change)>, most_bytes: usize) -> Self {
        Changes {
            keys: buffer,
            order_at: FIRST_CHANGES,
            bytes: 0,
            most_bytes,
            cut: None,
        }
    }

    /// Adds a change. They come in the order of their revisions.
    pub(super) fn add(&mut self, key: Key, kind: ChangeKind, revision: Revision) {
        if self.cut.as_ref().is_some_and(|cut| key >= *cut) {
            return;
        }
        self.bytes += weight(&key);
        let change = Change {
            first: revision,
            last: revision,
            kind,
        };
        self.keys.push((key, change));
        let full = self.bytes > self.most_bytes;
        if full || self.keys.len() >= self.order_at {
            self.order();
            if full {
                self.make_room();
            }
            self.order_at = FIRST_CHANGES.max(2 * self.keys.len());
        }
    }

    /// Puts the keys in order, each once.
    fn order(&mut self) {
        // Sorting takes memory, also of what is in order. Changes of a key stay in the order in which they came.
        if !self.keys.is_sorted_by(|(one, _), (other, _)| one <= other) {
            self.keys.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        let bytes = &mut self.bytes;
        self.keys.dedup_by(|(key, later), (known, change)| {
            let same = key == known;
            if same {
                *bytes -= weight(key);
                change.last = later.last;
                change.kind = later.kind;
            }
            same
        });
    }

    /// Leaves out the last of the keys, which are in order, until a quarter of the room is free: so that this is seldom
    /// needed.
    fn make_room(&mut self) {
        let enough = self.most_bytes / 4 * 3;
        while self.bytes > enough && self.keys.len() > 1 {
            let Some((key, _)) = self.keys.pop() else {
                break;
            };
            self.bytes -= weight(&key);
            self.cut = Some(key);
        }
    }

    /// The keys in order, and the last of them if they are not all.
    pub(super) fn finish(mut self) -> (Vec<(Key, Change)>, Option<Key>) {
        self.order();
        let last = self.keys.last().map(|(key, _)| key.clone());
        (self.keys, self.cut.and(last))
    }
}

/// What a key counts for in memory.
fn weight(key: &Key) -> usize {
    key.as_bytes().len() + CHANGED_BYTES
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use stead_core::Partition;

    use super::*;

    fn key(number: u64) -> Key {
        let partition = Partition::new(format!("p{}", number % 7)).unwrap();
        Key::new(&partition, format!("k{number:04}")).unwrap()
    }

    fn found(changes: Changes) -> (Vec<(Key, u64, u64)>, Option<Key>) {
        let (keys, last) = changes.finish();
        let keys = keys.into_iter();
        let keys = keys.map(|(key, change)| (key, change.first.get(), change.last.get()));
        (keys.collect(), last)
    }

    #[test]
    fn the_first_keys_are_kept_with_all_that_happened_to_them() {
        let mut changes = Changes::new(Vec::new(), 4 * weight(&key(0)));
        for (revision, number) in [5_u64, 0, 21, 14, 7, 0, 28, 5, 7].into_iter().enumerate() {
            changes.add(key(number), ChangeKind::Put, Revision::new(revision as u64 + 1));
        }
        assert_eq!(changes.bytes, 3 * weight(&key(0)));
        let wanted = vec![(key(0), 2, 6), (key(7), 5, 9), (key(14), 4, 4)];
        assert_eq!(found(changes), (wanted, Some(key(14))));
    }

    #[test]
    fn nothing_is_kept_behind_a_key_that_found_no_room() {
        let long = Key::new(&Partition::new("p0").unwrap(), "k0010 is a long one").unwrap();
        let mut changes = Changes::new(Vec::new(), 4 * weight(&key(0)));
        for key in [key(0), key(7), long.clone(), key(14), key(14)] {
            changes.add(key, ChangeKind::Put, Revision::new(1));
        }
        assert_eq!(changes.cut, Some(long));
        // There would be room for the last one, but the next reading begins behind it.
        assert_eq!(
            found(changes),
            (vec![(key(0), 1, 1), (key(7), 1, 1)], Some(key(7)))
        );
    }

    #[test]
    fn keys_that_change_time_and_again_take_no_more_room() {
        let mut changes = Changes::new(Vec::new(), usize::MAX);
        for revision in 1..=5 * FIRST_CHANGES as u64 {
            changes.add(key(revision % 10), ChangeKind::Put, Revision::new(revision));
            assert!(changes.keys.len() <= FIRST_CHANGES);
        }
        assert_eq!(found(changes).0.len(), 10);
    }

    proptest! {
        #[test]
        fn what_is_kept_is_all_that_happened_to_the_first_keys(
            numbers in prop::collection::vec((0..60_u64, any::<bool>()), 0..400),
            room in 1..80_usize,
        ) {
            let mut changes = Changes::new(Vec::new(), room * weight(&key(0)));
            let mut wanted: BTreeMap<Key, Change> = BTreeMap::new();
            for (index, (number, deleted)) in numbers.into_iter().enumerate() {
                let kind = if deleted { ChangeKind::Delete } else { ChangeKind::Put };
                let revision = Revision::new(index as u64 + 1);
                changes.add(key(number), kind, revision);
                let change = Change { first: revision, last: revision, kind };
                let known = wanted.entry(key(number)).or_insert(change);
                (known.last, known.kind) = (revision, kind);
            }
            let (keys, last) = changes.finish();
            prop_assert!(keys.len() <= room);
            if let Some(last) = last {
                prop_assert_eq!(keys.last().map(|(key, _)| key), Some(&last));
                wanted.retain(|key, _| *key <= last);
            }
            prop_assert_eq!(keys, wanted.into_iter().collect::<Vec<_>>());
        }
    }
}
