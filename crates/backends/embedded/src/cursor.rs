//! Scans by the page.

use std::sync::Arc;

use stead_core::{Cursor, Direction, Page, Reply, Result, Scan};

use crate::Engine;
use crate::page::PageWanted;
use crate::shared::Shared;
use crate::view::Held;

/// Where a scan reads: the live store, whose every page is of its own instant, or a snapshot.
pub(crate) trait Origin: Send + Sync {
    type Engine: Engine;

    fn held(&self) -> Result<Arc<Held<<Self::Engine as Engine>::View>>>;

    fn shared(&self) -> &Shared<Self::Engine>;
}

/// A scan under way. It holds no view between pages.
pub(crate) struct PageCursor<'a, O> {
    origin: &'a O,
    start: Vec<u8>,
    end: Option<Vec<u8>>,
    wanted: PageWanted,
    left: usize,
    over: bool,
}

impl<'a, O: Origin> PageCursor<'a, O> {
    pub(crate) fn new(origin: &'a O, scan: &Scan) -> Self {
        PageCursor {
            origin,
            start: scan.range().start().to_vec(),
            end: scan.range().end().map(<[u8]>::to_vec),
            wanted: PageWanted {
                direction: scan.wanted_direction(),
                entries: scan.wanted_page_size(),
                keys_only: scan.is_keys_only(),
            },
            left: scan.wanted_limit().unwrap_or(usize::MAX),
            over: scan.range().is_empty(),
        }
    }

    fn read(&mut self) -> Result<Page> {
        let held = self.origin.held()?;
        if self.over || self.left == 0 {
            return Ok(Page::new());
        }
        let wanted = PageWanted {
            entries: self.wanted.entries.min(self.left),
            ..self.wanted
        };
        let shared = self.origin.shared();
        let clock = &*shared.options.clock;
        let read = held.page(&self.start, self.end.as_deref(), &wanted, clock)?;
        drop(held);
        if read.met_expired {
            shared.want_sweep();
        }
        let page = read.page;
        self.left -= page.len();
        match page.last() {
            Some(last) if !read.over => {
                let last = last.key.as_bytes();
                match wanted.direction {
                    Direction::Forward => {
                        self.start.clear();
                        self.start.extend_from_slice(last);
                        self.start.push(0);
                    }
                    Direction::Reverse => self.end = Some(last.to_vec()),
                }
            }
            _ => self.over = true,
        }
        Ok(page)
    }
}

impl<O: Origin> Cursor for PageCursor<'_, O> {
    fn next_page(&mut self) -> Reply<'_, Page> {
        Reply::from(self.read().map_err(|error| error.during("scan")))
    }
}
