//! The ordered index: a B-tree whose copies share what they have in common.
//!
//! A clone costs one reference count, and from then on both sides change only copies of the nodes on the way to what they
//! change (Driscoll, Sarnak, Sleator and Tarjan 1989, path copying). That is what lets a snapshot or a scan read on while
//! writers write. Nodes that nobody shares are changed in place.
//!
//! Entries carry their encoded key as their prefix, so a slot of a leaf is one pointer. ARCHITECTURE.md has the
//! measurements that led here.

use std::ops::ControlFlow;
use std::sync::Arc;

use stead_core::Entry;
use triomphe::Arc as NodeArc;

use crate::path::Path;
use crate::slots::Slots;

/// The most slots of a node, a power of two because of [`Path`]. Random inserts fill about two thirds of them, ascending
/// ones all.
pub(crate) const MAX: usize = 64;
/// A node below this is merged with a neighbour if both fit into one.
const MIN: usize = 16;

#[derive(Clone)]
pub(crate) struct Tree {
    root: NodeArc<Node>,
    /// How many nodes are above each leaf.
    height: u32,
}

#[derive(Clone)]
enum Node {
    Leaf(Slots<Entry>),
    Inner(Inner),
}

/// A bound is above every key of the child at its slot and at most the lowest key of the next child.
#[derive(Clone)]
struct Inner {
    bounds: Slots<Arc<[u8]>>,
    children: Vec<NodeArc<Node>>,
}

struct Split {
    bound: Arc<[u8]>,
    right: NodeArc<Node>,
}

impl Default for Tree {
    fn default() -> Self {
        Tree {
            root: NodeArc::new(Node::Leaf(Slots::new(Vec::new()))),
            height: 0,
        }
    }
}

impl Tree {
    /// Puts `entry` in, in place of the one with the same key if there is one, which is returned.
    pub(crate) fn insert(&mut self, entry: Entry) -> Option<Entry> {
        let (old, split) = NodeArc::make_mut(&mut self.root).insert(entry);
        if let Some(Split { bound, right }) = split {
            let left = std::mem::replace(&mut self.root, NodeArc::new(Node::Leaf(Slots::new(Vec::new()))));
            self.root = NodeArc::new(Node::Inner(Inner {
                bounds: Slots::new(vec![bound]),
                children: vec![left, right],
            }));
            self.height += 1;
        }
        old
    }

    /// Puts `entry` in, whose key is behind all others.
    pub(crate) fn append(&mut self, entry: Entry) {
        let mut node = NodeArc::make_mut(&mut self.root);
        loop {
            match node {
                // Into an empty one, what is below its bound does not belong.
                Node::Leaf(entries) if (1..MAX).contains(&entries.len()) => {
                    return entries.insert(entries.len(), entry);
                }
                Node::Leaf(_) => break,
                Node::Inner(inner) => {
                    let last = inner.children.len() - 1;
                    node = NodeArc::make_mut(&mut inner.children[last]);
                }
            }
        }
        drop(self.insert(entry));
    }

    /// The entry with the highest key.
    pub(crate) fn last(&self) -> Option<Entry> {
        let mut last = None;
        self.descend(&[], None, &mut |entry| {
            last = Some(entry.clone());
            ControlFlow::Break(())
        });
        last
    }

    /// Puts `entry` in the place of `old`, which has the same key and is here.
    ///
    /// An entry remembers where it was put, so that one that is overwritten time and again is found without a search.
    pub(crate) fn replace(&mut self, old: &Entry, entry: Entry) -> Option<Entry> {
        let path = self.path_of(old)?;
        entry.set_hint(path.hint());
        let mut node = NodeArc::make_mut(&mut self.root);
        for height in (0..=self.height).rev() {
            let slot = path.slot(height);
            match node {
                Node::Leaf(entries) => return Some(entries.replace(slot, entry)),
                Node::Inner(inner) => node = NodeArc::make_mut(&mut inner.children[slot]),
            }
        }
        None
    }

