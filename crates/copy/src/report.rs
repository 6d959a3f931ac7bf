//! What a copy tells.

use std::sync::Arc;

use stead_core::Revision;

/// Is told how far a copy is.
pub type Observer = Arc<dyn Fn(&Progress) + Send + Sync>;

/// What a copy is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Writing what a snapshot holds.
    Copying,
    /// Writing what changed since, from the feed of changes.
    CatchingUp,
    /// Reading both stores side by side and writing what differs.
    Comparing,
    /// Reading both stores side by side to see that they are equal.
    Verifying,
}

/// How far a phase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The phase.
    pub phase: Phase,
    /// Entries that it has done, those of an interrupted copy included.
    pub entries: u64,
    /// About how many there are; 0 where that is not known.
    pub total: u64,
}

/// One round of catching up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Round {
    /// Keys that were written or deleted.
    pub changed: u64,
    /// Whether stores were compared, in whole or in part, because the log of changes did not reach back.
    pub compared: bool,
    /// What the target holds now: the source at this revision. Of a source whose revisions are ordered within partitions,
    /// the highest of any.
    pub revision: Revision,
}

/// What both stores hold, compared entry by entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Partitions that hold an entry.
    pub partitions: u64,
    /// Entries.
    pub entries: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// SHA-256 over the name, the number of entries and the content hash of each partition, in order. The content hash of a
    /// partition is SHA-256 over the key, the deadline and the value of each entry in order. Revisions do not count: the
    /// same content has the same hash in every store.
    pub content: [u8; 32],
}

/// What a copy that is done has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Whether it went on with a copy that was interrupted.
    pub resumed: bool,
    /// Entries that were written from the first snapshot, by this run.
    pub copied: u64,
    /// Keys that were written or deleted to catch up, by this run.
    pub caught_up: u64,
    /// Rounds of catching up.
    pub rounds: u64,
    /// What the target holds: the source at this revision. Of a source whose revisions are ordered within partitions, the
    /// highest of any.
    pub revision: Revision,
    /// What both stores hold.
    pub verified: Verified,
}
