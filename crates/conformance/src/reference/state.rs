//! Everything that a reference store knows, and what a batch does to it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use stead_core::kit::judge;
use stead_core::{
    Change, ChangeKind, ChangeSet, CheckReport, Conflict, Error, Found, Key, Mutation, Outcome, Precondition,
    Result, Revision, Stats, Timestamp, WriteBatch,
};

use super::draft::{Draft, Drafting, check_capacity, size};
use super::entries::Entries;
use super::faults::Fault;
use super::leftovers::Leftovers;
use super::options::Options;
use super::requests::Requests;
use super::view::{Reader, View, is_visible};

/// What is behind the lock.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) entries: Arc<Entries>,
    pub(super) revision: Revision,
    /// The newest change sets.
    pub(super) log: VecDeque<ChangeSet>,
    /// Everything up to here is gone from the log.
    pub(super) oldest: Revision,
    pub(super) requests: Requests,
    /// How many sessions have begun.
    pub(super) sessions: usize,
    /// The last revision of each session that was ended.
    pub(super) ends: Vec<Revision>,
    /// Counted since the session began; the sizes are not kept here.
    pub(super) counters: Stats,
    pub(super) leftovers: Leftovers,
}

impl State {
    /// Commits or rejects `batch`, which was admitted.
    pub(super) fn apply(&mut self, batch: &WriteBatch, now: Timestamp, options: &Options) -> Result<Outcome> {
        if let Some(first) = self.requests.recall(batch, options)? {
            return Ok(first);
        }
        let outcome = match self.judge(batch, now, options)? {
            Some(conflict) => {
                self.counters.conflicts += 1;
                self.leave_traces(batch.mutations(), now, options)?;
                Outcome::Rejected(conflict)
            }
            None => {
                let raised = batch.raised_to().filter(|revision| *revision > self.revision);
                if let Some(revision) = raised
                    && !batch.mutations().is_empty()
                {
                    self.raise_to(revision, options);
                }
                Outcome::Committed(self.commit(batch.mutations(), now, options)?)
            }
        };
        self.requests.remember(batch, &outcome, options);
        Ok(outcome)
    }

    pub(super) fn judge(
        &self,
        batch: &WriteBatch,
        now: Timestamp,
        options: &Options,
    ) -> Result<Option<Conflict>> {
        let faults = options.faults;
        let mut judged = batch.preconditions().to_vec();
        if faults.has(Fault::RangePreconditionsIgnored) {
            judged.retain(|one| matches!(one, Precondition::Key { .. }));
        }
        if faults.has(Fault::ReadOnlyPreconditionsIgnored) {
            let writes = |key: &Key| batch.mutations().iter().any(|one| one.key() == key);
            judged.retain(|one| !matches!(one, Precondition::Key { key, .. } if !writes(key)));
        }
        if faults.has(Fault::AnyRevisionAccepted) {
            for one in &mut judged {
                if let Precondition::Key {
                    expect: expect @ stead_core::Expect::At(_),
                    ..
                } = one
                {
                    *expect = stead_core::Expect::Present;
                }
            }
        }
        let stale = faults.has(Fault::PreconditionsJudgedOnStaleState);
        let mut view = View {
            entries: if stale {
                &self.leftovers.before
            } else {
                &self.entries
            },
            now,
            faults,
            reader: Reader::Preconditions,
        };
        let mut conflict = judge(&judged, &mut view)?;
        if faults.has(Fault::ConflictHidesRevision)
            && let Some(conflict) = &mut conflict
        {
            conflict.found = Found::Missing;
        }
        Ok(conflict)
    }

    pub(super) fn commit(
        &mut self,
        mutations: &[Mutation],
        now: Timestamp,
        options: &Options,
    ) -> Result<Revision> {
        if options.faults.has(Fault::BatchOfTwoRevisions) && mutations.len() > 1 {
            let (first, second) = mutations.split_at(mutations.len() / 2);
            self.commit(first, now, options)?;
            return self.commit(second, now, options);
        }
        if !mutations.is_empty() {
            let revision = self.next_revision(mutations, options);
            let entries = Arc::clone(&self.entries);
            let drafting = Drafting {
                entries: &entries,
                revision,
                now,
                faults: options.faults,
            };
            let draft = drafting.apply(mutations)?;
            check_capacity(&self.entries, &draft, options.capacity_entries)?;
            let changes = drafting.changes(&draft);
            self.counters.expired += drafting.expired(&draft);
            // With the last other owner gone, the map is changed in place.
            drop(entries);
            self.install(&draft, revision, changes, options);
            self.counters.commits += 1;
            return Ok(revision);
        }
        self.counters.commits += 1;
        Ok(self.revision)
    }

