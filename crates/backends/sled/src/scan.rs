//! Reading a range as a view sees it.

use std::iter::Peekable;
use std::ops::Bound;

use sled::IVec;
use stead_core::{Direction, Result};

use crate::error;
use crate::layers::{Layers, Replaced};
use crate::shared::Shared;

/// A part of the tree.
pub(crate) type Bounds = (Bound<IVec>, Bound<IVec>);
/// A key and its record.
pub(crate) type Pair = (IVec, IVec);

/// A scan under way.
///
/// Between two reads commits go on, and sled's iterator may hold a page as it was before them. That does no harm: what
/// commits replace is known before the tree changes, and looked up after the tree was read. A key that nobody has
/// replaced since the view began has the same record in every page.
pub(crate) struct Scan {
    commit: u64,
    /// What is left.
    bounds: Bounds,
    direction: Direction,
    tree: Option<sled::Iter>,
    /// The next of the tree, if it was read already.
    ahead: Option<Pair>,
    /// The tree has no more. sled's iterator must not be asked again: it would look for what came since.
    over: bool,
}

impl Scan {
    /// Begins a scan of a view of `commit`.
    pub(crate) fn new(commit: u64, bounds: Bounds, direction: Direction) -> Self {
        Scan {
            commit,
            bounds,
            direction,
            tree: None,
            ahead: None,
            over: false,
        }
    }

    /// Adds the pairs of the next keys, at most `limit` of them. Returns whether any may be left.
    ///
    /// # Errors
    ///
    /// A failure to read.
    pub(crate) fn read(&mut self, shared: &Shared, limit: usize, pairs: &mut Vec<Pair>) -> Result<bool> {
        let last = shared.look(|db, layers| {
            error::guarded(|| {
                self.tree.get_or_insert_with(|| db.range(self.bounds.clone()));
                if layers.is_current(self.commit) {
                    self.read_tree(limit, pairs)
                } else {
                    self.read_all(layers, limit, pairs)
                }
            })
        })?;
        let Some(last) = last else { return Ok(false) };
        match self.direction {
            Direction::Forward => self.bounds.0 = Bound::Excluded(last),
            Direction::Reverse => self.bounds.1 = Bound::Excluded(last),
        }
        Ok(true)
    }

    fn next_of_tree(&mut self) -> Result<Option<Pair>> {
        if let Some(ahead) = self.ahead.take() {
            return Ok(Some(ahead));
        }
        let Some(tree) = self.tree.as_mut().filter(|_| !self.over) else {
            return Ok(None);
        };
        let next = match self.direction {
            Direction::Forward => tree.next(),
            Direction::Reverse => tree.next_back(),
        };
        self.over = next.is_none();
        next.transpose().map_err(error::storage)
    }

    /// Reads where the tree is what the view sees. Returns the last key if more may be left.
    fn read_tree(&mut self, limit: usize, pairs: &mut Vec<Pair>) -> Result<Option<IVec>> {
        for _ in 0..limit {
            match self.next_of_tree()? {
                Some(pair) => pairs.push(pair),
                None => return Ok(None),
            }
        }
        Ok(pairs.last().map(|(key, _)| key.clone()))
    }

    /// Reads the tree together with what was replaced in it, of which the oldest counts.
    fn read_all(&mut self, layers: &Layers, limit: usize, pairs: &mut Vec<Pair>) -> Result<Option<IVec>> {
        let past = layers.after(self.commit);
        let past = past.map(|replaced| walk(replaced, &self.bounds, self.direction).peekable());
        let mut past: Vec<_> = past.collect();
        let mut last = None;
        for _ in 0..limit {
            let in_tree = self.next_of_tree()?;
            let Some(key) = next_key(in_tree.as_ref(), &mut past, self.direction) else {
                return Ok(None);
            };
            let mut seen: Option<Option<IVec>> = None;
            for walk in &mut past {
                if let Some((_, value)) = walk.next_if(|(at, _)| **at == key) {
                    seen.get_or_insert_with(|| value.clone());
                }
            }
            match in_tree {
                Some((at, value)) if at == key => {
                    seen.get_or_insert(Some(value));
                }
                other => self.ahead = other,
            }
            if let Some(Some(value)) = seen {
                pairs.push((key.clone(), value));
            }
            last = Some(key);
        }
        Ok(last)
    }
}

type Past<'a> = Box<dyn Iterator<Item = (&'a IVec, &'a Option<IVec>)> + 'a>;

fn walk<'a>(replaced: &'a Replaced, bounds: &Bounds, direction: Direction) -> Past<'a> {
    let range = replaced.range::<IVec, _>((bounds.0.as_ref(), bounds.1.as_ref()));
    match direction {
        Direction::Forward => Box::new(range),
        Direction::Reverse => Box::new(range.rev()),
    }
}

fn next_key(in_tree: Option<&Pair>, past: &mut [Peekable<Past<'_>>], direction: Direction) -> Option<IVec> {
    let mut next = in_tree.map(|(key, _)| key);
    for walk in past {
        if let Some((key, _)) = walk.peek() {
            let is_before = next.is_none_or(|next| match direction {
                Direction::Forward => *key < next,
                Direction::Reverse => *key > next,
            });
            if is_before {
                next = Some(key);
            }
        }
    }
    next.cloned()
}
