//! Committing: one batch at a time decides, plans and then changes both indexes in one visible step.

use std::collections::BTreeSet;

use smallvec::SmallVec;
use stead_core::kit::{Lookup, Settled, by_key, judge, same_key, settle};
use stead_core::{
    Change, ChangeKind, ChangeSet, Entry, Error, Fingerprint, Key, KeyRange, Mutation, Outcome, Result,
    Revision, Timestamp, WriteBatch,
};

use crate::log::Requests;
use crate::shards::{Place, ShardSet};
use crate::store::Inner;

/// What only the holder of the commit lock may touch.
pub(crate) struct Commit {
    pub(crate) revision: Revision,
    pub(crate) closed: bool,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    /// Deadlines of the entries that have one, with their encoded keys.
    pub(crate) deadlines: BTreeSet<(Timestamp, Box<[u8]>)>,
    pub(crate) requests: Requests,
    pub(crate) commits: u64,
    pub(crate) conflicts: u64,
    pub(crate) expired: u64,
}

/// What a batch does to one key.
struct Effect {
    key: Key,
    place: Place,
    /// What is there now, past its deadline or not.
    old: Option<Entry>,
    new: Option<New>,
    /// What watchers are told.
    kind: ChangeKind,
    /// Whether `old` had passed its deadline.
    old_expired: bool,
}

/// An entry that still lacks its revision.
struct New {
    value: Value,
    deadline: Option<Timestamp>,
}

enum Value {
    Given(bytes::Bytes),
    /// That of the old entry.
    Kept,
}

type Effects = SmallVec<[Effect; 1]>;

impl Inner {
    /// Commits or rejects `batch`, which was admitted.
    pub(crate) fn commit(&self, batch: &WriteBatch) -> Result<Outcome> {
        let fingerprint = batch.id().map(|_| Fingerprint::of(batch));
        let mut commit = self.commit.lock();
        if commit.closed {
            return Err(Error::closed());
        }
        if let (Some(id), Some(fingerprint)) = (batch.id(), fingerprint)
            && let Some(outcome) = commit.requests.find(id, fingerprint)?
        {
            return Ok(outcome);
        }
        let now = self.clock.now();
        let outcome = match judge(batch.preconditions(), &mut Judged { store: self, now })? {
            Some(conflict) => {
                commit.conflicts += 1;
                Outcome::Rejected(conflict)
            }
            None if batch.mutations().is_empty() => Outcome::Committed(commit.revision),
            None => {
                let effects = self.plan(batch.mutations(), now)?;
                self.check_capacity(&commit, &effects)?;
                commit.commits += 1;
                Outcome::Committed(self.install(&mut commit, effects))
            }
        };
        if let (Some(id), Some(fingerprint)) = (batch.id(), fingerprint) {
            commit.requests.remember(id.clone(), fingerprint, outcome.clone());
        }
        Ok(outcome)
    }

    /// Removes entries past their deadline, at most `most`, and says how many went.
    pub(crate) fn sweep(&self, most: usize) -> usize {
        let mut commit = self.commit.lock();
        let now = self.clock.now();
        let due = commit
            .deadlines
            .iter()
            .take_while(|(deadline, _)| *deadline <= now)
            .take(most);
        let effects: Effects = due
            .filter_map(|(_, key)| {
                let place = self.shards.place(key);
                let old = self.shards.get(key)?;
                let key = Key::from_encoded(key).expect("stored keys were encoded from keys");
                let kind = ChangeKind::Expired;
                Some(Effect {
                    key,
                    place,
                    old: Some(old),
                    new: None,
                    kind,
                    old_expired: true,
                })
            })
            .collect();
        let swept = effects.len();
        if swept > 0 && !commit.closed {
            self.install(&mut commit, effects);
        }
        swept
    }

    /// What `mutations` do to each key, in key order. Changes nothing.
    fn plan(&self, mutations: &[Mutation], now: Timestamp) -> Result<Effects> {
        let mut effects = Effects::new();
        for group in by_key(mutations).chunk_by(same_key) {
            let key = group[0].key();
            let place = self.shards.place(key.as_bytes());
            let old = self.shards.get_at(place, key.as_bytes());
            let old_expired = old.as_ref().is_some_and(|entry| is_past(entry, now));
            let visible = old.as_ref().filter(|_| !old_expired).map(Entry::deadline);
            let (key, settled) = settle(group, visible, now)?;
            let (new, kind) = match settled {
                Settled::Put { value, deadline } => {
                    let value = value.map_or(Value::Kept, |value| Value::Given(value.clone()));
                    (Some(New { value, deadline }), ChangeKind::Put)
                }
                Settled::Absent if old.is_none() => continue,
                Settled::Absent if old_expired => (None, ChangeKind::Expired),
                Settled::Absent => (None, ChangeKind::Delete),
                Settled::Unchanged => continue,
            };
            effects.push(Effect {
                key: key.clone(),
                place,
                old,
                new,
                kind,
                old_expired,
            });
        }
        Ok(effects)
    }

