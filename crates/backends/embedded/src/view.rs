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
            page: Page::with_capacity(wanted.entries.min(PAGE_ROOM)),
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
                // A damaged page of the engine can lead back to where the scan has been, and each record there is sound.
                if read
                    .page
                    .last()
                    .is_some_and(|last| !follows(key, last, wanted.direction))
                {
                    failure = Some(Error::corrupt(
                        "the engine gives keys out of order; restore the store from a backup",
                    ));
                    return ControlFlow::Break(());
                }
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

/// The entries that a page makes room for at once: growing by doubling would move each of them about twice, and an
/// empty page that was meant to be a large one shall not cost more than this.
const PAGE_ROOM: usize = 128;

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

/// Whether `key` comes after the last item of a page.
#[inline]
fn follows(key: &[u8], last: &Item, direction: Direction) -> bool {
    match direction {
        Direction::Forward => last.key.as_bytes() < key,
        Direction::Reverse => key < last.key.as_bytes(),
    }
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

#[cfg(test)]
mod tests {
    use stead_core::{ErrorKind, ManualClock, Revision};

    use super::*;
    use crate::Visit;
    use crate::format::encode_data;

    /// A view whose scans give these keys, whatever was asked for.
    struct Keys(Vec<&'static [u8]>);

    impl View for Keys {
        fn get(&self, _: Keyspace, _: &[u8], _: &mut dyn FnMut(&[u8])) -> Result<bool> {
            Ok(false)
        }

        fn scan(
            &self,
            _: Keyspace,
            _: &[u8],
            _: Option<&[u8]>,
            _: Direction,
            visit: &mut Visit<'_>,
        ) -> Result<()> {
            for key in &self.0 {
                let record = DataRecord {
                    revision: Revision::new(1),
                    deadline: None,
                    value: b"v",
                };
                if visit(key, &encode_data(key, &record)).is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    fn scan(keys: &[&'static [u8]], direction: Direction) -> Result<usize> {
        let held = Held {
            view: Keys(keys.to_vec()),
            header: Header::new(1),
            _alive: Arc::new(()),
        };
        let wanted = PageWanted {
            direction,
            entries: 10,
            keys_only: true,
        };
        let clock = ManualClock::default();
        held.page(b"", None, &wanted, &clock).map(|read| read.page.len())
    }

    #[test]
    fn scan_that_is_led_back_finds_damage_and_gives_no_entry_twice() {
        let (a, b, c) = (&b"p\0a"[..], &b"p\0b"[..], &b"p\0c"[..]);
        assert_eq!(scan(&[a, b, c], Direction::Forward).unwrap(), 3);
        assert_eq!(scan(&[c, b, a], Direction::Reverse).unwrap(), 3);
        for (keys, direction) in [
            ([a, b, a], Direction::Forward),
            ([a, a, b], Direction::Forward),
            ([c, a, b], Direction::Reverse),
        ] {
            let error = scan(&keys, direction).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
        }
    }
}