    /// Where `old` is, which is here.
    fn path_of(&self, old: &Entry) -> Option<Path> {
        let path = Path::from_hint(old.hint());
        let found = self.leaf_at(path).and_then(|entries| {
            let is_old = |item: &Entry| item.ptr_eq(old);
            if entries.items().get(path.slot(0)).is_some_and(is_old) {
                return Some(path);
            }
            let slot = entries.find_known(old.prefix(), is_old)?;
            Some(path.with_slot(0, slot))
        });
        found.or_else(|| self.search(old))
    }

    /// The leaf at `path`, if there is one.
    #[inline]
    fn leaf_at(&self, path: Path) -> Option<&Slots<Entry>> {
        let mut node = &self.root;
        for height in (0..=self.height).rev() {
            match &**node {
                Node::Leaf(entries) => return Some(entries),
                Node::Inner(inner) => node = inner.children.get(path.slot(height))?,
            }
        }
        None
    }

    /// As [`path_of`](Tree::path_of), where the hint does not help: something was put in or taken out in front of it.
    #[inline(never)]
    fn search(&self, old: &Entry) -> Option<Path> {
        let mut path = Path::default();
        let mut node = &self.root;
        for height in (0..=self.height).rev() {
            match &**node {
                Node::Leaf(entries) => {
                    let slot = entries.find_known(old.prefix(), |item| item.ptr_eq(old))?;
                    return Some(path.with_slot(0, slot));
                }
                Node::Inner(inner) => {
                    let slot = inner.slot_of(old.prefix());
                    path = path.with_slot(height, slot);
                    node = &inner.children[slot];
                }
            }
        }
        None
    }

    /// Takes the entry under `key` out.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let old = NodeArc::make_mut(&mut self.root).remove(key);
        while let Node::Inner(inner) = &*self.root {
            if inner.children.len() > 1 {
                break;
            }
            let only = NodeArc::clone(&inner.children[0]);
            self.root = only;
            self.height -= 1;
        }
        old
    }

    /// The entry under `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Entry> {
        let mut node = &self.root;
        loop {
            match &**node {
                Node::Leaf(entries) => return entries.find(key).ok().map(|slot| &entries.items()[slot]),
                Node::Inner(inner) => node = &inner.children[inner.slot_of(key)],
            }
        }
    }

    /// Visits the entries from `start` (included) to `end` (excluded) upwards.
    pub(crate) fn ascend(
        &self,
        start: &[u8],
        end: Option<&[u8]>,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) {
        let _ = self.root.ascend(start, end, visit);
    }

    /// Visits the entries from `start` (included) to `end` (excluded) downwards.
    pub(crate) fn descend(
        &self,
        start: &[u8],
        end: Option<&[u8]>,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) {
        let _ = self.root.descend(start, end, visit);
    }
}

impl Inner {
    /// The child that `key` belongs to.
    fn slot_of(&self, key: &[u8]) -> usize {
        self.bounds.find(key).map_or_else(|slot| slot, |slot| slot + 1)
    }

    /// The children that may hold keys from `start` to `end`.
    fn slots_of(&self, start: &[u8], end: Option<&[u8]>) -> std::ops::RangeInclusive<usize> {
        let last = end.map_or(self.bounds.len(), |end| {
            self.bounds.find(end).unwrap_or_else(|slot| slot)
        });
        self.slot_of(start)..=last
    }

    /// Merges the child in `slot` with a neighbour if it has become small and both fit into one node.
    fn mend(&mut self, slot: usize) {
        if self.children[slot].len() >= MIN || self.children.len() == 1 {
            return;
        }
        let left = slot.saturating_sub(1).min(self.children.len() - 2);
        if self.children[left].len() + self.children[left + 1].len() > MAX {
            return;
        }
        let bound = self.bounds.remove(left);
        let right = self.children.remove(left + 1);
        let right = NodeArc::try_unwrap(right).unwrap_or_else(|shared| (*shared).clone());
        NodeArc::make_mut(&mut self.children[left]).append(bound, right);
    }
}

