//! Committing: one batch at a time decides, plans and then changes both indexes in one visible step.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use bytes::Bytes;
use smallvec::SmallVec;
use stead_core::kit::{Lookup, Settled, by_key, judge, same_key, settle};
use stead_core::{
    Change, ChangeKind, Entry, Error, Expiry, Fingerprint, Key, KeyRange, Mutation, Outcome, Result,
    Revision, Timestamp, WriteBatch,
};

use crate::log::{Changes, Requests};
use crate::shards::{Locked, Place, ShardSet};
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
struct Effect<'a> {
    key: &'a Key,
    place: Place,
    /// What is there now, past its deadline or not.
    old: Option<Entry>,
    new: Option<New<'a>>,
    /// What watchers are told.
    kind: ChangeKind,
    /// Whether `old` had passed its deadline.
    old_expired: bool,
}

/// An entry that still lacks its revision.
struct New<'a> {
    /// `None` for that of the old entry.
    value: Option<&'a Bytes>,
    deadline: Option<Timestamp>,
}

type Effects<'a> = SmallVec<[Effect<'a>; 1]>;

impl Inner {
    /// Commits or rejects `batch`, which was admitted.
    pub(crate) fn commit(&self, batch: &WriteBatch) -> Result<Outcome> {
        let request = batch.id().map(|id| (id, Fingerprint::of(batch)));
        let mut commit = self.commit.lock();
        if commit.closed {
            return Err(Error::closed());
        }
        if let Some((id, fingerprint)) = request
            && let Some(outcome) = commit.requests.find(id, fingerprint)?
        {
            return Ok(outcome);
        }
        let outcome = self.decide(&mut commit, batch)?;
        if let Some((id, fingerprint)) = request {
            commit.requests.remember(id.clone(), fingerprint, outcome.clone());
        }
        Ok(outcome)
    }

    fn decide(&self, commit: &mut Commit, batch: &WriteBatch) -> Result<Outcome> {
        let now = self.now_for(commit, batch.mutations());
        if !batch.preconditions().is_empty()
            && let Some(conflict) = judge(batch.preconditions(), &mut Judged { store: self, now })?
        {
            commit.conflicts += 1;
            return Ok(Outcome::Rejected(conflict));
        }
        if batch.mutations().is_empty() {
            return Ok(Outcome::Committed(commit.revision));
        }
        let mut shards = self.lock_shards_of(batch.mutations());
        let effects = self.plan(&shards, batch.mutations(), now)?;
        self.check_capacity(commit, &effects)?;
        commit.commits += 1;
        let revision = self.install(commit, &mut shards, &effects);
        // What was replaced is freed behind the locks: large values take their time.
        drop(shards);
        Ok(Outcome::Committed(revision))
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
        let decode = |key: &[u8]| Key::from_encoded(key).expect("stored keys were encoded from keys");
        let mut keys: Vec<Key> = due.map(|(_, key)| decode(key)).collect();
        if keys.is_empty() {
            return 0;
        }
        keys.sort_unstable();
        let effects: Effects<'_> = keys
            .iter()
            .map(|key| {
                let place = self.shards.place(key.as_bytes());
                let old = self.shards.get_at(place, key.as_bytes());
                Effect {
                    key,
                    place,
                    old,
                    new: None,
                    kind: ChangeKind::Expired,
                    old_expired: true,
                }
            })
            .collect();
        let set = effects
            .iter()
            .fold(ShardSet::default(), |set, effect| set.with(effect.place));
        self.install(&mut commit, &mut self.shards.lock(set), &effects);
        keys.len()
    }

    /// The time, if anything can depend on it: asking for it costs as much as a small write.
    fn now_for(&self, commit: &Commit, mutations: &[Mutation]) -> Timestamp {
        let relative = |mutation: &Mutation| match mutation {
            Mutation::Put { expiry, .. } | Mutation::Touch { expiry, .. } => {
                matches!(expiry, Expiry::After(_))
            }
            Mutation::Delete { .. } => false,
        };
        if commit.deadlines.is_empty() && !mutations.iter().any(relative) {
            return Timestamp::EPOCH;
        }
        self.clock.now()
    }

