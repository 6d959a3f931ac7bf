//! What a batch makes of the keys that it names, before anything is written.

use std::collections::BTreeMap;

use stead_core::{Change, ChangeKind, Entry, Error, Expiry, Key, Mutation, Result, Revision, Timestamp};

use super::entries::Entries;
use super::faults::{Fault, Faults};
use super::view::is_visible;

/// The last state of each key that a batch changes; `None` for no entry.
pub(super) type Draft = BTreeMap<Key, Option<Entry>>;

/// A batch that is being applied.
pub(super) struct Drafting<'a> {
    pub(super) entries: &'a Entries,
    pub(super) revision: Revision,
    pub(super) now: Timestamp,
    pub(super) faults: Faults,
}

impl Drafting<'_> {
    pub(super) fn apply(&self, mutations: &[Mutation]) -> Result<Draft> {
        let mut draft = Draft::new();
        let mut order: Vec<_> = mutations.iter().enumerate().collect();
        if self.faults.has(Fault::BatchAppliedBackwards) {
            order.reverse();
        }
        for (index, mutation) in order {
            if index > 0
                && self.faults.has(Fault::DeleteDropped)
                && matches!(mutation, Mutation::Delete { .. })
            {
                continue;
            }
            let stored = match draft.get(mutation.key()) {
                Some(drafted) => drafted.as_ref(),
                None => self.entries.get(mutation.key()),
            };
            if let Some(next) = self.step(mutation, stored)? {
                draft.insert(mutation.key().clone(), next);
            }
        }
        Ok(draft)
    }

    /// The next state of the key, or `None` where the mutation does nothing.
    fn step(&self, mutation: &Mutation, stored: Option<&Entry>) -> Result<Option<Option<Entry>>> {
        let visible = stored.filter(|entry| is_visible(entry, self.now));
        match mutation {
            Mutation::Put { value, expiry, .. } => {
                let deadline = self.deadline(*expiry, visible)?;
                let mut revision = self.revision;
                if self.faults.has(Fault::SameValueKeepsRevision)
                    && let Some(same) = visible.filter(|entry| entry.value() == &value[..])
                {
                    revision = same.revision();
                }
                Ok(Some(Some(Entry::new(value, revision, deadline))))
            }
            Mutation::Delete { .. } => Ok(stored.map(|_| None)),
            Mutation::Touch { expiry, .. } => {
                let touched = if self.faults.has(Fault::TouchRevivesExpired) {
                    stored
                } else {
                    visible
                };
                // A deadline that cannot be is refused whether or not there is something to give it to.
                let deadline = self.deadline(*expiry, touched)?;
                Ok(touched.map(|entry| Some(self.touched(entry, deadline))))
            }
        }
    }

    fn touched(&self, entry: &Entry, deadline: Option<Timestamp>) -> Entry {
        let value = if self.faults.has(Fault::TouchLosesValue) {
            &[]
        } else {
            entry.value()
        };
        let revision = if self.faults.has(Fault::TouchKeepsRevision) {
            entry.revision()
        } else {
            self.revision
        };
        Entry::new(value, revision, deadline)
    }

    fn deadline(&self, expiry: Expiry, current: Option<&Entry>) -> Result<Option<Timestamp>> {
        let current = current.and_then(Entry::deadline);
        match expiry {
            Expiry::Never if self.faults.has(Fault::OverwriteKeepsDeadline) => Ok(current),
            Expiry::Keep if self.faults.has(Fault::KeepDropsDeadline) => Ok(None),
            expiry => match expiry.resolve(self.now, current) {
                Err(_) if self.faults.has(Fault::EndlessTtlAccepted) => Ok(None),
                deadline => deadline,
            },
        }
    }

    /// What watches are told of `draft`: each key once, with its last state, in key order.
    pub(super) fn changes(&self, draft: &Draft) -> Vec<Change> {
        let kind = |key: &Key, next: &Option<Entry>| match (next, self.entries.get(key)) {
            (Some(_), _) => Some(ChangeKind::Put),
            (None, Some(old)) if is_visible(old, self.now) => Some(ChangeKind::Delete),
            (None, Some(_)) => Some(ChangeKind::Expired),
            (None, None) => None,
        };
        draft
            .iter()
            .filter_map(|(key, next)| {
                let kind = kind(key, next)?;
                Some(Change {
                    key: key.clone(),
                    kind,
                })
            })
            .collect()
    }

    /// How many entries past their deadline `draft` removes or overwrites.
    pub(super) fn expired(&self, draft: &Draft) -> u64 {
        let stored = draft.keys().filter_map(|key| self.entries.get(key));
        stored.filter(|entry| !is_visible(entry, self.now)).count() as u64
    }
}

/// Refuses a draft that would leave more than `capacity` entries.
pub(super) fn check_capacity(entries: &Entries, draft: &Draft, capacity: Option<u64>) -> Result<()> {
    let Some(capacity) = capacity else { return Ok(()) };
    let kept = entries
        .iter()
        .filter(|(key, _)| !draft.contains_key(*key))
        .count();
    let after = (kept + draft.values().flatten().count()) as u64;
    if after > capacity && after > entries.len() as u64 {
        return Err(
            Error::full("the store is full; delete something or raise its capacity")
                .with("entries", after)
                .with("capacity_entries", capacity),
        );
    }
    Ok(())
}

/// The bytes that an entry counts.
pub(super) fn size(key: &Key, entry: &Entry) -> u64 {
    (key.as_bytes().len() + entry.value().len()) as u64
}
