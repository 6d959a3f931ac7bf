//! What wrong code remembers and does, apart from the code that is right.

use std::collections::BTreeSet;
use std::sync::Arc;

use stead_core::{Change, ChangeKind, Entry, Key, Mutation, Result, Stats, Timestamp};

use super::Options;
use super::draft::Draft;
use super::entries::Entries;
use super::faults::Fault;
use super::requests::Requests;
use super::state::State;

/// What only planted faults remember.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    /// The entries before the newest commit.
    pub(super) before: Arc<Entries>,
    /// The last key of the newest batch of several, and what it was.
    pub(super) undo: Option<(Key, Option<Entry>)>,
    pub(super) deleted: Entries,
    pub(super) deadlines: BTreeSet<(Timestamp, Key)>,
}

impl State {
    /// What a restart does to what is kept: nothing, but for planted faults.
    pub(super) fn begin_session(&mut self, options: &Options) {
        self.sessions += 1;
        self.counters = Stats::default();
        let faults = options.faults;
        if faults.has(Fault::RequestsForgottenAtReopen) {
            self.requests = Requests::default();
        }
        if faults.has(Fault::LogLostAtReopen) {
            self.log.clear();
        }
        if faults.has(Fault::DeletedBackAfterReopen) {
            let deleted = std::mem::take(&mut self.leftovers.deleted);
            let entries = Arc::make_mut(&mut self.entries);
            deleted
                .iter()
                .for_each(|(key, entry)| entries.replace(key, Some(entry)));
        }
        if faults.has(Fault::DeadlineLostAtReopen) {
            let old = Arc::clone(&self.entries);
            let entries = Arc::make_mut(&mut self.entries);
            for (key, entry) in old.iter() {
                entries.insert(key.clone(), Entry::new(entry.value(), entry.revision(), None));
            }
        }
        if faults.has(Fault::RevisionReusedAfterReopen) {
            let living = self.entries.iter().map(|(_, entry)| entry.revision());
            self.revision = living.max().unwrap_or_default();
        }
    }

    /// A rejected batch leaves none, but for planted faults.
    pub(super) fn leave_traces(
        &mut self,
        mutations: &[Mutation],
        now: Timestamp,
        options: &Options,
    ) -> Result<()> {
        if options.faults.has(Fault::RejectedBatchLeavesHalf) && mutations.len() > 1 {
            self.commit(&mutations[..1], now, options)?;
        }
        if options.faults.has(Fault::WatchShowsRejected) {
            let shown = mutations.iter().map(|one| Change {
                key: one.key().clone(),
                kind: ChangeKind::Put,
            });
            self.revision = self.revision.next();
            self.log(self.revision, shown.collect(), options);
        }
        Ok(())
    }

    pub(super) fn collect_leftovers(&mut self, draft: &Draft, options: &Options) {
        let faults = options.faults;
        let leftovers = &mut self.leftovers;
        if faults.has(Fault::PreconditionsJudgedOnStaleState) || faults.has(Fault::StaleRead) {
            leftovers.before = Arc::clone(&self.entries);
        }
        leftovers.undo = match draft.last_key_value() {
            Some((key, _)) if draft.len() > 1 => Some((key.clone(), self.entries.get(key).cloned())),
            _ => None,
        };
        for (key, entry) in draft {
            match (entry, self.entries.get(key)) {
                (Some(entry), _) => {
                    leftovers.deleted.remove(key);
                    leftovers
                        .deadlines
                        .extend(entry.deadline().map(|deadline| (deadline, key.clone())));
                }
                (None, Some(old)) => {
                    leftovers.deleted.insert(key.clone(), old.clone());
                }
                (None, None) => {}
            }
        }
    }
}
