//! The feed that watches, incremental backups, hooks and caches read.

use crate::{Key, Revision};

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It was written or touched.
    Put,
    /// It was deleted.
    Delete,
    /// Its deadline passed and it was removed.
    Expired,
}

impl ChangeKind {
    /// The kind as a stable lower-case word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ChangeKind::Put => "put",
            ChangeKind::Delete => "delete",
            ChangeKind::Expired => "expired",
        }
    }
}

/// What one batch did to one key. The value is not part of it: read it at the revision if it is needed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// The key.
    pub key: Key,
    /// What happened.
    pub kind: ChangeKind,
}

/// All that one committed batch changed: each key once, with its last state, in key order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeSet {
    /// The revision of the batch.
    pub revision: Revision,
    /// The changes.
    pub changes: Vec<Change>,
}
