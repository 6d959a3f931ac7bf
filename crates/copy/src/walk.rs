//! All entries of a store in the order of their keys, also where a scan may not go over partitions.

use std::collections::VecDeque;

use stead_core::{Capabilities, Cursor, Extent, Item, Key, KeyRange, Partition, Read, Result, Scan};

use crate::record::PARTITION;

/// Entries that are read at a time; backends that read from a disk or a server give fewer where they are large.
const PAGE_ENTRIES: usize = 1024;
/// Partitions that are listed at a time.
const LISTED: usize = 256;

/// Pages of a range, without the partition that copies keep for themselves.
pub(crate) struct Walk<'a> {
    view: &'a dyn Read,
    after: Option<Key>,
    /// What has not been begun; `None` when all is.
    rest: Option<KeyRange>,
    by_partition: bool,
    listed: VecDeque<Partition>,
    cursor: Option<Box<dyn Cursor + 'a>>,
}

impl<'a> Walk<'a> {
    /// A walk over what `view` of a store with these capabilities holds in `range`, behind the key `after`.
    pub(crate) fn new(
        view: &'a dyn Read,
        capabilities: &Capabilities,
        range: KeyRange,
        after: Option<Key>,
    ) -> Self {
        let whole = capabilities.revision_order == Extent::Store || range.single_partition().is_some();
        let rest = match &after {
            Some(key) => range.after(key),
            None => range,
        };
        Walk {
            view,
            after,
            rest: Some(rest),
            by_partition: !whole,
            listed: VecDeque::new(),
            cursor: None,
        }
    }

    /// The next page; an empty one ends the walk.
    pub(crate) async fn page(&mut self) -> Result<Vec<Item>> {
        loop {
            let Some(cursor) = &mut self.cursor else {
                let Some(range) = self.next_range().await? else {
                    return Ok(Vec::new());
                };
                self.cursor = Some(self.view.scan(&Scan::new(range).page_size(PAGE_ENTRIES))?);
                continue;
            };
            let mut page = cursor.next_page().await?;
            if page.is_empty() {
                self.cursor = None;
                continue;
            }
            page.retain(|item| item.key.partition_bytes() != PARTITION);
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