    fn next_revision(&self, mutations: &[Mutation], options: &Options) -> Revision {
        if options.faults.has(Fault::RevisionReused) && self.counters.commits % 3 == 2 {
            return self.revision;
        }
        if options.faults.has(Fault::RevisionReusedAfterRecreate)
            && let [Mutation::Put { key, .. }] = mutations
            && self.entries.get(key).is_none()
            && let Some(old) = self.leftovers.deleted.get(key)
        {
            return old.revision();
        }
        self.revision.next()
    }

    /// Makes `draft` the state and `changes` the newest change set.
    fn install(&mut self, draft: &Draft, revision: Revision, changes: Vec<Change>, options: &Options) {
        self.collect_leftovers(draft, options);
        let entries = Arc::make_mut(&mut self.entries);
        for (key, entry) in draft {
            entries.replace(key, entry.as_ref());
        }
        self.revision = self.revision.max(revision);
        self.log(revision, changes, options);
    }

    fn raise_to(&mut self, revision: Revision, options: &Options) {
        if options.faults.has(Fault::RaiseIgnored) {
            return;
        }
        self.revision = revision;
        if !options.faults.has(Fault::RaiseUntold) {
            self.log.clear();
            self.oldest = revision;
        }
    }

    pub(super) fn log(&mut self, revision: Revision, changes: Vec<Change>, options: &Options) {
        if !changes.is_empty() {
            self.log.push_back(ChangeSet { revision, changes });
        }
        while self.log.len() > options.log_sets {
            if let Some(gone) = self.log.pop_front() {
                self.oldest = gone.revision;
            }
        }
    }

    /// Removes the entries past their deadline in one batch, and says how many those were.
    pub(super) fn sweep(&mut self, now: Timestamp, options: &Options) -> u64 {
        let faults = options.faults;
        let mut dead: BTreeSet<Key> = self
            .entries
            .iter()
            .filter(|(_, entry)| !is_visible(entry, now))
            .map(|(key, _)| key.clone())
            .collect();
        if faults.has(Fault::SweeperKillsRenewed) {
            let due = self
                .leftovers
                .deadlines
                .iter()
                .filter(|(deadline, _)| *deadline <= now);
            dead.extend(
                due.map(|(_, key)| key.clone())
                    .filter(|key| self.entries.get(key).is_some()),
            );
        }
        if dead.is_empty() {
            return 0;
        }
        let revision = if faults.has(Fault::RevisionReusedBySweeper) {
            self.revision
        } else {
            self.revision.next()
        };
        let mut changes: Vec<Change> = dead
            .iter()
            .map(|key| Change {
                key: key.clone(),
                kind: ChangeKind::Expired,
            })
            .collect();
        if faults.has(Fault::ExpiredChangeMissing) {
            changes.clear();
        }
        let swept = dead.len() as u64;
        self.counters.expired += swept;
        let draft = dead.into_iter().map(|key| (key, None)).collect();
        self.install(&draft, revision, changes.clone(), options);
        if faults.has(Fault::ExpiredChangeTwice) {
            self.revision = self.revision.next();
            self.log(self.revision, changes, options);
        }
        swept
    }

    /// Ends the session under way.
    pub(super) fn end_session(&mut self) {
        self.ends.push(self.revision);
    }

    /// The counters and the sizes.
    pub(super) fn stats(&self, options: &Options) -> Stats {
        let mut stats = self.counters;
        stats.entries = self.entries.len() as u64;
        stats.bytes = self.entries.iter().map(|(key, entry)| size(key, entry)).sum();
        stats.revision = self.revision;
        stats.oldest_revision = self.oldest;
        if options.faults.has(Fault::StatsCountDeleted) {
            stats.entries += self.leftovers.deleted.len() as u64;
        }
        stats
    }

    /// Reads everything. What a map holds is in order already; the revisions must fit.
    pub(super) fn check(&self, progress: &(dyn Fn(u64) + Send + Sync)) -> Result<CheckReport> {
        let mut records = 0;
        let entries = self.entries.iter().map(|(_, entry)| entry.revision());
        for revision in entries.chain(self.log.iter().map(|set| set.revision)) {
            if revision > self.revision {
                return Err(Error::corrupt("a record is newer than the store").with("revision", revision));
            }
            records += 1;
            progress(records);
        }
        Ok(CheckReport::new(self.entries.len() as u64, records))
    }
}
