//! The newest changes, for watches, and the newest request ids, for retries: both bounded.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};

use stead_core::kit::LogRead;
use stead_core::{Change, ChangeKind, ChangeSet, Error, Fingerprint, Key, RequestId, Result, Revision};

use crate::commit::Decided;

/// Bytes of a block, unless one commit has more.
const BLOCK: usize = 16 << 10;
/// A block with so many bytes is full: most commits are small, and then it need not grow for the last one.
const FULL: usize = BLOCK - BLOCK / 16;
/// Bytes of a change beside its key: the kind and the length of the key.
const HEAD: usize = 3;
/// By their byte.
const KINDS: [ChangeKind; 3] = [ChangeKind::Put, ChangeKind::Delete, ChangeKind::Expired];

/// The change sets of the newest commits.
///
/// Blocks of bytes instead of a vector and keys for each set: a third of the memory to go through, and nothing to free one
/// by one. What a block holds stays where it is, so that the memory of a log which grows is never copied, and goes with
/// the commits that were in it.
pub(crate) struct ChangeLog {
    retention: usize,
    sets: VecDeque<Set>,
    full: VecDeque<Block>,
    /// What is written to.
    current: Block,
    /// The place of the first byte of the oldest set.
    oldest: u64,
    /// Everything up to here may be gone.
    floor: Revision,
    /// Everything up to here was committed.
    newest: Revision,
    read: AtomicBool,
}

/// What was committed at one revision.
struct Set {
    revision: Revision,
    /// The place behind its last byte. Its bytes are in one block.
    end: u64,
}

/// Some of the bytes of the log, with the place of the first one, counted since the beginning of the log.
struct Block {
    start: u64,
    bytes: Vec<u8>,
}

impl Block {
    fn at(start: u64, bytes: usize) -> Self {
        Block {
            start,
            bytes: Vec::with_capacity(bytes),
        }
    }

    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChangeLog {
    pub(crate) fn new(retention: usize) -> Self {
        ChangeLog {
            retention,
            sets: VecDeque::new(),
            full: VecDeque::new(),
            current: Block::at(0, 0),
            oldest: 0,
            floor: Revision::ZERO,
            newest: Revision::ZERO,
            read: AtomicBool::new(false),
        }
    }

    /// Makes room for the `changes` of the next commit, whose keys have so many bytes. Before the first is noted.
    pub(crate) fn reserve(&mut self, changes: usize, key_bytes: usize) {
        let bytes = changes * HEAD + key_bytes;
        if self.current.bytes.len() + bytes > BLOCK {
            self.begin_block(bytes);
        }
    }

    /// Notes a change of the commit that is under way.
    #[inline]
    pub(crate) fn note(&mut self, key: &[u8], kind: ChangeKind) {
        let length = u16::try_from(key.len()).expect("keys are shorter than 64 KiB");
        let [low, high] = length.to_le_bytes();
        let bytes = &mut self.current.bytes;
        bytes.extend_from_slice(&[kind as u8, low, high]);
        bytes.extend_from_slice(key);
    }

    /// Ends the commit under way, which made `revision`.
    #[inline]
    pub(crate) fn end(&mut self, revision: Revision) {
        self.newest = revision;
        let end = self.current.end();
        if end == self.sets.back().map_or(self.oldest, |set| set.end) {
            return;
        }
        if self.sets.len() == self.retention
            && let Some(dropped) = self.sets.pop_front()
        {
            self.floor = dropped.revision;
            self.oldest = dropped.end;
            while self.full.front().is_some_and(|block| block.end() <= dropped.end) {
                self.full.pop_front();
            }
        }
        self.sets.push_back(Set { revision, end });
        if self.current.bytes.len() >= FULL {
            self.begin_block(BLOCK);
        }
    }

    /// Has what comes next written to a new block, with room for so many bytes.
    #[cold]
    fn begin_block(&mut self, bytes: usize) {
        let next = Block::at(self.current.end(), bytes);
        let full = std::mem::replace(&mut self.current, next);
        if !full.bytes.is_empty() {
            self.full.push_back(full);
        }
    }

    /// Forgets all change sets: what is read from now on comes after `revision`.
    pub(crate) fn begin_anew(&mut self, revision: Revision) {
        self.sets.clear();
        self.full.clear();
        self.oldest = self.current.end();
        self.current = Block::at(self.oldest, 0);
        self.floor = revision;
        self.newest = revision;
    }

    pub(crate) fn read_after(&self, after: Revision, limit: usize) -> LogRead {
        self.read.store(true, Ordering::Relaxed);
        if after < self.floor {
            return LogRead::Compacted { oldest: self.floor };
        }
        let first = self.sets.partition_point(|set| set.revision <= after);
        let last = self.sets.len().min(first.saturating_add(limit));
        let mut block = None;
        let sets: Vec<ChangeSet> = (first..last).map(|index| self.set(index, &mut block)).collect();
        let up_to = if last == self.sets.len() {
            self.newest
        } else {
            sets.last().map_or(after, |set| set.revision)
        };
        LogRead::Sets { sets, up_to }
    }

    /// A change set. `block` is where the one before was found, and becomes that of this one: most follow each other in one.
    fn set<'a>(&'a self, index: usize, block: &mut Option<&'a Block>) -> ChangeSet {
        let begin = index
            .checked_sub(1)
            .map_or(self.oldest, |before| self.sets[before].end);
        let Set { revision, end } = self.sets[index];
        let block = match block {
            Some(block) if end <= block.end() => block,
            _ => block.insert(self.block_of(end)),
        };
        let place = |place: u64| usize::try_from(place - block.start).expect("it lies in memory");
        let mut rest = &block.bytes[place(begin)..place(end)];
        // Most have one, for which a vector that grows has room for four.
        let mut changes = Vec::with_capacity(1);
        while let Some(([kind, low, high], behind)) = rest.split_first_chunk::<HEAD>() {
            let (key, behind) = behind.split_at(usize::from(u16::from_le_bytes([*low, *high])));
            changes.push(Change {
                key: Key::from_encoded(key).expect("noted keys were encoded from keys"),
                kind: KINDS[usize::from(*kind)],
            });
            rest = behind;
        }
        ChangeSet { revision, changes }
    }

