//! Scanning in pages.

use stead_core::{Cursor, Direction, Item, Key, Page, Reply, Result, Scan};

use super::faults::{Fault, Faults};
use super::view::View;

/// What a cursor does with a view once it has one.
pub(super) type WithView<'a> = &'a mut dyn FnMut(&View<'_>) -> Page;

/// A scan that asks `look` for a view of each page.
pub(super) struct Paging<L> {
    scan: Scan,
    faults: Faults,
    look: L,
    /// The last key of the page before.
    last: Option<Key>,
    pages: usize,
    items: usize,
    finished: bool,
}

impl<L> Paging<L>
where
    L: FnMut(WithView<'_>) -> Result<Page>,
{
    pub(super) fn new(scan: &Scan, faults: Faults, look: L) -> Self {
        Paging {
            scan: scan.clone(),
            faults,
            look,
            last: None,
            pages: 0,
            items: 0,
            finished: false,
        }
    }

    fn read_page(&mut self) -> Result<Page> {
        // What is written behind the end of a scan that is over does not begin it anew.
        if self.finished {
            return Ok(Page::new());
        }
        let (scan, last, faults) = (&self.scan, &self.last, self.faults);
        let (pages, items) = (self.pages, self.items);
        let page = (self.look)(&mut |view| page_of(view, scan, last.as_ref(), faults, (pages, items)))?;
        if let Some(item) = page.last() {
            self.last = Some(item.key.clone());
            self.pages += 1;
            self.items += page.len();
        }
        self.finished = page.is_empty();
        Ok(page)
    }
}

fn page_of(
    view: &View<'_>,
    scan: &Scan,
    last: Option<&Key>,
    faults: Faults,
    (pages, items): (usize, usize),
) -> Page {
    let direction = scan.wanted_direction();
    let rest = match (last, direction) {
        (None, _) => scan.range().clone(),
        (Some(last), Direction::Forward) => scan.range().after(last),
        (Some(last), Direction::Reverse) => scan.range().before(last),
    };
    let found = if faults.has(Fault::ScanPagesByOffset) {
        Box::new(view.range(scan.range(), direction).skip(items))
    } else if faults.has(Fault::ScanSkipsAtPageBoundary) && pages == 1 {
        Box::new(view.range(&rest, direction).skip(1))
    } else if faults.has(Fault::ScanRepeatsAtPageBoundary) && pages == 1 {
        Box::new(view.range(scan.range(), direction).skip(items.saturating_sub(1)))
    } else {
        view.range(&rest, direction)
    };
    let mut room = scan.wanted_page_size();
    if let Some(limit) = scan.wanted_limit() {
        let used = if faults.has(Fault::ScanLimitPerPage) {
            0
        } else {
            items
        };
        room = room.min(limit.saturating_sub(used));
    }
    let item = |(key, entry): (&Key, &stead_core::Entry)| Item {
        key: key.clone(),
        entry: (!scan.is_keys_only()).then(|| entry.clone()),
    };
    found.take(room).map(item).collect()
}

impl<L> Cursor for Paging<L>
where
    L: FnMut(WithView<'_>) -> Result<Page> + Send,
{
    fn next_page(&mut self) -> Reply<'_, Page> {
        self.read_page().map_err(|error| error.during("scan")).into()
    }
}
