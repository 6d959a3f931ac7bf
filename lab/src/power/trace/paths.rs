//! The names below the recorded directory, as the process saw them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::super::log::{Node, Place, ROOT};
use super::super::tree::Tree;
use super::arguments::{Argument, Descriptor};
use super::line::returned;

/// The names below the recorded directory.
pub(super) struct Paths {
    root: PathBuf,
    names: BTreeMap<Place, Node>,
    /// How many nodes there have been, the recorded directory among them.
    nodes: u32,
}

/// What a path stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing that is recorded.
    Outside,
    /// The recorded directory.
    Root,
    Node(Place, Node),
    /// No such name so far.
    Nothing(Place),
}

impl Paths {
    /// `root` is free of symbolic links and holds `base` at the beginning.
    pub(super) fn new(root: &Path, base: &Tree) -> Self {
        let mut paths = Paths {
            root: root.to_owned(),
            names: BTreeMap::new(),
            nodes: 1,
        };
        base.each(&mut |place, node, _| {
            paths.names.insert(place, node);
            paths.nodes = node.0 + 1;
        });
        paths
    }

    pub(super) fn is_inside(&self, path: &[u8]) -> bool {
        Path::new(OsStr::from_bytes(path)).starts_with(&self.root)
    }

    /// A node that has no name yet.
    pub(super) fn new_node(&mut self) -> Node {
        self.nodes += 1;
        Node(self.nodes - 1)
    }

    pub(super) fn set(&mut self, place: Place, node: Node) {
        self.names.insert(place, node);
    }

    pub(super) fn remove(&mut self, place: &Place) {
        self.names.remove(place);
    }

    /// Finds what a path argument stands for, relative to the directory argument before it.
    ///
    /// # Errors
    ///
    /// Paths that the recording cannot follow.
    pub(super) fn find(&self, directory: Option<&Argument>, path: &Argument) -> Result<Found> {
        let Argument::Text(path) = path else {
            bail!("a path that is none");
        };
        let path = Path::new(OsStr::from_bytes(path));
        let whole = match directory {
            _ if path.is_absolute() => path.to_owned(),
            Some(Argument::Descriptor { target, .. }) => Path::new(OsStr::from_bytes(target)).join(path),
            _ => bail!("a relative path; give the store an absolute one"),
        };
        self.find_whole(&whole)
    }

    fn find_whole(&self, path: &Path) -> Result<Found> {
        let Ok(below) = path.strip_prefix(&self.root) else {
            ensure!(
                !path.components().any(|part| part == Component::ParentDir),
                "a path through a parent"
            );
            return Ok(Found::Outside);
        };
        let mut found = Found::Root;
        for part in below.components() {
            let Component::Normal(name) = part else {
                bail!("a path through a parent");
            };
            let directory = match found {
                Found::Root => ROOT,
                Found::Node(_, node) => node,
                Found::Nothing(_) | Found::Outside => bail!("a path below a directory that is not there"),
            };
            let name = name.to_owned();
            let place = Place { directory, name };
            found = match self.names.get(&place) {
                Some(node) => Found::Node(place, *node),
                None => Found::Nothing(place),
            };
        }
        Ok(found)
    }
}

/// The number of a descriptor argument.
pub(super) fn descriptor(argument: Option<&Argument>) -> Result<u64> {
    match argument {
        Some(Argument::Descriptor {
            number: Descriptor::Number(number),
            ..
        }) => Ok(*number),
        Some(Argument::Word(word)) => returned(word).context("no descriptor"),
        _ => bail!("no descriptor"),
    }
}

/// The argument at a position.
pub(super) fn at(arguments: &[Argument], position: usize) -> Result<&Argument> {
    arguments.get(position).context("too few arguments")
}

/// The number at a position.
pub(super) fn number(arguments: &[Argument], position: usize) -> Result<u64> {
    match at(arguments, position)? {
        Argument::Word(word) => word.parse().context("no number"),
        _ => bail!("no number"),
    }
}

/// The flags at a position; none if there is no such argument.
pub(super) fn flags(arguments: &[Argument], position: usize) -> Vec<&str> {
    match arguments.get(position) {
        Some(Argument::Word(word)) => word.split('|').collect(),
        _ => Vec::new(),
    }
}