    fn check_capacity(&self, commit: &Commit, effects: &Effects) -> Result<()> {
        let (mut entries, mut bytes) = (commit.entries, commit.bytes);
        for effect in effects {
            if let Some(old) = &effect.old {
                entries -= 1;
                bytes -= size(old);
            }
            if let Some(new) = &effect.new {
                entries += 1;
                bytes += (effect.key.as_bytes().len() + effect.value(new).len()) as u64;
            }
        }
        let grows_over = |after: u64, before: u64, limit: u64| after > limit && after > before;
        if grows_over(entries, commit.entries, self.capacity_entries) {
            return Err(Error::full("store is full; delete entries or raise its capacity")
                .with("entries", entries)
                .with("capacity_entries", self.capacity_entries));
        }
        if grows_over(bytes, commit.bytes, self.capacity_bytes) {
            return Err(Error::full("store is full; delete entries or raise its capacity")
                .with("size_bytes", bytes)
                .with("capacity_bytes", self.capacity_bytes));
        }
        Ok(())
    }

    /// Makes `effects` visible at once, under a new revision.
    fn install(&self, commit: &mut Commit, effects: Effects) -> Revision {
        let revision = commit.revision.next();
        let set = effects
            .iter()
            .fold(ShardSet::default(), |set, effect| set.with(effect.place));
        let mut changes = Vec::with_capacity(effects.len());
        // Freed after the locks: large values take their time.
        let mut garbage: SmallVec<[Entry; 2]> = SmallVec::new();
        let built: SmallVec<[Option<Entry>; 1]> =
            effects.iter().map(|effect| effect.build(revision)).collect();

        let mut published = self.published.write();
        let mut shards = self.shards.lock(set);
        for (effect, new) in effects.into_iter().zip(built) {
            commit.account(&effect, new.as_ref());
            let key = effect.key;
            if let Some(new) = new {
                garbage.extend(shards.insert(effect.place, new.clone()));
                garbage.extend(published.tree.insert(new));
            } else {
                garbage.extend(shards.remove(effect.place, key.as_bytes()));
                garbage.extend(published.tree.remove(key.as_bytes()));
            }
            garbage.extend(effect.old);
            changes.push(Change {
                key,
                kind: effect.kind,
            });
        }
        commit.revision = revision;
        published.revision = revision;
        // Before the locks go, so that nobody sees the new state and misses the change, nor the other way round.
        self.log.push(ChangeSet { revision, changes });
        drop(shards);
        drop(published);
        self.signal.notify();
        self.sweeper.want(!commit.deadlines.is_empty());
        revision
    }
}

impl Commit {
    fn account(&mut self, effect: &Effect, new: Option<&Entry>) {
        if let Some(old) = &effect.old {
            self.entries -= 1;
            self.bytes -= size(old);
            if let Some(deadline) = old.deadline() {
                self.deadlines.remove(&(deadline, Box::from(old.prefix())));
            }
            self.expired += u64::from(effect.old_expired);
        }
        if let Some(new) = new {
            self.entries += 1;
            self.bytes += size(new);
            if let Some(deadline) = new.deadline() {
                self.deadlines.insert((deadline, Box::from(new.prefix())));
            }
        }
    }
}

impl Effect {
    fn value<'a>(&'a self, new: &'a New) -> &'a [u8] {
        match (&new.value, &self.old) {
            (Value::Given(value), _) => value,
            (Value::Kept, Some(old)) => old.value(),
            (Value::Kept, None) => unreachable!("only a visible entry keeps its value"),
        }
    }

    fn build(&self, revision: Revision) -> Option<Entry> {
        let new = self.new.as_ref()?;
        Some(Entry::with_prefix(
            self.key.as_bytes(),
            self.value(new),
            revision,
            new.deadline,
        ))
    }
}

/// Whether the deadline of `entry` has passed.
pub(crate) fn is_past(entry: &Entry, now: Timestamp) -> bool {
    entry.deadline().is_some_and(|deadline| deadline <= now)
}

/// The bytes that count against the capacity.
pub(crate) fn size(entry: &Entry) -> u64 {
    (entry.prefix().len() + entry.value().len()) as u64
}

/// The state that a batch is judged against. The commit lock is held, so it stands still.
struct Judged<'a> {
    store: &'a Inner,
    now: Timestamp,
}

impl Lookup for Judged<'_> {
    fn revision_of(&mut self, key: &Key) -> Result<Option<Revision>> {
        let entry = self.store.shards.get(key.as_bytes());
        Ok(entry
            .filter(|entry| !is_past(entry, self.now))
            .map(|entry| entry.revision()))
    }

    fn count(&mut self, range: &KeyRange, enough: u64) -> Result<u64> {
        let tree = self.store.published.read().tree.clone();
        let mut count = 0;
        tree.ascend(range.start(), range.end(), &mut |entry| {
            count += u64::from(!is_past(entry, self.now));
            if count >= enough {
                std::ops::ControlFlow::Break(())
            } else {
                std::ops::ControlFlow::Continue(())
            }
        });
        Ok(count)
    }
}
