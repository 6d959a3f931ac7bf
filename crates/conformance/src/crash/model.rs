//! What the store must hold after a number of writes.

use std::collections::BTreeMap;

use stead_core::{ChangeKind, Key, Revision, Timestamp};

use super::write::{Op, Write, time_of};

/// What is under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// The write that the value is of.
    pub(super) number: u64,
    /// The write that gave it its revision: the same, or one that touched it.
    pub(super) changed_by: u64,
    /// Its revision, as soon as it is known.
    pub(super) revision: Option<Revision>,
    pub(super) deadline: Option<Timestamp>,
}

impl Held {
    pub(super) fn is_visible(&self, now: Timestamp) -> bool {
        self.deadline.is_none_or(|deadline| deadline > now)
    }
}

/// A change that a write makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) key: Key,
    pub(super) kind: ChangeKind,
    /// Whether it may be missing: what is past its deadline may have been swept before it is deleted.
    pub(super) optional: bool,
}

/// The entries, those past their deadline included until they are known to be removed.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) entries: BTreeMap<Key, Held>,
}

impl Model {
    /// The changes that `write` makes, in key order. Nothing is done yet.
    pub(super) fn expected(&self, write: &Write) -> Vec<Expected> {
        let now = time_of(write.number);
        let mut changes: Vec<Expected> = write
            .ops
            .iter()
            .filter_map(|op| self.expected_of(op, now))
            .collect();
        changes.sort_by(|a, b| a.key.cmp(&b.key));
        changes
    }

    fn expected_of(&self, op: &Op, now: Timestamp) -> Option<Expected> {
        let held = self.entries.get(op.key());
        let (kind, optional) = match (op, held) {
            (Op::Put { .. }, _) => (ChangeKind::Put, false),
            (Op::Touch { .. }, Some(held)) if held.is_visible(now) => (ChangeKind::Put, false),
            (Op::Delete { .. }, Some(held)) if held.is_visible(now) => (ChangeKind::Delete, false),
            (Op::Delete { .. }, Some(_)) => (ChangeKind::Expired, true),
            (Op::Touch { .. } | Op::Delete { .. }, _) => return None,
        };
        Some(Expected {
            key: op.key().clone(),
            kind,
            optional,
        })
    }

    /// Does `write`, which committed at `revision`.
    pub(super) fn apply(&mut self, write: &Write, revision: Option<Revision>) {
        let now = time_of(write.number);
        for op in &write.ops {
            match op {
                Op::Put { key, deadline } => {
                    let held = Held {
                        number: write.number,
                        changed_by: write.number,
                        revision,
                        deadline: *deadline,
                    };
                    self.entries.insert(key.clone(), held);
                }
                Op::Delete { key } => drop(self.entries.remove(key)),
                Op::Touch { key, deadline } => {
                    if let Some(held) = self.entries.get_mut(key).filter(|held| held.is_visible(now)) {
                        held.changed_by = write.number;
                        held.revision = revision;
                        held.deadline = Some(*deadline);
                    }
                }
            }
        }
    }
}
