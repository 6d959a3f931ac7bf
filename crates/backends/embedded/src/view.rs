//! Read views and how entries are read from them.

use std::sync::Arc;

use stead_core::{Clock, Entry, Key, Result};

use crate::format::{DataRecord, Header};
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
