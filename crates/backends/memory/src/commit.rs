//! Committing: one batch at a time decides, plans and then changes both indexes in one visible step.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use bytes::Bytes;
use smallvec::SmallVec;
use stead_core::kit::{Lookup, Settled, by_key, judge, same_key, settle};
use stead_core::{
    ChangeKind, Conflict, Entry, Error, Expiry, Fingerprint, Key, KeyRange, Mutation, Result, Revision,
    Timestamp, WriteBatch,
};

use crate::append::comes_behind;
use crate::log::Requests;
use crate::shards::{Bucket, Locked, Place, ShardSet};
use crate::store::{Inner, State};

/// What is counted and remembered beside the entries.
pub(crate) struct Books {
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

/// An outcome that is handed on in registers: one with room for a conflict would be moved, and the move waited for.
pub(crate) type Decided = Result<Revision, Box<Conflict>>;

/// What a batch does to one key.
struct Effect<'a> {
    key: &'a [u8],
    place: Place,
    old: Option<Old>,
    new: Option<New<'a>>,
    /// What watchers are told.
    kind: ChangeKind,
}

/// What is known of the entry that is there, past its deadline or not.
#[derive(Clone, Copy)]
struct Old {
    bucket: Bucket,
    size: u64,
    deadline: Option<Timestamp>,
    expired: bool,
}

/// An entry that still lacks its revision.
struct New<'a> {
    value: Value<'a>,
    deadline: Option<Timestamp>,
}

enum Value<'a> {
    Given(&'a Bytes),
    /// That of the entry that is there.
    Kept(Entry),
}

/// Entries that were replaced, to be freed behind the locks: large values take their time.
type Garbage = SmallVec<[Entry; 1]>;

impl Inner {
    /// Commits or rejects `batch`, which was admitted.
    pub(crate) fn commit(&self, batch: &WriteBatch) -> Result<Decided> {
        let request = batch.id().map(|id| (id, Fingerprint::of(batch)));
        let mut garbage = Garbage::new();
        let mut state = self.state.write();
        if state.books.closed {
            return Err(Error::closed());
        }
        if let Some((id, fingerprint)) = request
            && let Some(decided) = state.books.requests.find(id, fingerprint)?
        {
            return Ok(decided);
        }
        let before = state.ordered.revision;
        let decided = self.decide(&mut state, batch, &mut garbage)?;
        if let Some((id, fingerprint)) = request {
            state
                .books
                .requests
                .remember(id.clone(), fingerprint, decided.clone());
        }
        let is_new = state.ordered.revision > before;
        let deadlines = !state.books.deadlines.is_empty();
        let watched = state.log.was_read();
        drop(state);
        if is_new {
            if watched {
                self.signal.notify();
            }
            self.sweeper.want(deadlines);
        }
        Ok(decided)
    }

    fn decide(&self, state: &mut State, batch: &WriteBatch, garbage: &mut Garbage) -> Result<Decided> {
        let now = self.now_for(&state.books, batch.mutations());
        if !batch.preconditions().is_empty()
            && let Some(conflict) = judge(
                batch.preconditions(),
                &mut Judged {
                    store: self,
                    state,
                    now,
                },
            )?
        {
            state.books.conflicts += 1;
            return Ok(Err(Box::new(conflict)));
        }
        if batch.mutations().is_empty() {
            return Ok(Ok(state.ordered.revision));
        }
        let revision = match batch.mutations() {
            [mutation] => {
                let place = self.shards.place(mutation.key().as_bytes());
                let mut shards = self.shards.lock_one(place);
                let mut effect = None;
                plan_key(&shards, place, &[mutation], now, &mut effect)?;
                self.install(state, batch, &mut shards, effect.as_slice(), garbage)?
            }
            mutations if comes_behind(&state.ordered.tree, mutations) => self.append(state, batch, now)?,
            mutations => {
                let mut effects = Vec::new();
                let mut shards = self.plan(mutations, now, &mut effects)?;
                self.install(state, batch, &mut shards, &effects, garbage)?
            }
        };
        Ok(Ok(revision))
    }