    /// The block of the set that ends there.
    fn block_of(&self, end: u64) -> &Block {
        match self.full.partition_point(|block| block.end() < end) {
            behind if behind == self.full.len() => &self.current,
            within => &self.full[within],
        }
    }

    pub(crate) fn floor(&self) -> Revision {
        self.floor
    }

    pub(crate) fn newest(&self) -> Revision {
        self.newest
    }

    /// Whether anybody ever read changes. Else nobody waits for one either: who waits has read before, under the lock that
    /// a commit holds, and would have found what the commit does not tell.
    #[inline]
    pub(crate) fn was_read(&self) -> bool {
        self.read.load(Ordering::Relaxed)
    }
}

/// The outcomes of the newest batches that had a request id.
pub(crate) struct Requests {
    retention: usize,
    outcomes: HashMap<RequestId, (Fingerprint, Decided)>,
    order: VecDeque<RequestId>,
}

impl Requests {
    pub(crate) fn new(retention: usize) -> Self {
        Requests {
            retention,
            outcomes: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// The outcome of the batch that came with this id before.
    pub(crate) fn find(&self, id: &RequestId, fingerprint: Fingerprint) -> Result<Option<Decided>> {
        match self.outcomes.get(id) {
            Some((known, _)) if *known != fingerprint => Err(Error::conflict(
                "request id was used for another batch; give each batch its own",
            )
            .with("request_id", id.as_bytes().escape_ascii())),
            Some((_, decided)) => Ok(Some(decided.clone())),
            None => Ok(None),
        }
    }

    pub(crate) fn remember(&mut self, id: RequestId, fingerprint: Fingerprint, decided: Decided) {
        if self.order.len() >= self.retention
            && let Some(oldest) = self.order.pop_front()
        {
            self.outcomes.remove(&oldest);
        }
        self.order.push_back(id.clone());
        self.outcomes.insert(id, (fingerprint, decided));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl ChangeLog {
        fn memory(&self) -> usize {
            let full: usize = self.full.iter().map(|block| block.bytes.capacity()).sum();
            full + self.current.bytes.capacity()
        }
    }

    fn commit(log: &mut ChangeLog, revision: u64, keys: usize) {
        for key in 0..keys {
            log.note(format!("p\0{key:030}").as_bytes(), ChangeKind::Put);
        }
        log.end(Revision::new(revision));
    }

    fn read(log: &ChangeLog, after: u64) -> Vec<(u64, usize)> {
        match log.read_after(Revision::new(after), usize::MAX) {
            LogRead::Sets { sets, .. } => sets
                .iter()
                .map(|set| (set.revision.get(), set.changes.len()))
                .collect(),
            other => panic!("the log reaches back to {after}: {other:?}"),
        }
    }

    #[test]
    fn forgotten_changes_free_their_place_and_the_others_stay_as_they_are() {
        let mut log = ChangeLog::new(8);
        let keys = [2, 3, 1];
        for (revision, keys) in (1..=5_000).zip(keys.into_iter().cycle()) {
            commit(&mut log, revision, keys);
        }
        assert!(log.full.is_empty(), "{} full blocks", log.full.len());
        let kept = (1..=5_000).zip(keys.into_iter().cycle()).skip(4_992);
        assert_eq!(read(&log, 4_992), kept.collect::<Vec<_>>());
        assert!(matches!(
            log.read_after(Revision::new(4_991), 1),
            LogRead::Compacted { oldest } if oldest == Revision::new(4_992)
        ));
    }

    #[test]
    fn memory_of_a_large_commit_goes_with_it() {
        let mut log = ChangeLog::new(4);
        commit(&mut log, 1, 50_000);
        for revision in 2..=5 {
            commit(&mut log, revision, 1);
        }
        assert!(log.memory() <= 2 * BLOCK, "{} bytes", log.memory());
        assert_eq!(read(&log, 1), [(2, 1), (3, 1), (4, 1), (5, 1)]);
    }

    #[test]
    fn log_that_begins_anew_has_nothing_of_what_was_before() {
        let mut log = ChangeLog::new(8);
        (1..=3).for_each(|revision| commit(&mut log, revision, 1_000));
        log.begin_anew(Revision::new(100));
        assert_eq!(log.memory(), 0);
        assert_eq!(read(&log, 100), []);
        commit(&mut log, 101, 1);
        assert_eq!(read(&log, 100), [(101, 1)]);
        assert!(matches!(
            log.read_after(Revision::new(3), 1),
            LogRead::Compacted { oldest } if oldest == Revision::new(100)
        ));
    }
}
