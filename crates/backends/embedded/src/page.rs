//! Reading the entries of a page.

use std::ops::ControlFlow;

use stead_core::{Clock, Direction, Error, Item, Key, Page, Result, Timestamp};

use crate::format::{Checksums, DataRecord};
use crate::planted::planted;
use crate::view::Held;
use crate::{Keyspace, View};

/// The entries that a page makes room for at once: growing by doubling would move each of them about twice, and an
/// empty page that was meant to be a large one shall not cost more than this.
const PAGE_ROOM: usize = 128;

/// What ends a page early: values are large here and there, and a page is held in memory.
const PAGE_BYTES: usize = 8 << 20;

/// How a page is to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageWanted {
    pub(crate) direction: Direction,
    pub(crate) entries: usize,
    pub(crate) keys_only: bool,
}

/// A page and what was learned from reading it.
pub(crate) struct PageRead {
    pub(crate) page: Page,
    /// Entries past their deadline were met.
    pub(crate) met_expired: bool,
    /// Nothing comes after it.
    pub(crate) over: bool,
}

impl<V: View> Held<V> {
    /// The next page from `start` to `end`.
    pub(crate) fn page(
        &self,
        start: &[u8],
        end: Option<&[u8]>,
        wanted: &PageWanted,
        clock: &dyn Clock,
    ) -> Result<PageRead> {
        let mut reader = PageReader::new(wanted, clock);
        let mut visit = |key: &[u8], record: &[u8]| reader.visit(key, record);
        let (direction, about) = (wanted.direction, wanted.entries);
        self.view
            .scan_about(Keyspace::Data, start, end, direction, about, &mut visit)?;
        reader.finish()
    }
}

/// A page that is being read.
struct PageReader<'a> {
    wanted: &'a PageWanted,
    clock: &'a dyn Clock,
    /// When the page is of, once an entry with a deadline was met: most have none, and a clock is not for nothing.
    now: Option<Timestamp>,
    read: PageRead,
    /// Nothing of the page is handed out before these were compared.
    checksums: Checksums,
    bytes: usize,
    failure: Option<Error>,
}

impl<'a> PageReader<'a> {
    fn new(wanted: &'a PageWanted, clock: &'a dyn Clock) -> Self {
        let room = wanted.entries.min(PAGE_ROOM);
        PageReader {
            wanted,
            clock,
            now: None,
            read: PageRead {
                page: Page::with_capacity(room),
                met_expired: false,
                over: true,
            },
            checksums: Checksums::for_about(room),
            bytes: 0,
            failure: None,
        }
    }

    fn visit(&mut self, key: &[u8], record: &[u8]) -> ControlFlow<()> {
        if let Err(error) = self.take(key, record) {
            self.failure = Some(error);
            return ControlFlow::Break(());
        }
        if self.read.page.len() < self.wanted.entries && self.bytes < PAGE_BYTES {
            return ControlFlow::Continue(());
        }
        self.read.over = false;
        ControlFlow::Break(())
    }

    #[inline]
    fn take(&mut self, key: &[u8], bytes: &[u8]) -> Result<()> {
        // A damaged page of the engine can lead back to where the scan has been, and each record there is sound.
        if let Some(last) = self.read.page.last()
            && !follows(key, last, self.wanted.direction)
        {
            return Err(Error::corrupt(
                "the engine gives keys out of order; restore the store from a backup",
            ));
        }
        let record = DataRecord::decode_for(&mut self.checksums, key, bytes)?;
        if record.deadline.is_some() && record.is_expired(self.now()) && !planted("expired-shown") {
            self.read.met_expired = true;
            return Ok(());
        }
        self.bytes += if self.wanted.keys_only {
            key.len()
        } else {
            bytes.len()
        };
        self.read.page.push(Item {
            key: Key::from_encoded(key)?,
            entry: (!self.wanted.keys_only).then(|| record.to_entry()),
        });
        Ok(())
    }

    fn now(&mut self) -> Timestamp {
        *self.now.get_or_insert_with(|| self.clock.now())
    }

    fn finish(mut self) -> Result<PageRead> {
        if let Some(error) = self.failure {
            return Err(error);
        }
        self.checksums.compare()?;
        Ok(self.read)
    }
}

/// Whether `key` comes after the last item of a page.
#[inline]
fn follows(key: &[u8], last: &Item, direction: Direction) -> bool {
    match direction {
        Direction::Forward => last.key.as_bytes() < key,
        Direction::Reverse => key < last.key.as_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use stead_core::{ErrorKind, ManualClock, Revision};

    use super::*;
    use crate::Visit;
    use crate::format::{Header, encode_data};

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
