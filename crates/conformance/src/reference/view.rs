//! Looking at the entries at one instant.

use stead_core::kit::Lookup;
use stead_core::{Direction, Entry, Key, KeyRange, Partition, Result, Revision, Timestamp};

use super::entries::{Entries, Stored};
use super::faults::{Fault, Faults};

/// Entries in some order.
pub(super) type Found<'a> = Box<dyn Iterator<Item = (&'a Key, &'a Entry)> + 'a>;

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Get,
    GetMany,
    Scan,
    Preconditions,
    Snapshot,
}

/// Entries without those past their deadline.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) entries: &'a Entries,
    pub(super) now: Timestamp,
    pub(super) faults: Faults,
    pub(super) reader: Reader,
}

impl<'a> View<'a> {
    pub(super) fn get(&self, key: &Key) -> Option<&'a Entry> {
        let entry = if self.faults.has(Fault::KeysIgnoreCase) {
            let is_alike = |one: &Key| one.as_bytes().eq_ignore_ascii_case(key.as_bytes());
            self.entries.iter().find(|(one, _)| is_alike(one))?.1
        } else {
            self.entries.get(key)?
        };
        self.sees(entry).then_some(entry)
    }

    /// The visible entries of `range` in the order of `direction`.
    pub(super) fn range(&self, range: &KeyRange, direction: Direction) -> Found<'a> {
        let view = *self;
        let stored = self.stored(range).filter(move |(_, entry)| view.sees(entry));
        if direction == Direction::Forward {
            return Box::new(stored);
        }
        if self.faults.has(Fault::ReverseScanLosesStart) {
            let start = range.start().to_vec();
            return Box::new(stored.rev().filter(move |(key, _)| key.as_bytes() != start));
        }
        Box::new(stored.rev())
    }

    /// The first partitions with visible entries in `range`.
    pub(super) fn partitions(&self, range: &KeyRange, limit: usize) -> Vec<Partition> {
        let mut partitions: Vec<Partition> = self
            .range(range, Direction::Forward)
            .map(|(key, _)| key.partition())
            .collect();
        partitions.dedup();
        partitions.truncate(limit);
        partitions
    }

    /// What is stored in `range`, visible or not.
    fn stored(&self, range: &KeyRange) -> Stored<'a> {
        if self.faults.has(Fault::PartitionMatchesNeighbour)
            && let Some(partition) = range.single_partition()
        {
            let (range, partition) = (range.clone(), partition.clone());
            let neighbours = move |key: &Key| key.as_bytes().starts_with(partition.as_bytes());
            let is_whole =
                range.start().ends_with(&[0]) && range.start().len() == range.end().map_or(0, <[u8]>::len);
            return Box::new(
                self.entries
                    .iter()
                    .filter(move |(key, _)| range.contains(key) || (is_whole && neighbours(key))),
            );
        }
        self.entries.range(range)
    }

    fn sees(&self, entry: &Entry) -> bool {
        if self.faults.has(Fault::EmptyValueIsMissing) && entry.value().is_empty() {
            return false;
        }
        is_visible(entry, self.now) || self.sees_expired(entry)
    }

    fn sees_expired(&self, entry: &Entry) -> bool {
        let wrong_reader = match self.reader {
            Reader::Get => Fault::ExpiredVisibleToGet,
            Reader::GetMany => Fault::ExpiredVisibleToGetMany,
            Reader::Scan => Fault::ExpiredVisibleToScan,
            Reader::Preconditions => Fault::ExpiredVisibleToPreconditions,
            Reader::Snapshot => Fault::ExpiredVisibleToSnapshot,
        };
        self.faults.has(wrong_reader)
            || (self.faults.has(Fault::DeadlineOneTooLate) && entry.deadline() == Some(self.now))
    }
}

impl Lookup for View<'_> {
    fn revision_of(&mut self, key: &Key) -> Result<Option<Revision>> {
        Ok(self.get(key).map(Entry::revision))
    }

    fn count(&mut self, range: &KeyRange, _enough: u64) -> Result<u64> {
        let counted = if self.faults.has(Fault::ExpiredCounted) {
            self.stored(range).count()
        } else {
            self.range(range, Direction::Forward).count()
        };
        Ok(counted as u64)
    }
}

pub(super) fn is_visible(entry: &Entry, now: Timestamp) -> bool {
    entry.deadline().is_none_or(|deadline| deadline > now)
}
