//! The model: what a store should hold and tell, in the plainest words.

use std::collections::{BTreeMap, BTreeSet};

use stead_core::{
    Change, ChangeKind, ChangeSet, Conflict, Direction, Entry, ErrorKind, Expect, Expiry, Extent, Found, Key,
    KeyRange, Mutation, Outcome, Partition, Precondition, Revision, Timestamp, WriteBatch,
};

/// All entries that were written and neither deleted nor swept.
pub(super) type Entries = BTreeMap<Key, Entry>;

/// What a batch should end in.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    Commits(Entries),
    Rejects(Conflict),
    Fails(ErrorKind),
}

/// The contract over a `BTreeMap`. Revisions are learned from the store: the model demands only their order.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) entries: Entries,
    /// What watches should tell, oldest first.
    pub(super) feed: Vec<ChangeSet>,
    /// Every batch with a request id that ended, and how.
    pub(super) requests: Vec<(WriteBatch, Outcome)>,
    /// Every deadline that was ever given.
    pub(super) deadlines: BTreeSet<Timestamp>,
    /// The revision of every commit.
    pub(super) revisions: Vec<Revision>,
    order: Extent,
    newest: BTreeMap<Partition, Revision>,
}

/// Stands for a revision that the store has yet to tell.
pub(super) const UNKNOWN: Revision = Revision::MAX;

pub(super) fn is_visible(entry: &Entry, now: Timestamp) -> bool {
    entry.deadline().is_none_or(|deadline| now < deadline)
}

pub(super) fn visible<'a>(entries: &'a Entries, key: &Key, now: Timestamp) -> Option<&'a Entry> {
    entries.get(key).filter(|entry| is_visible(entry, now))
}

/// The visible entries of `range` in the order of `direction`.
pub(super) fn list(
    entries: &Entries,
    range: &KeyRange,
    direction: Direction,
    now: Timestamp,
) -> Vec<(Key, Entry)> {
    let mut found: Vec<_> = entries
        .iter()
        .filter(|(key, entry)| range.contains(key) && is_visible(entry, now))
        .map(|(key, entry)| (key.clone(), entry.clone()))
        .collect();
    if direction == Direction::Reverse {
        found.reverse();
    }
    found
}

impl Model {
    pub(super) fn new(order: Extent) -> Self {
        Model {
            entries: Entries::new(),
            feed: Vec::new(),
            requests: Vec::new(),
            deadlines: BTreeSet::new(),
            revisions: vec![Revision::ZERO],
            order,
            newest: BTreeMap::new(),
        }
    }

    /// The newest revision that the model knows of, of the store or of `partition`, as far as revisions are ordered.
    pub(super) fn newest(&self, partition: Option<&Partition>) -> Revision {
        let in_order = |one: &Partition| self.order == Extent::Store || Some(one) == partition;
        let known = self.newest.iter().filter(|(one, _)| in_order(one));
        known.map(|(_, revision)| *revision).max().unwrap_or_default()
    }

    /// How `batch` should end now. Entries that it would write have the revision [`UNKNOWN`].
    pub(super) fn judge(&self, batch: &WriteBatch, now: Timestamp) -> Verdict {
        for (index, precondition) in batch.preconditions().iter().enumerate() {
            if let Some((key, found)) = self.mismatch(precondition, now) {
                return Verdict::Rejects(Conflict {
                    precondition: index,
                    key,
                    found,
                });
            }
        }
        let mut entries = self.entries.clone();
        for mutation in batch.mutations() {
            if let Err(kind) = mutate(&mut entries, mutation, now) {
                return Verdict::Fails(kind);
            }
        }
        Verdict::Commits(entries)
    }

