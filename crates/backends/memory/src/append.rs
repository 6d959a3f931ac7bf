//! Committing what comes in the order of keys, behind all that is there: loads, copies and restores do.
//!
//! No key of such a batch can be there, so that nothing is looked for, and the steps are done for all entries one after the
//! other: the processor fetches many slots of the hash table at a time that way.

use stead_core::{ChangeKind, Entry, Mutation, Result, Revision, Timestamp, WriteBatch};

use crate::commit::size;
use crate::shards::{Place, ShardSet};
use crate::store::{Inner, State};
use crate::tree::Tree;

/// For each entry of a batch, so many are believed to follow: room that is never used shall not cost much.
const FOLLOWING: u64 = 1024;

/// Whether `mutations` are puts in ascending order of their keys, all of them behind those of `tree`.
pub(crate) fn comes_behind(tree: &Tree, mutations: &[Mutation]) -> bool {
    let last = tree.last();
    let behind = |first: &Mutation| {
        last.as_ref()
            .is_none_or(|last| last.prefix() < first.key().as_bytes())
    };
    mutations.first().is_some_and(behind)
        && mutations.is_sorted_by(|one, other| one.key() < other.key())
        && mutations
            .iter()
            .all(|mutation| matches!(mutation, Mutation::Put { .. }))
}

impl Inner {
    /// Commits `batch`, which [comes behind](comes_behind) all that is there.
    pub(crate) fn append(&self, state: &mut State, batch: &WriteBatch, now: Timestamp) -> Result<Revision> {
        let before = state.ordered.revision;
        let revision = batch
            .raised_to()
            .map_or(before, |raised| raised.max(before))
            .next();
        let entries = self.entries_of(batch, revision, now)?;
        let bytes: u64 = entries.iter().map(|(_, entry)| size(entry)).sum();
        let (all, all_bytes) = (
            state.books.entries + entries.len() as u64,
            state.books.bytes + bytes,
        );
        self.check_room(&state.books, all, all_bytes)?;
        self.make_room(batch);
        state.begin(batch);
        let key_bytes = entries.iter().map(|(_, entry)| entry.prefix().len()).sum();
        state.log.reserve(entries.len(), key_bytes);
        for (_, entry) in &entries {
            if let Some(deadline) = entry.deadline() {
                state
                    .books
                    .deadlines
                    .insert((deadline, Box::from(entry.prefix())));
            }
            state.ordered.tree.append(entry.clone());
            state.log.note(entry.prefix(), ChangeKind::Put);
        }
        let places = entries.iter().map(|(place, _)| *place);
        let mut shards = self.shards.lock(places.fold(ShardSet::default(), ShardSet::with));
        for (place, entry) in entries {
            shards.insert(place, entry);
        }
        (state.books.entries, state.books.bytes) = (all, all_bytes);
        state.ordered.revision = revision;
        state.log.end(revision);
        Ok(revision)
    }

    fn entries_of(
        &self,
        batch: &WriteBatch,
        revision: Revision,
        now: Timestamp,
    ) -> Result<Vec<(Place, Entry)>> {
        let mut entries = Vec::with_capacity(batch.mutations().len());
        for mutation in batch.mutations() {
            if let Mutation::Put { key, value, expiry } = mutation {
                let deadline = expiry.resolve(now, None)?;
                let key = key.as_bytes();
                let entry = Entry::with_prefix(key, value, revision, deadline);
                entries.push((self.shards.place(key), entry));
            }
        }
        Ok(entries)
    }

    /// Makes room for what is said to follow, as far as that is to be believed.
    fn make_room(&self, batch: &WriteBatch) {
        let own = batch.mutations().len() as u64;
        let following = batch.following().min(own * FOLLOWING).min(self.capacity_entries);
        if following > 0 {
            self.shards.reserve(usize::try_from(following).unwrap_or(0));
        }
    }
}
