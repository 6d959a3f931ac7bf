//! Scans, page by page.

use stead_core::{Cursor, Direction, Item, Key, KeyRange, Page, Reply, Result, Scan};
use stead_network::Repeat;

use crate::batch::Argument;
use crate::inner::{Inner, Parts};
use crate::record::{self, bounds, halves, history_bounds};
use crate::scripts::{SCAN, VIEW};
use crate::snapshot::View;

/// How many bytes a page holds before it ends early.
const PAGE_BYTES: usize = 8 << 20;

/// A scan of the live store, or of a snapshot.
pub(crate) struct RedisCursor<'a> {
    inner: &'a Inner,
    view: Option<&'a View>,
    shard: usize,
    /// What has not been read.
    rest: KeyRange,
    reverse: bool,
    left: Option<usize>,
    page_size: usize,
    keys_only: bool,
    done: bool,
}

/// A page as it was read, and whether nothing comes behind it.
struct Read {
    items: Page,
    /// The last key that was looked at.
    seen: Option<Key>,
    done: bool,
}

impl<'a> RedisCursor<'a> {
    pub(crate) fn new(inner: &'a Inner, scan: &Scan, view: Option<&'a View>) -> Self {
        Self::of_shard(inner, inner.shard_of_range(scan.range()), scan, view)
    }

    /// What of a scan's range lies in one shard.
    pub(crate) fn of_shard(inner: &'a Inner, shard: usize, scan: &Scan, view: Option<&'a View>) -> Self {
        RedisCursor {
            inner,
            view,
            shard,
            rest: scan.range().clone(),
            reverse: scan.wanted_direction() == Direction::Reverse,
            left: scan.wanted_limit(),
            page_size: scan.wanted_page_size(),
            keys_only: scan.is_keys_only(),
            done: scan.range().is_empty(),
        }
    }

    pub(crate) async fn page(&mut self) -> Result<Page> {
        self.inner.open_for("scan")?;
        loop {
            let wanted = self.left.unwrap_or(usize::MAX).min(self.page_size);
            if self.done || wanted == 0 {
                return Ok(Page::new());
            }
            let mut read = match self.view {
                None => self.read_live(wanted).await?,
                Some(view) => self.read_view(view, wanted).await?,
            };
            read.items.truncate(wanted);
            let last = match read.items.last() {
                Some(item) if read.items.len() == wanted => Some(item.key.clone()),
                _ => read.seen,
            };
            // Only now: a page whose reply is dropped is read again.
            match last {
                Some(last) if self.reverse => self.rest = self.rest.before(&last),
                Some(last) => self.rest = self.rest.after(&last),
                None => {}
            }
            self.done = read.done || self.rest.is_empty();
            if !read.items.is_empty() {
                self.left = self.left.map(|left| left - read.items.len());
                return Ok(read.items);
            }
        }
    }

    fn direction(&self) -> Argument {
        Argument::Fixed(if self.reverse { b"r" } else { b"f" })
    }

    /// The bounds in the order in which the server wants them: a reverse read begins with the higher one.
    fn ordered(&self, (from, to): (Vec<u8>, Vec<u8>)) -> [Argument; 2] {
        match self.reverse {
            true => [Argument::Bytes(to), Argument::Bytes(from)],
            false => [Argument::Bytes(from), Argument::Bytes(to)],
        }
    }

    async fn read_live(&self, wanted: usize) -> Result<Read> {
        let [now_high, now_low] = halves(self.inner.clock().now());
        let [from, to] = self.ordered(bounds(&self.rest));
        let arguments = [
            self.inner.lineage.clone().into(),
            Argument::Fixed(b""),
            now_high.into(),
            now_low.into(),
            from,
            to,
            self.direction(),
            wanted.to_string().into(),
            Argument::Fixed(if self.keys_only { b"k" } else { b"e" }),
            PAGE_BYTES.to_string().into(),
        ];
        let mut parts = self
            .inner
            .ask(self.shard, &SCAN, Repeat::Read, &arguments)
            .await?;
        let done = record::number(&record::next(&mut parts)?)? == 1;
        let seen = last_key(&mut parts)?;
        let items = items(&mut parts, self.keys_only)?;
        Ok(Read { items, seen, done })
    }

    /// Present keys and replaced records come in two lists, each cut off somewhere; they are merged up to the nearer end.
    async fn read_view(&self, view: &View, wanted: usize) -> Result<Read> {
        let [now_high, now_low] = halves(self.inner.clock().now());
        let [from, to] = self.ordered(bounds(&self.rest));
        let [history_from, history_to] = self.ordered(history_bounds(&self.rest));
        let arguments = [
            self.inner.lineage.clone().into(),
            view.id.clone().into(),
            now_high.into(),
            now_low.into(),
            Argument::Fixed(b"s"),
            from,
            to,
            history_from,
            history_to,
            self.direction(),
            wanted.to_string().into(),
            PAGE_BYTES.to_string().into(),
        ];
        let mut parts = view.ask(self.inner, self.shard, &VIEW, &arguments).await?;
        let mut ends = Vec::new();
        for _ in 0..2 {
            let exhausted = record::number(&record::next(&mut parts)?)? == 1;
            let last = last_key(&mut parts)?;
            if !exhausted {
                ends.extend(last);
            }
        }
        let end = match self.reverse {
            true => ends.into_iter().max(),
            false => ends.into_iter().min(),
        };
        let mut items = items(&mut parts, false)?;
        items.retain(|item| item.entry.is_some());
        items.sort_by(|a, b| a.key.cmp(&b.key));
        items.dedup_by(|a, b| a.key == b.key);
        if self.reverse {
            items.reverse();
        }
        if let Some(end) = &end {
            items.retain(|item| {
                if self.reverse {
                    item.key >= *end
                } else {
                    item.key <= *end
                }
            });
        }
        if self.keys_only {
            items.iter_mut().for_each(|item| item.entry = None);
        }
        let done = end.is_none() && items.len() <= wanted;
        Ok(Read {
            items,
            seen: end,
            done,
        })
    }
}

fn last_key(parts: &mut Parts) -> Result<Option<Key>> {
    let last = record::next(parts)?;
    match record::bytes(&last)? {
        [] => Ok(None),
        key => Key::from_encoded(key).map(Some),
    }
}

fn items(parts: &mut Parts, keys_only: bool) -> Result<Page> {
    let mut page = Page::new();
    while let Some(key) = parts.next() {
        let value = record::next(parts)?;
        page.push(Item {
            key: Key::from_encoded(record::bytes(&key)?)?,
            entry: if keys_only { None } else { record::entry(&value)? },
        });
    }
    Ok(page)
}

impl Cursor for RedisCursor<'_> {
    fn next_page(&mut self) -> Reply<'_, Page> {
        Reply::pending(async move { self.page().await.map_err(|error| error.during("scan")) })
    }
}
