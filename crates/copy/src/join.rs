//! Two stores read side by side.

use std::cmp::Ordering;

use stead_core::kit::Walk;
use stead_core::{Backend, Entry, Error, Item, Key, KeyRange, Read, Result};

use crate::record::PARTITION;

/// What the two stores have under a key.
pub(crate) enum Pair {
    Both(Key, Entry, Entry),
    Source(Key, Entry),
    Target(Key, Entry),
}

/// Merges two walks.
pub(crate) struct Join<'a> {
    source: Side<'a>,
    target: Side<'a>,
}

struct Side<'a> {
    walk: Walk<'a>,
    page: std::iter::Peekable<std::vec::IntoIter<Item>>,
    ended: bool,
}

impl<'a> Side<'a> {
    fn new(walk: Walk<'a>) -> Self {
        Side {
            walk,
            page: Vec::new().into_iter().peekable(),
            ended: false,
        }
    }

    /// Has the next item ready, if there is one.
    async fn fill(&mut self) -> Result<()> {
        if self.page.peek().is_none() && !self.ended {
            let page = self.walk.page().await?;
            self.ended = page.is_empty();
            self.page = page.into_iter().peekable();
        }
        Ok(())
    }

    fn take(&mut self) -> Result<(Key, Entry)> {
        let item = self.page.next();
        item.and_then(|item| Some((item.key, item.entry?)))
            .ok_or_else(|| Error::internal("a scan gave a key without its entry"))
    }
}

impl<'a> Join<'a> {
    pub(crate) fn new(source: Walk<'a>, target: Walk<'a>) -> Self {
        Join {
            source: Side::new(source),
            target: Side::new(target),
        }
    }

    /// The next key that one of them has, in order.
    pub(crate) async fn next(&mut self) -> Result<Option<Pair>> {
        self.source.fill().await?;
        self.target.fill().await?;
        let order = match (self.source.page.peek(), self.target.page.peek()) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(source), Some(target)) => source.key.cmp(&target.key),
        };
        Ok(Some(match order {
            Ordering::Less => {
                let (key, entry) = self.source.take()?;
                Pair::Source(key, entry)
            }
            Ordering::Greater => {
                let (key, entry) = self.target.take()?;
                Pair::Target(key, entry)
            }
            Ordering::Equal => {
                let (key, entry) = self.source.take()?;
                let (_, other) = self.target.take()?;
                Pair::Both(key, entry, other)
            }
        }))
    }
}

/// Whether two entries hold the same, whatever their revisions.
pub(crate) fn same(one: &Entry, other: &Entry) -> bool {
    one.deadline() == other.deadline() && one.value() == other.value()
}

/// A walk over what `view` of `store` holds, without what copies keep for themselves.
pub(crate) fn walk<'a>(view: &'a dyn Read, store: &dyn Backend, range: KeyRange) -> Walk<'a> {
    Walk::new(view, store.capabilities(), range).without(PARTITION)
}

/// As [`walk`], over what `store` holds now.
pub(crate) fn live<'a>(store: &'a dyn Backend, range: KeyRange) -> Walk<'a> {
    walk(store, store, range)
}