    /// Makes `effects` of `batch` visible if there is room for them.
    #[inline]
    fn install(
        &self,
        state: &mut State,
        batch: &WriteBatch,
        shards: &mut Locked<'_>,
        effects: &[Effect<'_>],
        garbage: &mut Garbage,
    ) -> Result<Revision> {
        self.check_capacity(&state.books, effects)?;
        state.begin(batch);
        Ok(install(state, shards, effects, garbage))
    }

    /// Removes entries past their deadline, at most `most`, and says how many went.
    pub(crate) fn sweep(&self, most: usize) -> usize {
        let mut garbage = Garbage::new();
        let mut state = self.state.write();
        let now = self.clock.now();
        let due = state
            .books
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
        let places = keys.iter().map(|key| self.shards.place(key.as_bytes()));
        let mut shards = self.shards.lock(places.fold(ShardSet::default(), ShardSet::with));
        let effects: Vec<Effect<'_>> = keys
            .iter()
            .map(|key| {
                let place = self.shards.place(key.as_bytes());
                let old = shards.find(place, key.as_bytes());
                Effect {
                    key: key.as_bytes(),
                    place,
                    old: old.map(|(bucket, entry)| Old::of(entry, bucket, now)),
                    new: None,
                    kind: ChangeKind::Expired,
                }
            })
            .collect();
        install(&mut state, &mut shards, &effects, &mut garbage);
        drop(shards);
        drop(state);
        self.signal.notify();
        keys.len()
    }

    /// The time, if anything can depend on it: asking for it costs as much as a small write.
    fn now_for(&self, books: &Books, mutations: &[Mutation]) -> Timestamp {
        let timed = |mutation: &Mutation| match mutation {
            Mutation::Put { expiry, .. } | Mutation::Touch { expiry, .. } => {
                matches!(expiry, Expiry::After(_) | Expiry::At(_))
            }
            Mutation::Delete { .. } => false,
        };
        if books.deadlines.is_empty() && !mutations.iter().any(timed) {
            return Timestamp::EPOCH;
        }
        self.clock.now()
    }

    /// Writes down in `effects` what `mutations` do to each key, in key order. Changes nothing. Gives back the shards of
    /// all keys, locked.
    fn plan<'a>(
        &self,
        mutations: &'a [Mutation],
        now: Timestamp,
        effects: &mut Vec<Effect<'a>>,
    ) -> Result<Locked<'_>> {
        let place = |mutation: &Mutation| self.shards.place(mutation.key().as_bytes());
        let places = mutations.iter().map(place);
        let shards = self.shards.lock(places.fold(ShardSet::default(), ShardSet::with));
        for group in by_key(mutations).chunk_by(same_key) {
            let mut effect = None;
            plan_key(&shards, place(group[0]), group, now, &mut effect)?;
            effects.extend(effect);
        }
        Ok(shards)
    }

    fn check_capacity(&self, books: &Books, effects: &[Effect<'_>]) -> Result<()> {
        let (mut entries, mut bytes) = (books.entries, books.bytes);
        for effect in effects {
            if let Some(old) = &effect.old {
                entries -= 1;
                bytes -= old.size;
            }
            if let Some(new) = &effect.new {
                entries += 1;
                bytes += (effect.key.len() + new.value.bytes().len()) as u64;
            }
        }
        self.check_room(books, entries, bytes)
    }

    /// That the store may have so many `entries` of so many `bytes` once the commit is made.
    pub(crate) fn check_room(&self, books: &Books, entries: u64, bytes: u64) -> Result<()> {
        let grows_over = |after: u64, before: u64, limit: u64| after > limit && after > before;
        if grows_over(entries, books.entries, self.capacity_entries) {
            return Err(Error::full("store is full; delete entries or raise its capacity")
                .with("entries", entries)
                .with("capacity_entries", self.capacity_entries));
        }
        if grows_over(bytes, books.bytes, self.capacity_bytes) {
            return Err(Error::full("store is full; delete entries or raise its capacity")
                .with("size_bytes", bytes)
                .with("capacity_bytes", self.capacity_bytes));
        }
        Ok(())
    }
}