    fn mismatch(&self, precondition: &Precondition, now: Timestamp) -> Option<(Option<Key>, Found)> {
        match precondition {
            Precondition::Key { key, expect } => {
                let current = visible(&self.entries, key, now).map(Entry::revision);
                let found = current.map_or(Found::Missing, Found::Revision);
                let holds = match expect {
                    Expect::Absent => current.is_none(),
                    Expect::Present => current.is_some(),
                    Expect::At(revision) => current == Some(*revision),
                };
                (!holds).then(|| (Some(key.clone()), found))
            }
            Precondition::Count { range, entries } => {
                let counted = list(&self.entries, range, Direction::Forward, now).len() as u64;
                (counted != *entries).then_some((None, Found::Count(counted)))
            }
        }
    }

    /// Takes over what a committed batch made of the entries, now that its revision is known.
    pub(super) fn commit(
        &mut self,
        batch: &WriteBatch,
        mut after: Entries,
        revision: Revision,
        now: Timestamp,
    ) {
        let keys: BTreeSet<&Key> = batch.mutations().iter().map(Mutation::key).collect();
        let mut changes = Vec::new();
        for key in keys {
            let kind = match (after.get_mut(key), self.entries.get(key)) {
                (Some(entry), _) if entry.revision() == UNKNOWN => {
                    *entry = Entry::new(entry.value(), revision, entry.deadline());
                    self.deadlines.extend(entry.deadline());
                    ChangeKind::Put
                }
                (None, Some(old)) if is_visible(old, now) => ChangeKind::Delete,
                (None, Some(_)) => ChangeKind::Expired,
                _ => continue,
            };
            changes.push(Change {
                key: key.clone(),
                kind,
            });
            self.learn(&key.partition(), revision);
        }
        for mutation in batch.mutations() {
            self.learn(&mutation.key().partition(), revision);
        }
        self.entries = after;
        self.tell(revision, changes);
    }

    /// Takes over that everything past its deadline was removed at `revision`.
    pub(super) fn sweep(&mut self, revision: Revision, now: Timestamp) {
        let mut changes = Vec::new();
        self.entries.retain(|key, entry| {
            let stays = is_visible(entry, now);
            if !stays {
                let kind = ChangeKind::Expired;
                changes.push(Change {
                    key: key.clone(),
                    kind,
                });
            }
            stays
        });
        for change in &changes {
            self.newest.insert(change.key.partition(), revision);
        }
        self.tell(revision, changes);
    }

    fn learn(&mut self, partition: &Partition, revision: Revision) {
        self.newest.insert(partition.clone(), revision);
        if self.revisions.last() != Some(&revision) {
            self.revisions.push(revision);
        }
    }

    fn tell(&mut self, revision: Revision, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.feed.push(ChangeSet { revision, changes });
        }
    }
}

/// Applies one mutation. What is past its deadline counts as missing, but stays until something takes its place.
fn mutate(entries: &mut Entries, mutation: &Mutation, now: Timestamp) -> Result<(), ErrorKind> {
    let key = mutation.key();
    let there = visible(entries, key, now).cloned();
    let current = there.as_ref().and_then(Entry::deadline);
    match mutation {
        Mutation::Put { value, expiry, .. } => {
            let deadline = deadline(*expiry, current, now)?;
            entries.insert(key.clone(), Entry::new(value, UNKNOWN, deadline));
        }
        Mutation::Delete { .. } => {
            entries.remove(key);
        }
        Mutation::Touch { expiry, .. } => {
            let deadline = deadline(*expiry, current, now)?;
            if let Some(entry) = there {
                entries.insert(key.clone(), Entry::new(entry.value(), UNKNOWN, deadline));
            }
        }
    }
    Ok(())
}

fn deadline(
    expiry: Expiry,
    current: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<Timestamp>, ErrorKind> {
    match expiry {
        Expiry::Never => Ok(None),
        Expiry::Keep => Ok(current),
        Expiry::At(deadline) => Ok(Some(deadline)),
        Expiry::After(ttl) => {
            let end = now
                .as_millis()
                .checked_add(ttl.as_millis())
                .filter(|end| *end < u64::MAX);
            end.map(|end| Some(Timestamp::from_millis(end)))
                .ok_or(ErrorKind::Invalid)
        }
    }
}