impl Node {
    fn len(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.len(),
            Node::Inner(inner) => inner.children.len(),
        }
    }

    fn insert(&mut self, entry: Entry) -> (Option<Entry>, Option<Split>) {
        match self {
            Node::Leaf(entries) => match entries.find(entry.prefix()) {
                Ok(slot) => (Some(entries.replace(slot, entry)), None),
                Err(slot) if entries.len() < MAX => {
                    entries.insert(slot, entry);
                    (None, None)
                }
                Err(slot) => (None, Some(split_leaf(entries, slot, entry))),
            },
            Node::Inner(inner) => {
                let slot = inner.slot_of(entry.prefix());
                let (old, split) = NodeArc::make_mut(&mut inner.children[slot]).insert(entry);
                let Some(Split { bound, right }) = split else {
                    return (old, None);
                };
                inner.bounds.insert(slot, bound);
                inner.children.insert(slot + 1, right);
                (old, (inner.children.len() > MAX).then(|| split_inner(inner)))
            }
        }
    }

    fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        match self {
            Node::Leaf(entries) => entries.find(key).ok().map(|slot| entries.remove(slot)),
            Node::Inner(inner) => {
                let slot = inner.slot_of(key);
                let old = NodeArc::make_mut(&mut inner.children[slot]).remove(key)?;
                inner.mend(slot);
                Some(old)
            }
        }
    }

    /// Takes over all of `right`, whose keys are from `bound` on.
    fn append(&mut self, bound: Arc<[u8]>, right: Node) {
        match (self, right) {
            (Node::Leaf(left), Node::Leaf(right)) => left.append(right.into_items()),
            (Node::Inner(left), Node::Inner(right)) => {
                left.bounds
                    .append(std::iter::once(bound).chain(right.bounds.into_items()));
                left.children.extend(right.children);
            }
            _ => unreachable!("all leaves of a tree are at the same depth"),
        }
    }

    fn ascend(
        &self,
        start: &[u8],
        end: Option<&[u8]>,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match self {
            Node::Leaf(entries) => slots_between(entries, start, end).iter().try_for_each(visit),
            Node::Inner(inner) => inner
                .slots_of(start, end)
                .try_for_each(|slot| inner.children[slot].ascend(start, end, visit)),
        }
    }

    fn descend(
        &self,
        start: &[u8],
        end: Option<&[u8]>,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match self {
            Node::Leaf(entries) => slots_between(entries, start, end)
                .iter()
                .rev()
                .try_for_each(visit),
            Node::Inner(inner) => inner
                .slots_of(start, end)
                .rev()
                .try_for_each(|slot| inner.children[slot].descend(start, end, visit)),
        }
    }
}

fn slots_between<'a>(entries: &'a Slots<Entry>, start: &[u8], end: Option<&[u8]>) -> &'a [Entry] {
    let first = entries.find(start).unwrap_or_else(|slot| slot);
    let last = end.map_or(entries.len(), |end| entries.find(end).unwrap_or_else(|slot| slot));
    entries.items().get(first..last).unwrap_or_default()
}

/// Splits a full leaf to put `entry` in at `slot`: in the middle, or at the end for ascending inserts, which leave full
/// leaves behind that way.
fn split_leaf(left: &mut Slots<Entry>, slot: usize, entry: Entry) -> Split {
    if slot == left.len() {
        let mut right = Vec::with_capacity(MAX);
        right.push(entry);
        return leaf_split(Slots::new(right));
    }
    let at = left.len() / 2;
    let mut right = left.split_off(at, MAX);
    if slot <= at {
        left.insert(slot, entry);
    } else {
        right.insert(slot - at, entry);
    }
    leaf_split(right)
}

fn leaf_split(right: Slots<Entry>) -> Split {
    Split {
        bound: Arc::from(right.items()[0].prefix()),
        right: NodeArc::new(Node::Leaf(right)),
    }
}

