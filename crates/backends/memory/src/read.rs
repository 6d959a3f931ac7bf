//! Snapshots and scans: reading a copy of the ordered index while writers go on.

use std::ops::ControlFlow;
use std::sync::Arc;

use stead_core::kit::{admit_keys, admit_scan};
use stead_core::{
    Cursor, Direction, Entry, Error, Item, Key, KeyRange, Page, Partition, Read, Reply, Result, Revision,
    Scan, Snapshot,
};

use crate::commit::is_past;
use crate::shards::TOGETHER;
use crate::store::Inner;
use crate::tree::Tree;

/// The ordered index at one revision.
#[derive(Clone, Default)]
pub(crate) struct Ordered {
    pub(crate) tree: Tree,
    pub(crate) revision: Revision,
}

pub(crate) struct MemorySnapshot {
    pub(crate) store: Arc<Inner>,
    pub(crate) view: Ordered,
}

impl MemorySnapshot {
    fn find(&self, key: &Key) -> Option<Entry> {
        self.visible(key, self.store.shards.get(key.as_bytes()))
    }

    fn find_all(&self, keys: &[Key]) -> Vec<Option<Entry>> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(TOGETHER) {
            let live = self.store.shards.get_all(keys.iter().map(Key::as_bytes));
            found.extend(keys.iter().zip(live).map(|(key, live)| self.visible(key, live)));
        }
        found
    }

    /// What the snapshot has under a key, whose entry in the live store is `live`.
    ///
    /// Whatever changes an entry raises its revision: the live one is that of the snapshot if it is not newer. The hash index
    /// finds it in fewer places of memory than the ordered one.
    fn visible(&self, key: &Key, live: Option<Entry>) -> Option<Entry> {
        let unchanged = live.filter(|entry| entry.revision() <= self.view.revision);
        let entry = unchanged.or_else(|| self.view.tree.get(key.as_bytes()).cloned())?;
        self.store.is_visible(&entry).then_some(entry)
    }
}

impl Read for MemorySnapshot {
    fn get<'a>(&'a self, key: &'a Key) -> Reply<'a, Option<Entry>> {
        if self.store.is_closed() {
            return Reply::fail(Error::closed().during("get"));
        }
        Reply::ready(self.find(key))
    }

    fn get_many<'a>(&'a self, keys: &'a [Key]) -> Reply<'a, Vec<Option<Entry>>> {
        if self.store.is_closed() {
            return Reply::fail(Error::closed().during("get_many"));
        }
        if let Err(error) = admit_keys(&self.store.capabilities, keys) {
            return Reply::fail(error.during("get_many"));
        }
        Reply::ready(self.find_all(keys))
    }

    fn scan<'a>(&'a self, scan: &Scan) -> Result<Box<dyn Cursor + 'a>> {
        MemoryCursor::open(&self.store, scan, Some(&self.view.tree))
    }
}

impl Snapshot for MemorySnapshot {
    fn revision(&self, _partition: &Partition) -> Revision {
        self.view.revision
    }
}

/// A scan under way, of a snapshot or, page by page, of the live store.
pub(crate) struct MemoryCursor<'a> {
    store: &'a Inner,
    snapshot: Option<&'a Tree>,
    rest: KeyRange,
    left: usize,
    scan: Scan,
}

impl<'a> MemoryCursor<'a> {
    pub(crate) fn open(
        store: &'a Inner,
        scan: &Scan,
        snapshot: Option<&'a Tree>,
    ) -> Result<Box<dyn Cursor + 'a>> {
        if store.is_closed() {
            return Err(Error::closed().during("scan"));
        }
        admit_scan(&store.capabilities, scan).map_err(|error| error.during("scan"))?;
        Ok(Box::new(MemoryCursor {
            store,
            snapshot,
            rest: scan.range().clone(),
            left: scan.wanted_limit().unwrap_or(usize::MAX),
            scan: scan.clone(),
        }))
    }

    fn read(&self, tree: &Tree) -> Page {
        let wanted = self.left.min(self.scan.wanted_page_size());
        let mut page = Page::with_capacity(wanted.min(Scan::DEFAULT_PAGE_SIZE));
        // The clock is asked once a page, and only if some entry has a deadline.
        let mut now = None;
        let mut visit = |entry: &Entry| {
            let past = entry.deadline().is_some()
                && is_past(entry, *now.get_or_insert_with(|| self.store.clock.now()));
            if !past {
                let key = Key::from_encoded(entry.prefix()).expect("stored keys were encoded from keys");
                page.push(Item {
                    key,
                    entry: (!self.scan.is_keys_only()).then(|| entry.clone()),
                });
            }
            if page.len() == wanted {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        match self.scan.wanted_direction() {
            Direction::Forward => tree.ascend(self.rest.start(), self.rest.end(), &mut visit),
            Direction::Reverse => tree.descend(self.rest.start(), self.rest.end(), &mut visit),
        }
        page
    }
}

impl Cursor for MemoryCursor<'_> {
    fn next_page(&mut self) -> Reply<'_, Page> {
        if self.store.is_closed() {
            return Reply::fail(Error::closed().during("scan"));
        }
        if self.left == 0 || self.rest.is_empty() {
            return Reply::ready(Page::new());
        }
        let page = match self.snapshot {
            Some(tree) => self.read(tree),
            None => self.read(&self.store.state.read().ordered.tree.clone()),
        };
        self.left -= page.len();
        match page.last() {
            None => self.left = 0,
            Some(last) => {
                self.rest = match self.scan.wanted_direction() {
                    Direction::Forward => self.rest.after(&last.key),
                    Direction::Reverse => self.rest.before(&last.key),
                };
            }
        }
        Reply::ready(page)
    }
}
