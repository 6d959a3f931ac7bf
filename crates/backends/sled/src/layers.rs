//! What views need of the past: sled has none of its own.

use std::collections::{BTreeMap, VecDeque};
use std::mem;

use sled::IVec;

/// The values that commits replaced: `None` where there was nothing before.
pub(crate) type Replaced = BTreeMap<IVec, Option<IVec>>;

/// What the commits after one live view, up to and including the commit of the next one, replaced.
#[derive(Debug)]
struct Layer {
    up_to: u64,
    replaced: Replaced,
}

/// The replaced values that live views still see, in the order of the commits.
///
/// There is at most one layer for each commit that a live view is of. No layer spans the commit of a live view, so a
/// view finds what it sees under a key in the first layer behind it that has the key, or else in the tree.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    layers: VecDeque<Layer>,
}

impl Layers {
    /// Adds what the commit `commit` replaced. `is_seen` says whether a live view is of the commit right before it.
    pub(crate) fn push(&mut self, commit: u64, replaced: Replaced, is_seen: bool) {
        match self.layers.back_mut() {
            Some(last) if !is_seen => {
                last.up_to = commit;
                merge(&mut last.replaced, replaced);
            }
            _ => self.layers.push_back(Layer {
                up_to: commit,
                replaced,
            }),
        }
    }

    /// Lets go of what only views of the commit `of` needed; `oldest` is the oldest commit that a live view is of.
    /// Returns what may be dropped outside of locks.
    pub(crate) fn release(&mut self, of: u64, oldest: Option<u64>) -> Vec<Replaced> {
        let mut released = Vec::new();
        while let Some(first) = self.layers.front() {
            if oldest.is_some_and(|oldest| oldest < first.up_to) {
                break;
            }
            released.extend(self.layers.pop_front().map(|layer| layer.replaced));
        }
        let ends_there = self.layers.partition_point(|layer| layer.up_to < of);
        let ends_there = match self.layers.get(ends_there) {
            Some(layer) if layer.up_to == of => ends_there,
            _ => return released,
        };
        if let Some(next) = self.layers.remove(ends_there + 1) {
            let layer = &mut self.layers[ends_there];
            layer.up_to = next.up_to;
            merge(&mut layer.replaced, next.replaced);
        }
        released
    }

    /// What commits after `commit` replaced, in their order.
    pub(crate) fn after(&self, commit: u64) -> impl DoubleEndedIterator<Item = &Replaced> {
        let from = self.layers.partition_point(|layer| layer.up_to <= commit);
        self.layers.range(from..).map(|layer| &layer.replaced)
    }

    /// What a view of `commit` sees under `key`, or `None` if that is what the tree holds.
    pub(crate) fn find(&self, commit: u64, key: &[u8]) -> Option<&Option<IVec>> {
        self.after(commit).find_map(|replaced| replaced.get(key))
    }

    /// Whether everything that a view of `commit` sees is in the tree.
    pub(crate) fn is_current(&self, commit: u64) -> bool {
        self.layers.back().is_none_or(|last| last.up_to <= commit)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.layers.len()
    }
}

/// Adds what later commits replaced: what came first counts. Costs as much as the smaller of the two is large.
fn merge(earlier: &mut Replaced, mut later: Replaced) {
    if earlier.len() >= later.len() {
        for (key, value) in later {
            earlier.entry(key).or_insert(value);
        }
    } else {
        later.append(earlier);
        *earlier = mem::take(&mut later);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(pairs: &[(&str, Option<&str>)]) -> Replaced {
        pairs
            .iter()
            .map(|(key, value)| (IVec::from(*key), value.map(IVec::from)))
            .collect()
    }

    fn seen(layers: &Layers, commit: u64, key: &str) -> Option<Option<String>> {
        let found = layers.find(commit, key.as_bytes())?;
        Some(
            found
                .as_ref()
                .map(|value| String::from_utf8_lossy(value).into_owned()),
        )
    }

    #[test]
    fn first_replaced_value_counts() {
        let mut layers = Layers::default();
        layers.push(1, replaced(&[("a", Some("0"))]), true);
        layers.push(2, replaced(&[("a", Some("1")), ("b", None)]), true);
        assert_eq!(seen(&layers, 0, "a"), Some(Some("0".into())));
        assert_eq!(seen(&layers, 1, "a"), Some(Some("1".into())));
        assert_eq!(seen(&layers, 0, "b"), Some(None));
        assert_eq!(seen(&layers, 2, "a"), None);
        assert!(layers.is_current(2) && !layers.is_current(1));
    }

    #[test]
    fn layers_between_live_views_become_one_whichever_is_larger() {
        for later in [
            &[("a", Some("1"))][..],
            &[("a", Some("1")), ("b", None), ("c", None)][..],
        ] {
            let mut layers = Layers::default();
            layers.push(1, replaced(&[("a", Some("0")), ("x", None)]), true);
            layers.push(2, replaced(later), true);
            layers.push(3, replaced(&[("a", Some("2"))]), true);
            // The view of commit 1 ends, those of 0 and 2 live on.
            assert!(layers.release(1, Some(0)).is_empty());
            assert_eq!(layers.len(), 2);
            assert_eq!(seen(&layers, 0, "a"), Some(Some("0".into())));
            assert_eq!(seen(&layers, 2, "a"), Some(Some("2".into())));
            // The oldest ends, and what only it saw goes.
            assert_eq!(layers.release(0, Some(2)).len(), 1);
            assert_eq!(layers.len(), 1);
            assert_eq!(layers.release(2, None).len(), 1);
            assert_eq!(layers.len(), 0);
        }
    }

    #[test]
    fn commit_that_no_view_is_of_gets_no_layer_of_its_own() {
        let mut layers = Layers::default();
        layers.push(1, replaced(&[("a", Some("0"))]), true);
        layers.push(2, replaced(&[("a", Some("1")), ("b", Some("1"))]), false);
        assert_eq!(layers.len(), 1);
        assert_eq!(seen(&layers, 0, "a"), Some(Some("0".into())));
        assert_eq!(seen(&layers, 0, "b"), Some(Some("1".into())));
        assert!(layers.is_current(2));
    }
}
