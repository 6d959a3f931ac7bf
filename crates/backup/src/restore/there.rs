//! What the target of a restore holds.

use bytes::Bytes;
use stead_core::kit::Walk;
use stead_core::{Backend, Entry, Error, Expiry, Item, Key, KeyRange, Result};

use super::Selection;
use super::deadlines::deadline_of;
use crate::create::{HIDDEN, entry_of};
use crate::records::{Payload, Record};

/// What the target holds, one by one.
pub(super) struct There<'a> {
    walk: Walk<'a>,
    page: std::vec::IntoIter<Item>,
    selection: Selection,
}

impl<'a> There<'a> {
    pub(super) fn new(target: &'a dyn Backend, selection: &Selection) -> Self {
        There {
            walk: Walk::new(target, target.capabilities(), selection.range.clone()).without(HIDDEN),
            page: Vec::new().into_iter(),
            selection: selection.clone(),
        }
    }

    /// With what others than users keep there.
    pub(super) fn with_hidden(target: &'a dyn Backend, range: &KeyRange) -> Self {
        There {
            walk: Walk::new(target, target.capabilities(), range.clone()),
            page: Vec::new().into_iter(),
            selection: Selection::of(range.clone()),
        }
    }

    pub(super) async fn next(&mut self) -> Result<Option<(Key, Entry)>> {
        loop {
            if let Some(item) = self.page.find(|item| self.selection.picks(&item.key)) {
                return entry_of(item).map(Some);
            }
            let page = self.walk.page().await?;
            if page.is_empty() {
                return Ok(None);
            }
            self.page = page.into_iter();
        }
    }
}

/// Whether an entry is what a restore would write.
pub(super) fn same(entry: &Entry, value: &[u8], expiry: Expiry) -> bool {
    entry.value() == value && entry.deadline() == deadline_of(expiry)
}

pub(super) fn value_of(record: Record) -> Result<(Key, Bytes)> {
    match record.payload {
        Payload::Value(value) => Ok((record.key, value)),
        _ => Err(Error::internal("a backup gave a key without its value")),
    }
}
