//! What watchers read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stead_core::kit::{ChangeSource, LogRead, Signal};
use stead_core::{ChangeSet, Error, Reply, Result, Revision};

use super::faults::{Fault, Faults};
use super::handle::Session;

/// The log as one watcher sees it.
pub(super) struct Source {
    session: Arc<Session>,
    has_read: AtomicBool,
}

impl Source {
    pub(super) fn new(session: Arc<Session>) -> Self {
        Source {
            session,
            has_read: AtomicBool::new(false),
        }
    }

    fn hides_gap(&self, faults: Faults) -> bool {
        match self.has_read.load(Ordering::Relaxed) {
            true => faults.has(Fault::LagNotSignalled),
            false => faults.has(Fault::CompactedNotSignalled),
        }
    }
}

impl Source {
    fn read_log(&self, after: Revision, limit: usize) -> Result<LogRead> {
        let faults = self.session.options.faults;
        let state = self.session.data.state.lock();
        let end = state.ends.get(self.session.number).copied();
        let newest = end.unwrap_or(state.revision);
        if end.is_some() && after >= newest {
            return Err(Error::closed());
        }
        if after < state.oldest && !self.hides_gap(faults) {
            return Ok(LogRead::Compacted { oldest: state.oldest });
        }
        self.has_read.store(true, Ordering::Relaxed);
        let fits = |set: &&ChangeSet| set.revision > after && set.revision <= newest;
        let sets: Vec<ChangeSet> = state.log.iter().filter(fits).take(limit).cloned().collect();
        // A full page may have left something out behind its last set.
        let up_to = match sets.last() {
            Some(last) if sets.len() == limit => last.revision,
            _ => newest,
        };
        Ok(LogRead::Sets {
            sets: garble(sets, faults),
            up_to,
        })
    }
}

impl ChangeSource for Source {
    fn read_after(&self, after: Revision, limit: usize) -> Reply<'_, LogRead> {
        Reply::from(self.read_log(after, limit))
    }

    fn published(&self) -> Revision {
        let state = self.session.data.state.lock();
        let end = state.ends.get(self.session.number).copied();
        end.unwrap_or(state.revision)
    }

    fn signal(&self) -> &Signal {
        &self.session.data.signal
    }
}

/// Leaves the sets as they are, but for planted faults.
fn garble(mut sets: Vec<ChangeSet>, faults: Faults) -> Vec<ChangeSet> {
    if faults.has(Fault::WatchSkipsChanges) {
        sets.retain(|set| set.revision.get() % 3 != 0);
    }
    if faults.has(Fault::WatchReorders) {
        sets.reverse();
    }
    if faults.has(Fault::WatchSplitsBatch) {
        let one_each = |set: ChangeSet| {
            let revision = set.revision;
            set.changes.into_iter().map(move |change| ChangeSet {
                revision,
                changes: vec![change],
            })
        };
        sets = sets.into_iter().flat_map(one_each).collect();
    }
    sets
}
