//! A view that stands still.

use std::sync::Arc;

use stead_core::kit::{admit_keys, admit_scan};
use stead_core::{Cursor, Entry, Key, KeyRange, Partition, Read, Reply, Result, Revision, Scan, Snapshot};

use super::cursor::Paging;
use super::entries::Entries;
use super::faults::Fault;
use super::handle::Session;
use super::state::State;
use super::view::{Reader, View};

/// The entries as they were at one revision.
pub(super) struct Frozen {
    session: Arc<Session>,
    entries: Arc<Entries>,
    revision: Revision,
}

impl Frozen {
    pub(super) fn new(session: Arc<Session>, state: &State) -> Self {
        let mut entries = Arc::clone(&state.entries);
        if session.options.faults.has(Fault::SnapshotOfHalfBatch)
            && let Some((key, old)) = &state.leftovers.undo
        {
            Arc::make_mut(&mut entries).replace(key, old.as_ref());
        }
        Frozen {
            revision: state.revision,
            entries,
            session,
        }
    }

    fn look<T>(&self, read: impl FnOnce(&View<'_>) -> T) -> Result<T> {
        let state = self.session.state()?;
        let mut view = self.session.view(&state, Reader::Snapshot);
        if !self.session.options.faults.has(Fault::SnapshotNotStable) {
            view.entries = &self.entries;
        }
        Ok(read(&view))
    }
}

impl Read for Frozen {
    fn get<'a>(&'a self, key: &'a Key) -> Reply<'a, Option<Entry>> {
        let entry = self.look(|view| view.get(key).cloned());
        entry.map_err(|error| error.during("get")).into()
    }

    fn get_many<'a>(&'a self, keys: &'a [Key]) -> Reply<'a, Vec<Option<Entry>>> {
        let entries = admit_keys(&self.session.options.capabilities, keys)
            .and_then(|()| self.look(|view| keys.iter().map(|key| view.get(key).cloned()).collect()));
        entries.map_err(|error| error.during("get_many")).into()
    }

    fn scan<'a>(&'a self, scan: &Scan) -> Result<Box<dyn Cursor + 'a>> {
        self.look(|_| ())?;
        admit_scan(&self.session.options.capabilities, scan)?;
        let faults = self.session.options.faults;
        Ok(Box::new(Paging::new(scan, faults, move |page| {
            self.look(|view| page(view))
        })))
    }

    fn partitions<'a>(&'a self, range: &KeyRange, limit: usize) -> Reply<'a, Vec<Partition>> {
        let partitions = self.look(|view| view.partitions(range, limit));
        partitions.map_err(|error| error.during("partitions")).into()
    }
}

impl Snapshot for Frozen {
    fn revision(&self, _partition: &Partition) -> Revision {
        self.revision
    }
}
