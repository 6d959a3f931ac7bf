//! The change log as watchers read it: the newest change sets from memory, older ones from the engine.

use std::collections::VecDeque;

use stead_core::kit::{ChangeSource, LogRead, Signal};
use stead_core::{ChangeSet, Error, Reply, Result, Revision};

use crate::Engine;
use crate::planted::planted;
use crate::shared::Shared;
use crate::sync::Ordering;

/// The most change sets kept in memory.
const RING_SETS: usize = 1024;
/// The most changes kept in memory.
const RING_CHANGES: usize = 65_536;

/// The newest change sets, from the first watcher on: a store that nobody watches keeps none in memory.
pub(crate) struct Ring {
    wanted: bool,
    /// Everything after this revision is here.
    low: Revision,
    sets: VecDeque<ChangeSet>,
    changes: usize,
}

impl Ring {
    /// An empty one of a store that stands at `revision`.
    pub(crate) fn new(revision: Revision) -> Self {
        Ring {
            wanted: false,
            low: revision,
            sets: VecDeque::new(),
            changes: 0,
        }
    }

    /// Keeps what is pushed from now on.
    pub(crate) fn keep(&mut self) {
        self.wanted = true;
    }

    pub(crate) fn push(&mut self, sets: Vec<ChangeSet>) {
        if !self.wanted {
            self.low = sets.last().map_or(self.low, |newest| newest.revision);
            return;
        }
        for set in sets {
            self.changes += set.changes.len();
            self.sets.push_back(set);
        }
        while self.sets.len() > RING_SETS || self.changes > RING_CHANGES {
            let Some(oldest) = self.sets.pop_front() else {
                break;
            };
            self.changes -= oldest.changes.len();
            self.low = oldest.revision;
        }
    }

    /// The change sets after `after` and up to `published`, or `None` if some of them are not here.
    fn after(&self, after: Revision, published: Revision, limit: usize) -> Option<LogRead> {
        if after < self.low && !planted("ring-gap-untold") {
            return None;
        }
        let start = self.sets.partition_point(|set| set.revision <= after);
        let end = self.sets.partition_point(|set| set.revision <= published);
        let cut = end.min(start + limit);
        let sets: Vec<_> = self.sets.range(start..cut).cloned().collect();
        let up_to = match sets.last() {
            Some(last) if cut < end => last.revision,
            _ => published,
        };
        Some(LogRead::Sets { sets, up_to })
    }
}

impl<E: Engine> Shared<E> {
    fn read_log(&self, after: Revision, limit: usize) -> Result<LogRead> {
        // Looked at first: what was published before the end is then seen below.
        let ended = self.ended.load(Ordering::SeqCst);
        let (published, floor, held) = {
            let current = self.current.read();
            (current.revision, current.floor, current.held.clone())
        };
        if after < floor && !planted("compaction-untold") {
            return Ok(LogRead::Compacted { oldest: floor });
        }
        if after >= published {
            return if ended {
                Err(Error::closed())
            } else {
                Ok(LogRead::Sets {
                    sets: Vec::new(),
                    up_to: after,
                })
            };
        }
        if let Some(read) = self.ring.lock().after(after, published, limit) {
            return Ok(read);
        }
        let held = held.ok_or_else(Error::closed)?;
        let sets = held.changes_after(after, limit)?;
        let up_to = match sets.last() {
            Some(last) if sets.len() >= limit => last.revision,
            _ => held.header.revision,
        };
        Ok(LogRead::Sets { sets, up_to })
    }
}

impl<E: Engine> ChangeSource for Shared<E> {
    fn read_after(&self, after: Revision, limit: usize) -> Reply<'_, LogRead> {
        Reply::from(self.read_log(after, limit))
    }

    fn published(&self) -> Revision {
        self.current.read().revision
    }

    fn signal(&self) -> &Signal {
        &self.signal
    }
}

#[cfg(test)]
mod tests {
    use stead_core::{Change, ChangeKind, Key, Partition};

    use super::*;

    fn set(revision: u64, changes: usize) -> ChangeSet {
        let key = Key::new(&Partition::new("p").unwrap(), "k").unwrap();
        let change = Change {
            key,
            kind: ChangeKind::Put,
        };
        ChangeSet {
            revision: Revision::new(revision),
            changes: vec![change; changes],
        }
    }

    fn revisions(read: Option<LogRead>) -> Option<(Vec<u64>, u64)> {
        match read? {
            LogRead::Sets { sets, up_to } => {
                Some((sets.iter().map(|set| set.revision.get()).collect(), up_to.get()))
            }
            LogRead::Compacted { .. } => None,
        }
    }

    #[test]
    fn ring_gives_what_it_has_and_owns_up_to_what_it_has_not() {
        let mut ring = Ring::new(Revision::new(10));
        let read = |ring: &Ring, after, published, limit| {
            revisions(ring.after(Revision::new(after), Revision::new(published), limit))
        };
        ring.keep();
        ring.push(vec![set(11, 1), set(13, 1), set(14, 1)]);
        assert_eq!(read(&ring, 9, 14, 9), None);
        assert_eq!(read(&ring, 10, 14, 9), Some((vec![11, 13, 14], 14)));
        assert_eq!(
            read(&ring, 10, 13, 9),
            Some((vec![11, 13], 13)),
            "not published yet"
        );
        assert_eq!(
            read(&ring, 10, 14, 2),
            Some((vec![11, 13], 13)),
            "cut by the limit"
        );
        assert_eq!(read(&ring, 12, 15, 9), Some((vec![13, 14], 15)));
        ring.push(vec![set(16, RING_CHANGES - 2)]);
        assert_eq!(read(&ring, 10, 16, 9), None);
        assert_eq!(read(&ring, 11, 16, 9), Some((vec![13, 14, 16], 16)));
    }

    #[test]
    fn ring_keeps_nothing_until_it_shall() {
        let mut ring = Ring::new(Revision::new(10));
        ring.push(vec![set(11, 1), set(13, 1)]);
        ring.push(Vec::new());
        assert!(ring.sets.is_empty());
        ring.keep();
        ring.push(vec![set(15, 1)]);
        let read = |after| revisions(ring.after(Revision::new(after), Revision::new(15), 9));
        assert_eq!(read(12), None, "13 was not kept");
        assert_eq!(read(13), Some((vec![15], 15)));
    }
}
