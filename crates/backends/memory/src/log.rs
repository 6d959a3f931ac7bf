//! The newest changes, for watches, and the newest request ids, for retries: both bounded.

use std::collections::{HashMap, VecDeque};

use smallvec::SmallVec;
use stead_core::kit::LogRead;
use stead_core::{Change, ChangeSet, Error, Fingerprint, Outcome, RequestId, Result, Revision};

/// What a commit changed. Most commits change one key, and that one stays in its slot of the log.
pub(crate) type Changes = SmallVec<[Change; 1]>;

/// The change sets of the newest commits.
pub(crate) struct ChangeLog {
    retention: usize,
    sets: VecDeque<(Revision, Changes)>,
    /// Everything up to here may be gone.
    floor: Revision,
    /// Everything up to here was committed.
    newest: Revision,
}

impl ChangeLog {
    pub(crate) fn new(retention: usize) -> Self {
        ChangeLog {
            retention,
            sets: VecDeque::new(),
            floor: Revision::ZERO,
            newest: Revision::ZERO,
        }
    }

    /// Adds what was committed at `revision`.
    pub(crate) fn push(&mut self, revision: Revision, changes: Changes) {
        self.newest = revision;
        if changes.is_empty() {
            return;
        }
        if self.sets.len() == self.retention
            && let Some((dropped, _)) = self.sets.pop_front()
        {
            self.floor = dropped;
        }
        self.sets.push_back((revision, changes));
    }

    /// Forgets all change sets: what is read from now on comes after `revision`.
    pub(crate) fn begin_anew(&mut self, revision: Revision) {
        self.sets.clear();
        self.floor = revision;
        self.newest = revision;
    }

    pub(crate) fn read_after(&self, after: Revision, limit: usize) -> LogRead {
        if after < self.floor {
            return LogRead::Compacted { oldest: self.floor };
        }
        let first = self.sets.partition_point(|(revision, _)| *revision <= after);
        let copy = |(revision, changes): &(Revision, Changes)| ChangeSet {
            revision: *revision,
            changes: changes.to_vec(),
        };
        let sets: Vec<ChangeSet> = self.sets.range(first..).take(limit).map(copy).collect();
        let all = first + sets.len() == self.sets.len();
        let up_to = if all {
            self.newest
        } else {
            sets.last().map_or(after, |set| set.revision)
        };
        LogRead::Sets { sets, up_to }
    }

    pub(crate) fn floor(&self) -> Revision {
        self.floor
    }

    pub(crate) fn newest(&self) -> Revision {
        self.newest
    }
}

/// The outcomes of the newest batches that had a request id.
pub(crate) struct Requests {
    retention: usize,
    outcomes: HashMap<RequestId, (Fingerprint, Outcome)>,
    order: VecDeque<RequestId>,
}

impl Requests {
    pub(crate) fn new(retention: usize) -> Self {
        Requests {
            retention,
            outcomes: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// The outcome of the batch that came with this id before.
    pub(crate) fn find(&self, id: &RequestId, fingerprint: Fingerprint) -> Result<Option<Outcome>> {
        match self.outcomes.get(id) {
            Some((known, _)) if *known != fingerprint => Err(Error::conflict(
                "request id was used for another batch; give each batch its own",
            )
            .with("request_id", id.as_bytes().escape_ascii())),
            Some((_, outcome)) => Ok(Some(outcome.clone())),
            None => Ok(None),
        }
    }

    pub(crate) fn remember(&mut self, id: RequestId, fingerprint: Fingerprint, outcome: Outcome) {
        if self.order.len() >= self.retention
            && let Some(oldest) = self.order.pop_front()
        {
            self.outcomes.remove(&oldest);
        }
        self.order.push_back(id.clone());
        self.outcomes.insert(id, (fingerprint, outcome));
    }
}