fn split_inner(inner: &mut Inner) -> Split {
    let at = inner.children.len() / 2;
    let children = inner.children.split_off(at);
    let bounds = inner.bounds.split_off(at, MAX);
    let bound = inner
        .bounds
        .pop()
        .expect("a node that is split has bounds on both sides");
    Split {
        bound,
        right: NodeArc::new(Node::Inner(Inner { bounds, children })),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use stead_core::Revision;

    use super::*;

    fn entry(key: u16, revision: u64) -> Entry {
        Entry::with_prefix(&key.to_be_bytes(), b"v", Revision::new(revision), None)
    }

    fn contents(tree: &Tree, start: u16, end: Option<u16>, up: bool) -> Vec<(Vec<u8>, u64)> {
        let mut seen = Vec::new();
        let mut visit = |entry: &Entry| {
            seen.push((entry.prefix().to_vec(), entry.revision().get()));
            ControlFlow::Continue(())
        };
        let end = end.map(u16::to_be_bytes);
        let end = end.as_ref().map(|end| &end[..]);
        if up {
            tree.ascend(&start.to_be_bytes(), end, &mut visit);
        } else {
            tree.descend(&start.to_be_bytes(), end, &mut visit);
        }
        seen
    }

    fn expected(model: &BTreeMap<u16, u64>, start: u16, end: Option<u16>) -> Vec<(Vec<u8>, u64)> {
        let all = model
            .range(start..)
            .filter(|(key, _)| end.is_none_or(|end| **key < end));
        all.map(|(key, revision)| (key.to_be_bytes().to_vec(), *revision))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn behaves_as_a_sorted_map_and_its_copies_stand_still(
            operations in prop::collection::vec((0..3u8, 0..1500u16), 0..4000),
            bounds in prop::collection::vec((0..1600u16, prop::option::of(0..1600u16)), 8),
        ) {
            let (mut tree, mut model) = (Tree::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for (index, (kind, key)) in operations.iter().enumerate() {
                let revision = index as u64;
                let last = model.last_key_value().map(|(key, _): (&u16, _)| *key);
                let highest = tree.last().map(|last| last.prefix().to_vec());
                prop_assert_eq!(highest, last.map(|key| key.to_be_bytes().to_vec()));
                if index % 701 == 0 {
                    copies.push((tree.clone(), model.clone()));
                }
                if last.is_none_or(|last| last < *key) && index % 3 > 0 {
                    tree.append(entry(*key, revision));
                    model.insert(*key, revision);
                } else if *kind == 0 {
                    let behind = last.map_or(0, |last| last + 1);
                    tree.append(entry(behind, revision));
                    model.insert(behind, revision);
                } else if *kind == 1 {
                    let new = entry(*key, revision);
                    let there = tree.get(&key.to_be_bytes()).cloned();
                    let old = match there {
                        Some(there) if index % 2 == 0 => tree.replace(&there, new),
                        _ => tree.insert(new),
                    };
                    prop_assert_eq!(old.map(|old| old.revision().get()), model.insert(*key, revision));
                } else {
                    let old = tree.remove(&key.to_be_bytes()).map(|old| old.revision().get());
                    prop_assert_eq!(old, model.remove(key));
                }
                let found = tree.get(&key.to_be_bytes()).map(|entry| entry.revision().get());
                prop_assert_eq!(found, model.get(key).copied());
            }
            copies.push((tree, model));
            for (tree, model) in copies {
                for (start, end) in &bounds {
                    let mut wanted = expected(&model, *start, *end);
                    prop_assert_eq!(contents(&tree, *start, *end, true), wanted.clone());
                    wanted.reverse();
                    prop_assert_eq!(contents(&tree, *start, *end, false), wanted);
                }
            }
        }
    }

    #[test]
    fn overwritten_entries_are_where_their_hints_say_until_others_come_and_go() {
        let mut tree = Tree::default();
        for key in 0..9_000 {
            tree.insert(entry(key * 2, 0));
        }
        let overwrite_all = |tree: &mut Tree, revision: u64| {
            let mut all = Vec::new();
            tree.ascend(&[], None, &mut |entry| {
                all.push(entry.clone());
                ControlFlow::Continue(())
            });
            for old in &all {
                let key = u16::from_be_bytes(old.prefix().try_into().expect("two bytes"));
                let replaced = tree.replace(old, entry(key, revision)).expect("it is there");
                assert!(replaced.ptr_eq(old), "key {key}");
            }
            all.len()
        };
        assert_eq!(overwrite_all(&mut tree, 1), 9_000);
        let is_where_it_says = |item: &Entry| {
            let path = Path::from_hint(item.hint());
            let there = tree.leaf_at(path).and_then(|leaf| leaf.items().get(path.slot(0)));
            there.is_some_and(|there| there.ptr_eq(item))
        };
        let mut right = 0;
        tree.ascend(&[], None, &mut |item| {
            right += usize::from(is_where_it_says(item));
            ControlFlow::Continue(())
        });
        assert_eq!((tree.height, right), (2, 9_000));

        let copy = tree.clone();
        for key in 0..4_000 {
            tree.insert(entry(key * 2 + 1, 2));
        }
        for key in 5_000..9_000_u16 {
            tree.remove(&(key * 2).to_be_bytes());
        }
        assert_eq!(overwrite_all(&mut tree, 3), 9_000);
        assert!(
            contents(&tree, 0, None, true)
                .iter()
                .all(|(_, revision)| *revision == 3)
        );
        assert!(
            contents(&copy, 0, None, true)
                .iter()
                .all(|(_, revision)| *revision == 1)
        );

        for key in 10..18_000_u16 {
            tree.remove(&key.to_be_bytes());
        }
        assert_eq!((overwrite_all(&mut tree, 4), tree.height), (10, 0));
    }

    #[test]
    fn appended_entries_are_found_also_where_all_behind_them_was_removed() {
        for (filled, kept) in [(1, 0), (64, 0), (5_000, 4_999), (20_000, 4_097), (20_000, 1)] {
            let mut tree = Tree::default();
            (0..filled).for_each(|key| tree.append(entry(key * 3, 0)));
            for key in kept..filled {
                assert!(tree.remove(&(key * 3).to_be_bytes()).is_some());
            }
            // Between the last one that is left and the first one that went.
            (kept * 3..kept * 3 + 500).for_each(|key| {
                assert!(
                    tree.last()
                        .is_none_or(|last| last.prefix() < &key.to_be_bytes()[..])
                );
                tree.append(entry(key, 1));
            });
            let keys = contents(&tree, 0, None, true);
            assert_eq!(keys.len(), usize::from(kept) + 500);
            assert!(keys.is_sorted());
            for (key, revision) in keys {
                assert_eq!(tree.get(&key).map(|entry| entry.revision().get()), Some(revision));
            }
        }
    }

    #[test]
    fn appended_entry_does_not_go_into_an_empty_leaf_that_begins_behind_it() {
        let leaf = 64;
        let mut tree = Tree::default();
        (0..70 * leaf).for_each(|key| tree.append(entry(key * 3, 0)));
        // The left inner node becomes so full that the right one is not merged with it when it has one leaf, of nothing.
        (0..32).for_each(|slot| drop(tree.insert(entry((slot * leaf + 10) * 3 + 1, 0))));
        (32 * leaf..70 * leaf).for_each(|key| drop(tree.remove(&(key * 3).to_be_bytes())));
        let Node::Inner(root) = &*tree.root else {
            panic!("it has {} levels", tree.height);
        };
        assert_eq!(
            root.children.iter().map(|child| child.len()).collect::<Vec<_>>(),
            [64, 1]
        );
        let behind = 32 * leaf * 3 - 1;
        tree.append(entry(behind, 1));
        assert!(tree.get(&behind.to_be_bytes()).is_some());
        assert_eq!(
            tree.last().map(|last| last.prefix().to_vec()),
            Some(behind.to_be_bytes().to_vec())
        );
    }

    #[test]
    fn ascending_and_descending_growth_and_full_removal() {
        for up in [true, false] {
            let mut tree = Tree::default();
            let order = |index: u16| if up { index } else { 20_000 - index };
            for index in 0..20_000 {
                tree.insert(entry(order(index), 0));
            }
            assert_eq!(contents(&tree, 0, None, true).len(), 20_000);
            for index in 0..20_000 {
                assert!(tree.remove(&order(index).to_be_bytes()).is_some());
            }
            assert!(contents(&tree, 0, None, true).is_empty());
            assert!(matches!(&*tree.root, Node::Leaf(_)));
        }
    }
}