/// Puts into `effect` what `group`, the mutations of one key, does to it, if anything. There it stays: a move waits for
/// what was just written.
#[inline]
fn plan_key<'a>(
    shards: &Locked<'_>,
    place: Place,
    group: &[&'a Mutation],
    now: Timestamp,
    effect: &mut Option<Effect<'a>>,
) -> Result<()> {
    let there = shards.find(place, group[0].key().as_bytes());
    let old = there.map(|(bucket, entry)| Old::of(entry, bucket, now));
    let visible = old.filter(|old| !old.expired).map(|old| old.deadline);
    let (key, settled) = settle(group, visible, now)?;
    let (new, kind) = match (settled, old) {
        (Settled::Put { value, deadline }, _) => {
            let kept = || there.expect("only a visible entry keeps its value").1.clone();
            let value = value.map_or_else(|| Value::Kept(kept()), Value::Given);
            (Some(New { value, deadline }), ChangeKind::Put)
        }
        (Settled::Absent, None) | (Settled::Unchanged, _) => return Ok(()),
        (Settled::Absent, Some(old)) if old.expired => (None, ChangeKind::Expired),
        (Settled::Absent, Some(_)) => (None, ChangeKind::Delete),
    };
    *effect = Some(Effect {
        key: key.as_bytes(),
        place,
        old,
        new,
        kind,
    });
    Ok(())
}

/// Makes `effects` visible at once, under a new revision. `shards` holds those of all the keys.
#[inline]
fn install(
    state: &mut State,
    shards: &mut Locked<'_>,
    effects: &[Effect<'_>],
    garbage: &mut Garbage,
) -> Revision {
    let revision = state.ordered.revision.next();
    let one = effects.len() == 1;
    for effect in effects {
        let Effect { key, place, old, .. } = *effect;
        let new = effect.new.as_ref();
        let new = new.map(|new| Entry::with_prefix(key, new.value.bytes(), revision, new.deadline));
        state.books.account(key, old, new.as_ref());
        let replaced = match (old, new) {
            (Some(old), Some(new)) => {
                // What was done to other keys of the batch may have moved this one.
                let again = || shards.find(place, key).map(|(bucket, _)| bucket);
                let bucket = if one { Some(old.bucket) } else { again() };
                let slot = bucket.and_then(|bucket| shards.at(place, bucket));
                let slot = slot.expect("it was found there");
                drop(state.ordered.tree.replace(slot, new.clone()));
                Some(std::mem::replace(slot, new))
            }
            (None, Some(new)) => {
                drop(state.ordered.tree.insert(new.clone()));
                shards.insert(place, new);
                None
            }
            (_, None) => {
                drop(state.ordered.tree.remove(key));
                shards.remove(place, key)
            }
        };
        if let Some(replaced) = replaced {
            garbage.push(replaced);
        }
        state.log.note(key, effect.kind);
    }
    state.ordered.revision = revision;
    state.log.end(revision);
    revision
}

impl State {
    /// Begins the commit of `batch`, which changes something.
    pub(crate) fn begin(&mut self, batch: &WriteBatch) {
        self.books.commits += 1;
        if let Some(revision) = batch.raised_to()
            && revision > self.ordered.revision
        {
            self.ordered.revision = revision;
            self.log.begin_anew(revision);
        }
    }
}

impl Books {
    fn account(&mut self, key: &[u8], old: Option<Old>, new: Option<&Entry>) {
        let old_deadline = old.and_then(|old| old.deadline);
        let new_deadline = new.and_then(Entry::deadline);
        if old_deadline != new_deadline {
            if let Some(deadline) = old_deadline {
                self.deadlines.remove(&(deadline, Box::from(key)));
            }
            if let Some(deadline) = new_deadline {
                self.deadlines.insert((deadline, Box::from(key)));
            }
        }
        if let Some(old) = old {
            self.entries -= 1;
            self.bytes -= old.size;
            self.expired += u64::from(old.expired);
        }
        if let Some(new) = new {
            self.entries += 1;
            self.bytes += size(new);
        }
    }
}

impl Old {
    fn of(entry: &Entry, bucket: Bucket, now: Timestamp) -> Self {
        Old {
            bucket,
            size: size(entry),
            deadline: entry.deadline(),
            expired: is_past(entry, now),
        }
    }
}

impl Value<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Value::Given(value) => value,
            Value::Kept(entry) => entry.value(),
        }
    }
}

/// Whether the deadline of `entry` has passed.
#[inline]
pub(crate) fn is_past(entry: &Entry, now: Timestamp) -> bool {
    entry.deadline().is_some_and(|deadline| deadline <= now)
}

/// The bytes that count against the capacity.
#[inline]
pub(crate) fn size(entry: &Entry) -> u64 {
    (entry.prefix().len() + entry.value().len()) as u64
}

/// What a batch is judged against. The state is locked, so it stands still.
struct Judged<'a> {
    store: &'a Inner,
    state: &'a State,
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
        let mut count = 0;
        self.state
            .ordered
            .tree
            .ascend(range.start(), range.end(), &mut |entry| {
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
