//! The directories of a disk that may lose its power: which names are safe, and which are not yet.

use std::collections::{BTreeMap, BTreeSet};

use super::dice::Dice;
use super::log::{Node, Place};
use super::variant::Variant;

/// Which names a sync makes safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamesRule {
    /// Only the sync of a directory makes what happened to its names safe. Until then each making, renaming and removing
    /// may be there or not, whatever came later. That is all that POSIX promises.
    Strict,
    /// As in ext4 and XFS: changes of names reach the disk in the order in which they were made, and the sync of
    /// anything takes along all that were made before it.
    Journal,
}

/// The names on a disk.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    rule: NamesRule,
    safe: BTreeMap<Place, Node>,
    pending: Vec<Pending>,
}

#[derive(Clone, Debug)]
struct Pending {
    /// The position in the log.
    at: usize,
    /// What the names stand for afterwards. All of it happens or nothing: a rename is never half done.
    change: Vec<(Place, Option<Node>)>,
}

impl Pending {
    fn touches(&self, place: &Place) -> bool {
        self.change.iter().any(|(touched, _)| touched == place)
    }

    fn apply(&self, names: &mut BTreeMap<Place, Node>) {
        for (place, node) in &self.change {
            match node {
                Some(node) => names.insert(place.clone(), *node),
                None => names.remove(place),
            };
        }
    }
}

impl Names {
    pub(crate) fn new(rule: NamesRule) -> Self {
        Names {
            rule,
            safe: BTreeMap::new(),
            pending: Vec::new(),
        }
    }

    /// A name that was there at the beginning.
    pub(crate) fn begin(&mut self, place: Place, node: Node) {
        self.safe.insert(place, node);
    }

    pub(crate) fn change(&mut self, at: usize, change: Vec<(Place, Option<Node>)>) {
        self.pending.push(Pending { at, change });
    }

    /// Makes safe what the sync of `node` does, out of that which was done before a position.
    pub(crate) fn sync(&mut self, node: Node, covers: usize) {
        let rule = self.rule;
        let chosen = |pending: &Pending| {
            let of_directory = || pending.change.iter().any(|(place, _)| place.directory == node);
            pending.at < covers && (rule == NamesRule::Journal || of_directory())
        };
        let chosen: BTreeSet<usize> = (0..self.pending.len())
            .filter(|number| chosen(&self.pending[*number]))
            .collect();
        let chosen = self.with_predecessors(chosen);
        let mut number = 0;
        let Names { safe, pending, .. } = self;
        pending.retain(|change| {
            let take = chosen.contains(&number);
            number += 1;
            if take {
                change.apply(safe);
            }
            !take
        });
    }

    pub(crate) fn is_safe(&self) -> bool {
        self.pending.is_empty()
    }

    /// The names as the disk may hold them when the power comes back.
    pub(crate) fn after(&self, variant: Variant, dice: &mut Dice) -> BTreeMap<Place, Node> {
        let count = self.pending.len();
        let kept: BTreeSet<usize> = match variant {
            Variant::Dropped => BTreeSet::new(),
            Variant::Kept => (0..count).collect(),
            Variant::Entry => self.all_but_one(dice.below(count)),
            Variant::Subset | Variant::Torn512 | Variant::Torn4096 => match self.rule {
                NamesRule::Journal => (0..dice.below(count + 1)).collect(),
                NamesRule::Strict => (0..count).filter(|_| dice.coin()).collect(),
            },
        };
        let mut names = self.safe.clone();
        for number in self.with_predecessors(kept) {
            self.pending[number].apply(&mut names);
        }
        names
    }

    /// What there is if one change was lost, and with it those that could not be without it.
    fn all_but_one(&self, lost: usize) -> BTreeSet<usize> {
        let count = self.pending.len();
        if self.rule == NamesRule::Journal {
            return (0..lost.min(count)).collect();
        }
        let mut gone = BTreeSet::from([lost]);
        for number in lost + 1..count {
            let depends = gone.iter().any(|lost| self.overlap(*lost, number));
            if depends {
                gone.insert(number);
            }
        }
        (0..count).filter(|number| !gone.contains(number)).collect()
    }

    /// A change brings the earlier ones of the same names along: there is one slot for a name.
    fn with_predecessors(&self, mut kept: BTreeSet<usize>) -> BTreeSet<usize> {
        for number in (0..self.pending.len()).rev() {
            if kept.range(number + 1..).any(|later| self.overlap(number, *later)) {
                kept.insert(number);
            }
        }
        kept
    }

    fn overlap(&self, one: usize, other: usize) -> bool {
        let other = &self.pending[other];
        self.pending[one]
            .change
            .iter()
            .any(|(place, _)| other.touches(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power::log::ROOT;

    fn place(name: &str) -> Place {
        Place {
            directory: ROOT,
            name: name.into(),
        }
    }

    fn make(names: &mut Names, at: usize, name: &str, node: u32) {
        names.change(at, vec![(place(name), Some(Node(node)))]);
    }

    fn rename(names: &mut Names, at: usize, from: &str, to: &str, node: u32) {
        names.change(at, vec![(place(from), None), (place(to), Some(Node(node)))]);
    }

    fn outcomes(names: &Names, variant: Variant) -> BTreeSet<String> {
        (0..500)
            .map(|seed| {
                let names = names.after(variant, &mut Dice::new(seed, 0));
                let told: Vec<String> = names
                    .iter()
                    .map(|(place, node)| format!("{}={}", place.name.display(), node.0))
                    .collect();
                told.join(" ")
            })
            .collect()
    }

    fn set(of: &[&str]) -> BTreeSet<String> {
        of.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn name_is_safe_only_after_a_sync_of_its_directory() {
        let mut names = Names::new(NamesRule::Strict);
        make(&mut names, 0, "a", 1);
        names.sync(Node(1), 1);
        assert_eq!(outcomes(&names, Variant::Dropped), set(&[""]));
        names.sync(ROOT, 2);
        assert!(names.is_safe());
        assert_eq!(outcomes(&names, Variant::Dropped), set(&["a=1"]));
    }

    #[test]
    fn journal_takes_earlier_names_along_and_keeps_their_order() {
        let mut names = Names::new(NamesRule::Journal);
        make(&mut names, 0, "a", 1);
        names.sync(Node(9), 1);
        make(&mut names, 2, "b", 2);
        make(&mut names, 3, "c", 3);
        assert_eq!(
            outcomes(&names, Variant::Subset),
            set(&["a=1", "a=1 b=2", "a=1 b=2 c=3"])
        );
    }

    #[test]
    fn strict_names_are_kept_in_any_combination_but_a_rename_is_whole() {
        let mut names = Names::new(NamesRule::Strict);
        make(&mut names, 0, "CURRENT", 1);
        names.sync(ROOT, 1);
        make(&mut names, 2, "new", 2);
        rename(&mut names, 3, "new", "CURRENT", 2);
        make(&mut names, 4, "other", 3);
        assert_eq!(
            outcomes(&names, Variant::Subset),
            set(&[
                "CURRENT=1",
                "CURRENT=1 new=2",
                "CURRENT=2",
                "CURRENT=1 other=3",
                "CURRENT=1 new=2 other=3",
                "CURRENT=2 other=3",
            ])
        );
        assert_eq!(
            outcomes(&names, Variant::Entry),
            set(&["CURRENT=1 other=3", "CURRENT=1 new=2 other=3", "CURRENT=2"])
        );
    }
}
