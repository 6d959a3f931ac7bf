//! What a backend can do, as data.

use crate::Limits;

/// How far a guarantee reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Extent {
    /// Within one partition.
    Partition,
    /// Across the whole store.
    Store,
}

/// What a caller asks of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// Visible when acknowledged; may be lost as the backend's [`Capabilities::buffered`] says.
    Buffered,
    /// Acknowledged only once it is as safe as the backend's [`Capabilities::durable`] says.
    Durable,
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strength {
    /// Nothing: it is gone with the process.
    Volatile,
    /// The end of the process, but not of the machine.
    ProcessCrash,
    /// A power failure.
    PowerLoss,
    /// The loss of a machine.
    Replicated,
}

/// What a backend can do. Declared once, and tested from both sides: what is declared works, and what is not declared
/// is refused with `Unsupported` before anything is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The kind of backend, as in its URL: `memory`, `redb`.
    pub name: &'static str,
    /// How far one batch may reach.
    pub atomicity: Extent,
    /// Within what revisions are ordered and snapshots are of one revision.
    pub revision_order: Extent,
    /// What a [`Durability::Buffered`] write survives.
    pub buffered: Strength,
    /// What a [`Durability::Durable`] write survives.
    pub durable: Strength,
    /// What a batch gets that asks for nothing.
    pub default_durability: Durability,
    /// Entries are found again after the store is closed and opened.
    pub persistent: bool,
    /// Batches are accepted.
    pub writable: bool,
    /// Entries may have deadlines.
    pub ttl: bool,
    /// Batches may carry range preconditions, and so transactions may scan.
    pub range_preconditions: bool,
    /// Scans may run backwards.
    pub reverse_scans: bool,
    /// Snapshots can be taken.
    pub snapshots: bool,
    /// Changes can be watched.
    pub watch: bool,
    /// Batches may carry request ids.
    pub request_ids: bool,
    /// What is refused for its size.
    pub limits: Limits,
}

impl Capabilities {
    /// Everything declared, nothing survives: where a backend starts from to say what it does otherwise.
    #[must_use]
    pub fn volatile(name: &'static str) -> Self {
        Capabilities {
            name,
            atomicity: Extent::Store,
            revision_order: Extent::Store,
            buffered: Strength::Volatile,
            durable: Strength::Volatile,
            default_durability: Durability::Buffered,
            persistent: false,
            writable: true,
            ttl: true,
            range_preconditions: true,
            reverse_scans: true,
            snapshots: true,
            watch: true,
            request_ids: true,
            limits: Limits::default(),
        }
    }

    /// The durability of a batch that asks for `wanted`, or for nothing.
    #[must_use]
    pub fn durability(&self, wanted: Option<Durability>) -> Durability {
        wanted.unwrap_or(self.default_durability)
    }
}
