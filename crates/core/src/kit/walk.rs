//! All entries of a store in the order of their keys, also where a scan may not go over partitions.

use std::collections::VecDeque;

use crate::{Capabilities, Cursor, Extent, Key, KeyRange, Page, Partition, Read, Result, Scan};

/// Entries that are read at a time unless asked otherwise; backends that read from a disk or a server give fewer where they
/// are large.
const PAGE_ENTRIES: usize = 1024;
/// Partitions that are listed at a time.
const LISTED: usize = 256;

/// Pages of a range that may go over partitions, on every backend.
///
/// ```
/// # futures_executor::block_on(async {
/// use stead_core::{KeyRange, Read, kit::Walk};
/// # use stead_core::{Backend, Result};
///
/// async fn count(store: &dyn Backend) -> Result<usize> {
///     let view = store.snapshot().await?;
///     let mut walk = Walk::new(&*view, store.capabilities(), KeyRange::all());
///     let mut entries = 0;
///     loop {
///         match walk.page().await?.len() {
///             0 => return Ok(entries),
///             more => entries += more,
///         }
///     }
/// }
/// # });
/// ```
pub struct Walk<'a> {
    view: &'a dyn Read,
    after: Option<Key>,
    /// What has not been begun; `None` when all is.
    rest: Option<KeyRange>,
    by_partition: bool,
    hidden: &'static [u8],
    page_entries: usize,
    listed: VecDeque<Partition>,
    cursor: Option<Box<dyn Cursor + 'a>>,
}

impl<'a> Walk<'a> {
    /// A walk over what `view` of a store with these capabilities holds in `range`.
    pub fn new(view: &'a dyn Read, capabilities: &Capabilities, range: KeyRange) -> Self {
        let whole = capabilities.revision_order == Extent::Store || range.single_partition().is_some();
        Walk {
            view,
            after: None,
            rest: Some(range),
            by_partition: !whole,
            hidden: &[],
            page_entries: PAGE_ENTRIES,
            listed: VecDeque::new(),
            cursor: None,
        }
    }

    /// Begins behind `key`.
    #[must_use]
    pub fn after(mut self, key: &Key) -> Self {
        self.rest = self.rest.map(|range| range.after(key));
        self.after = Some(key.clone());
        self
    }

    /// Leaves out the partitions that begin with `hidden`.
    #[must_use]
    pub fn without(mut self, hidden: &'static [u8]) -> Self {
        self.hidden = hidden;
        self
    }

    /// Reads at most this many entries at a time.
    #[must_use]
    pub fn page_size(mut self, entries: usize) -> Self {
        self.page_entries = entries;
        self
    }

    /// The next page; an empty one ends the walk.
    ///
    /// # Errors
    ///
    /// As [`Cursor::next_page`].
    ///
    /// # Cancellation
    ///
    /// As [`Cursor::next_page`]: a page that was not taken is read again.
    pub async fn page(&mut self) -> Result<Page> {
        loop {
            let Some(cursor) = &mut self.cursor else {
                let Some(range) = self.next_range().await? else {
                    return Ok(Vec::new());
                };
                self.cursor = Some(self.view.scan(&Scan::new(range).page_size(self.page_entries))?);
                continue;
            };
            let mut page = cursor.next_page().await?;
            if page.is_empty() {
                self.cursor = None;
                continue;
            }
            if !self.hidden.is_empty() {
                page.retain(|item| !item.key.partition_bytes().starts_with(self.hidden));
            }
            if !page.is_empty() {
                return Ok(page);
            }
        }
    }

    /// What to scan next.
    async fn next_range(&mut self) -> Result<Option<KeyRange>> {
        if !self.by_partition {
            return Ok(self.rest.take());
        }
        let Some(rest) = &mut self.rest else {
            return Ok(None);
        };
        if self.listed.is_empty() {
            self.listed = self.view.partitions(rest, LISTED).await?.into();
        }
        let Some(partition) = self.listed.pop_front() else {
            self.rest = None;
            return Ok(None);
        };
        *rest = rest.after_partition(&partition);
        let whole = KeyRange::partition(&partition);
        Ok(Some(match &self.after {
            Some(key) => whole.after(key),
            None => whole,
        }))
    }
}
