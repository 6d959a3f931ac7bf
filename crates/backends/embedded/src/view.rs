//! Read views and how entries are read from them.

use std::ops::ControlFlow;
use std::sync::Arc;

use stead_core::{Clock, Direction, Entry, Error, Item, Key, Page, Result};

use crate::format::{DataRecord, Header};
use crate::planted::planted;
use crate::{Keyspace, View};

/// An engine's view, the header that it holds, and a token that says how many views are alive.
pub(crate) struct Held<V> {
    pub(crate) view: V,
    pub(crate) header: Header,
    /// The store counts these before it lets go of its files.
    pub(crate) _alive: Arc<()>,
}

/// What a point read found.
pub(crate) enum Found {
    Entry(Entry),
    Missing,
    /// An entry past its deadline that waits to be swept.
    Expired,
}

impl<V: View> Held<V> {
    #[inline]
    pub(crate) fn find(&self, key: &Key, clock: &dyn Clock) -> Result<Found> {
        let mut found = Ok(Found::Missing);
        let bytes = key.as_bytes();
        self.view.get(Keyspace::Data, bytes, &mut |record| {
            found = DataRecord::decode(bytes, record).map(|record| {
                // Most entries have no deadline, and reading a clock costs as much as decoding them.
                if record.deadline.is_some() && record.is_expired(clock.now()) {
                    Found::Expired
                } else {
                    Found::Entry(record.to_entry())
                }
            });
        })?;
        found
    }

    /// The next page from `start` to `end`.
    pub(crate) fn page(
        &self,
        start: &[u8],
        end: Option<&[u8]>,
        wanted: &PageWanted,
        clock: &dyn Clock,
    ) -> Result<PageRead> {
        let now = clock.now();
        let mut read = PageRead {
            page: Page::new(),
            met_expired: false,
            over: true,
        };
        let mut failure: Option<Error> = None;
        let mut bytes = 0;
        self.view.scan(
            Keyspace::Data,
            start,
            end,
            wanted.direction,
            &mut |key, record| {
                match item(key, record, now, wanted.keys_only) {
                    Ok(Some(item)) => {
                        bytes += if wanted.keys_only { key.len() } else { record.len() };
                        read.page.push(item);
                    }
                    Ok(None) => read.met_expired = true,
                    Err(error) => {
                        failure = Some(error);
                        return ControlFlow::Break(());
                    }
                }
                if read.page.len() < wanted.entries && bytes < PAGE_BYTES {
                    ControlFlow::Continue(())
                } else {
                    read.over = false;
                    ControlFlow::Break(())
                }
            },
        )?;
        match failure {
            Some(error) => Err(error),
            None => Ok(read),
        }
    }
}

/// What ends a page early: values are large here and there, and a page is held in memory.
const PAGE_BYTES: usize = 8 << 20;

/// A page and what was learned from reading it.
pub(crate) struct PageRead {
    pub(crate) page: Page,
    /// Entries past their deadline were met.
    pub(crate) met_expired: bool,
    /// Nothing comes after it.
    pub(crate) over: bool,
}

/// How a page is to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageWanted {
    pub(crate) direction: Direction,
    pub(crate) entries: usize,
    pub(crate) keys_only: bool,
}

fn item(key: &[u8], record: &[u8], now: stead_core::Timestamp, keys_only: bool) -> Result<Option<Item>> {
    let record = DataRecord::decode(key, record)?;
    if record.is_expired(now) && !planted("expired-shown") {
        return Ok(None);
    }
    Ok(Some(Item {
        key: Key::from_encoded(key)?,
        entry: (!keys_only).then(|| record.to_entry()),
    }))
}

/// Reads the header of the store that a view is of, or `None` where there is none yet.
///
/// # Errors
///
/// `Corrupt`, or a failure to read.
pub(crate) fn read_header<V: View>(view: &V) -> Result<Option<Header>> {
    let mut header = None;
    view.get(Keyspace::Meta, crate::format::HEADER_KEY, &mut |bytes| {
        header = Some(Header::decode(bytes));
    })?;
    header.transpose()
}
