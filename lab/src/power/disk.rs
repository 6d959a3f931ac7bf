//! A disk that may lose its power.

use std::collections::BTreeMap;

use super::content::Content;
use super::dice::Dice;
use super::file::{Change, File};
use super::log::{Kind, Node, Op, Place, ROOT};
use super::names::{Names, NamesRule};
use super::tree::Tree;
use super::variant::Variant;

/// Whether a sync does what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syncs {
    Honoured,
    /// As if none had ever happened: the control, which has to lose something.
    Ignored,
}

/// A disk, as far as a log has been played to it.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    syncs: Syncs,
    position: usize,
    names: Names,
    files: BTreeMap<Node, File>,
    directories: Vec<Node>,
}

impl Disk {
    /// A disk that safely holds what is in `base`.
    pub(crate) fn new(rule: NamesRule, syncs: Syncs, base: &Tree) -> Self {
        let mut disk = Disk {
            syncs,
            position: 0,
            names: Names::new(rule),
            files: BTreeMap::new(),
            directories: vec![ROOT],
        };
        base.each(&mut |place, node, content| {
            disk.names.begin(place, node);
            match content {
                Some(content) => drop(disk.files.insert(node, File::holding(content.clone()))),
                None => disk.directories.push(node),
            }
        });
        disk
    }

    /// Plays the log up to a position, which is not before the one reached so far.
    pub(crate) fn play(&mut self, ops: &[Op], until: usize) {
        for (at, op) in ops.iter().enumerate().take(until).skip(self.position) {
            self.play_one(at, op);
        }
        self.position = until;
    }

    fn play_one(&mut self, at: usize, op: &Op) {
        let mut named = |change| self.names.change(at, change);
        match op {
            Op::Make { place, node, kind } => {
                named(vec![(place.clone(), Some(*node))]);
                match kind {
                    Kind::File => drop(self.files.insert(*node, File::default())),
                    Kind::Directory => self.directories.push(*node),
                }
            }
            Op::Link { place, node } => named(vec![(place.clone(), Some(*node))]),
            Op::Rename { from, to, node } => named(vec![(from.clone(), None), (to.clone(), Some(*node))]),
            Op::Remove { place } => named(vec![(place.clone(), None)]),
            Op::Write { file, offset, data } => {
                let (offset, data) = (*offset, data.clone());
                self.change(at, *file, Change::Write { offset, data });
            }
            Op::SetLen { file, len } => self.change(at, *file, Change::SetLen(*len)),
            Op::Sync { node, covers } if self.syncs == Syncs::Honoured => {
                self.names.sync(*node, *covers);
                if let Some(file) = self.files.get_mut(node) {
                    file.sync(*covers);
                }
            }
            // The manual of sync_file_range: no metadata, and nothing about the cache of the device.
            Op::Sync { .. } | Op::SyncRange { .. } | Op::Acknowledge(_) => {}
        }
    }

    fn change(&mut self, at: usize, file: Node, change: Change) {
        self.files.entry(file).or_default().change(at, change);
    }

    /// Whether there is a name that may be lost.
    pub(crate) fn has_unsafe_names(&self) -> bool {
        !self.names.is_safe()
    }

    /// Whether there is anything that may be lost.
    #[cfg(test)]
    pub(crate) fn is_safe(&self) -> bool {
        self.names.is_safe() && self.files.values().all(File::is_safe)
    }

    /// What the disk may hold when the power comes back after the position reached.
    pub(crate) fn after(&self, variant: Variant, dice: &mut Dice) -> Tree {
        let names = self.names.after(variant, dice);
        self.tree(ROOT, &names, variant, dice, &mut BTreeMap::new())
    }

    fn tree(
        &self,
        directory: Node,
        names: &BTreeMap<Place, Node>,
        variant: Variant,
        dice: &mut Dice,
        built: &mut BTreeMap<Node, Content>,
    ) -> Tree {
        let mut tree = Tree::default();
        let here = names.iter().filter(|(place, _)| place.directory == directory);
        for (place, node) in here {
            let name = place.name.clone();
            if self.directories.contains(node) {
                let below = self.tree(*node, names, variant, dice, built);
                tree.directories.insert(name, below);
            } else if let Some(file) = self.files.get(node) {
                // A file of two names has one content.
                let content = built.entry(*node).or_insert_with(|| file.after(variant, dice));
                tree.files.insert(name, content.clone());
            }
        }
        tree
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(directory: Node, name: &str) -> Place {
        Place {
            directory,
            name: name.into(),
        }
    }

    fn ops() -> Vec<Op> {
        let (directory, file) = (Node(1), Node(2));
        vec![
            Op::Make {
                place: place(ROOT, "store"),
                node: directory,
                kind: Kind::Directory,
            },
            Op::Sync {
                node: ROOT,
                covers: 1,
            },
            Op::Make {
                place: place(directory, "data"),
                node: file,
                kind: Kind::File,
            },
            Op::Write {
                file,
                offset: 0,
                data: b"one"[..].into(),
            },
            Op::Sync {
                node: file,
                covers: 4,
            },
            Op::Sync {
                node: directory,
                covers: 5,
            },
            Op::Acknowledge("one".to_owned()),
        ]
    }

    fn dropped(until: usize, syncs: Syncs) -> Tree {
        let mut disk = Disk::new(NamesRule::Strict, syncs, &Tree::default());
        disk.play(&ops(), until);
        disk.after(Variant::Dropped, &mut Dice::new(0, 0))
    }

    #[test]
    fn file_needs_its_own_sync_and_that_of_each_directory_above() {
        assert!(dropped(1, Syncs::Honoured).directories.is_empty());
        let bare = dropped(5, Syncs::Honoured);
        assert!(
            bare.directories["store".as_ref() as &std::ffi::OsStr]
                .files
                .is_empty()
        );
        let whole = dropped(7, Syncs::Honoured);
        let file = &whole.directories["store".as_ref() as &std::ffi::OsStr].files
            ["data".as_ref() as &std::ffi::OsStr];
        assert_eq!(file.len(), 3);
    }

    #[test]
    fn what_was_there_at_the_beginning_is_safe() {
        let base = dropped(7, Syncs::Honoured);
        let mut disk = Disk::new(NamesRule::Strict, Syncs::Ignored, &base);
        let file = Node(2);
        let ops = [Op::Write {
            file,
            offset: 3,
            data: b"two"[..].into(),
        }];
        disk.play(&ops, 1);
        assert_eq!(disk.after(Variant::Dropped, &mut Dice::new(0, 0)), base);
        let kept = disk.after(Variant::Kept, &mut Dice::new(0, 0));
        let files = &kept.directories["store".as_ref() as &std::ffi::OsStr].files;
        assert_eq!(files["data".as_ref() as &std::ffi::OsStr].len(), 6);
    }

    #[test]
    fn nothing_is_safe_when_syncs_are_ignored() {
        let tree = dropped(7, Syncs::Ignored);
        assert!(tree.directories.is_empty() && tree.files.is_empty());
        let mut disk = Disk::new(NamesRule::Strict, Syncs::Ignored, &Tree::default());
        disk.play(&ops(), 7);
        assert!(!disk.is_safe());
        assert!(disk.has_unsafe_names());
    }
}
