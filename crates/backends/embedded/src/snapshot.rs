//! Snapshots: a view that is held on to, and taken back when the store closes.

use std::sync::{Arc, Weak};

use stead_core::kit::{admit_keys, admit_scan};
use stead_core::{
    Cursor, Entry, Error, Key, Partition, Read, Reply, Result, Revision, Scan, Snapshot as Contract,
};

use crate::cursor::{Origin, PageCursor};
use crate::shared::Shared;
use crate::sync::RwLock;
use crate::view::{Found, Held};
use crate::{Engine, View};

/// What a snapshot holds of the engine.
pub(crate) struct Cell<V>(RwLock<Option<Arc<Held<V>>>>);

impl<V> Cell<V> {
    fn view(&self) -> Result<Arc<Held<V>>> {
        self.0.read().clone().ok_or_else(Error::closed)
    }
}

pub(crate) struct Snapshot<E: Engine> {
    cell: Arc<Cell<E::View>>,
    revision: Revision,
    shared: Arc<Shared<E>>,
}

impl<E: Engine> Snapshot<E> {
    pub(crate) fn take(shared: &Arc<Shared<E>>) -> Result<Self> {
        // The list is locked before the view is taken: the close hides the view first and then goes through the list, so
        // it meets every snapshot.
        let mut snapshots = shared.snapshots.lock();
        let held = shared.view()?;
        let revision = held.header.revision;
        let cell = Arc::new(Cell(RwLock::new(Some(held))));
        if snapshots.len() == snapshots.capacity() {
            snapshots.retain(|cell| cell.strong_count() > 0);
        }
        snapshots.push(Arc::downgrade(&cell));
        drop(snapshots);
        Ok(Snapshot {
            cell,
            revision,
            shared: Arc::clone(shared),
        })
    }
}

impl<E: Engine> Shared<E> {
    /// Takes the views of all snapshots back.
    pub(crate) fn revoke_snapshots(&self) {
        let snapshots = std::mem::take(&mut *self.snapshots.lock());
        for cell in snapshots.iter().filter_map(Weak::upgrade) {
            let held = cell.0.write().take();
            drop(held);
        }
    }
}

impl<E: Engine> Read for Snapshot<E> {
    fn get<'a>(&'a self, key: &'a Key) -> Reply<'a, Option<Entry>> {
        Reply::from(self.cell.view().and_then(|held| find(&self.shared, &held, key)))
            .map_result(|result| result.map_err(|error| error.during("get")))
    }

    fn get_many<'a>(&'a self, keys: &'a [Key]) -> Reply<'a, Vec<Option<Entry>>> {
        let read = || {
            admit_keys(&self.shared.capabilities, keys)?;
            let held = self.cell.view()?;
            keys.iter()
                .map(|key| find(&self.shared, &held, key))
                .collect::<Result<Vec<_>>>()
        };
        Reply::from(read().map_err(|error: Error| error.during("get_many")))
    }

    fn scan<'a>(&'a self, scan: &Scan) -> Result<Box<dyn Cursor + 'a>> {
        admit_scan(&self.shared.capabilities, scan).map_err(|error| error.during("scan"))?;
        self.cell.view().map_err(|error| error.during("scan"))?;
        Ok(Box::new(PageCursor::new(self, scan)))
    }
}

impl<E: Engine> Contract for Snapshot<E> {
    fn revision(&self, _partition: &Partition) -> Revision {
        self.revision
    }
}

impl<E: Engine> Origin for Snapshot<E> {
    type Engine = E;

    fn held(&self) -> Result<Arc<Held<E::View>>> {
        self.cell.view()
    }

    fn shared(&self) -> &Shared<E> {
        &self.shared
    }
}

/// Reads one entry and counts the read.
#[inline]
pub(crate) fn find<E: Engine>(shared: &Shared<E>, held: &Held<E::View>, key: &Key) -> Result<Option<Entry>>
where
    E::View: View,
{
    match held.find(key, &*shared.options.clock)? {
        Found::Entry(entry) => {
            shared.counters.hit();
            Ok(Some(entry))
        }
        Found::Missing => {
            shared.counters.miss();
            Ok(None)
        }
        Found::Expired => {
            shared.counters.miss();
            shared.want_sweep();
            Ok(None)
        }
    }
}