    /// Locks the shards of all keys, for as long as the batch is planned and installed.
    fn lock_shards_of(&self, mutations: &[Mutation]) -> Locked<'_> {
        let places = mutations
            .iter()
            .map(|mutation| self.shards.place(mutation.key().as_bytes()));
        self.shards.lock(places.fold(ShardSet::default(), ShardSet::with))
    }

    /// What `mutations` do to each key, in key order. Changes nothing.
    fn plan<'a>(
        &self,
        shards: &Locked<'_>,
        mutations: &'a [Mutation],
        now: Timestamp,
    ) -> Result<Effects<'a>> {
        let mut effects = Effects::new();
        if let [mutation] = mutations {
            if let Some(effect) = self.plan_key(shards, &[mutation], now)? {
                effects.push(effect);
            }
            return Ok(effects);
        }
        for group in by_key(mutations).chunk_by(same_key) {
            effects.extend(self.plan_key(shards, group, now)?);
        }
        Ok(effects)
    }

    #[inline]
    fn plan_key<'a>(
        &self,
        shards: &Locked<'_>,
        group: &[&'a Mutation],
        now: Timestamp,
    ) -> Result<Option<Effect<'a>>> {
        let key = group[0].key();
        let place = self.shards.place(key.as_bytes());
        let old = shards.get(place, key.as_bytes()).cloned();
        let old_expired = old.as_ref().is_some_and(|entry| is_past(entry, now));
        let visible = old.as_ref().filter(|_| !old_expired).map(Entry::deadline);
        let (key, settled) = settle(group, visible, now)?;
        let (new, kind) = match settled {
            Settled::Put { value, deadline } => (Some(New { value, deadline }), ChangeKind::Put),
            Settled::Absent if old.is_none() => return Ok(None),
            Settled::Absent if old_expired => (None, ChangeKind::Expired),
            Settled::Absent => (None, ChangeKind::Delete),
            Settled::Unchanged => return Ok(None),
        };
        Ok(Some(Effect {
            key,
            place,
            old,
            new,
            kind,
            old_expired,
        }))
    }

    fn check_capacity(&self, commit: &Commit, effects: &Effects<'_>) -> Result<()> {
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

    /// Makes `effects` visible at once, under a new revision. `shards` holds those of all the keys.
    fn install(&self, commit: &mut Commit, shards: &mut Locked<'_>, effects: &Effects<'_>) -> Revision {
        let revision = commit.revision.next();
        let mut changes = Changes::new();
        let mut published = self.published.write();
        for effect in effects {
            let new = effect.build(revision);
            commit.account(effect, new.as_ref());
            let key = effect.key.as_bytes();
            if let Some(new) = new {
                drop(published.ordered.tree.insert(new.clone()));
                drop(shards.insert(effect.place, new));
            } else {
                drop(published.ordered.tree.remove(key));
                drop(shards.remove(effect.place, key));
            }
            changes.push(Change {
                key: effect.key.clone(),
                kind: effect.kind,
            });
        }
        commit.revision = revision;
        published.ordered.revision = revision;
        published.log.push(revision, changes);
        drop(published);
        self.signal.notify();
        self.sweeper.want(!commit.deadlines.is_empty());
        revision
    }
}

impl Commit {
    fn account(&mut self, effect: &Effect<'_>, new: Option<&Entry>) {
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

impl Effect<'_> {
    /// The value of the new entry.
    fn value<'a>(&'a self, new: &'a New<'_>) -> &'a [u8] {
        match (new.value, &self.old) {
            (Some(value), _) => value,
            (None, Some(old)) => old.value(),
            (None, None) => unreachable!("only a visible entry keeps its value"),
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
        let tree = self.store.published.read().ordered.tree.clone();
        let mut count = 0;
        tree.ascend(range.start(), range.end(), &mut |entry| {
            count += u64::from(!is_past(entry, self.now));
            if count >= enough {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        Ok(count)
    }
}
