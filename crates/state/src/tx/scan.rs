//! Listing inside a transaction: what the store holds, with the transaction's own writes laid over it.

use std::cmp::Ordering;
use std::collections::VecDeque;

use stead_core::{Cursor, Direction, Error, Item, Key, KeyRange, Result, Scan};

use super::Tx;
use crate::list::scan_of;
use crate::options::ListOptions;
use crate::place::Place;

/// What a listing looks at: the keys alone may stay true while values change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Keys,
    Entries,
}

impl Tx {
    pub(super) async fn items(
        &self,
        place: &Place,
        options: &ListOptions,
        reading: Reading,
    ) -> Result<Vec<Item>> {
        let capabilities = self.0.inner.store.capabilities();
        if !capabilities.range_preconditions {
            return Err(Error::unsupported(
                "this backend cannot check that a range is unchanged, so its transactions cannot list keys; read them one by one",
            )
            .with("backend", capabilities.name));
        }
        let wanted = scan_of(place, options)?;
        let (range, direction) = (wanted.range().clone(), wanted.wanted_direction());
        let limit = wanted.wanted_limit().unwrap_or(usize::MAX);

        let mut own = self.0.state.lock().open()?.wishes_in(&range);
        if direction == Direction::Reverse {
            own.reverse();
        }
        let mut scan = Scan::new(range.clone())
            .direction(direction)
            .page_size(limit.min(Scan::DEFAULT_PAGE_SIZE));
        if reading == Reading::Keys {
            scan = scan.keys_only();
        }
        let view = self.view().await?.read();
        let mut stored = Pages::new(view.scan(&scan)?);
        let merged = merge(&mut stored, own.into(), direction, limit).await?;

        let mut state = self.0.state.lock();
        let state = state.open()?;
        match merged.last {
            None if limit == 0 => {}
            None => state.saw_range(range, &merged.stored),
            Some(last) => {
                let (at_last, before): (Vec<_>, Vec<_>) =
                    merged.stored.into_iter().partition(|item| item.key == last);
                state.saw_range(up_to(&range, &last, direction), &before);
                // The last one lies just outside of that range. Where it is an own write, what it hides is not looked at.
                state.saw_items(&at_last);
            }
        }
        Ok(merged.items)
    }
}

/// The part of `range` in front of `last`, seen in the direction of the scan.
fn up_to(range: &KeyRange, last: &Key, direction: Direction) -> KeyRange {
    match direction {
        Direction::Forward => range.before(last),
        Direction::Reverse => range.after(last),
    }
}

/// What a listing gives, and what of the store it looked at.
struct Merged {
    items: Vec<Item>,
    stored: Vec<Item>,
    /// Where the limit ended it.
    last: Option<Key>,
}

async fn merge(
    stored: &mut Pages<'_>,
    mut own: VecDeque<(Key, Option<stead_core::Entry>)>,
    direction: Direction,
    limit: usize,
) -> Result<Merged> {
    let mut merged = Merged {
        items: Vec::new(),
        stored: Vec::new(),
        last: None,
    };
    while merged.items.len() < limit {
        stored.fill().await?;
        let order = match (stored.head(), own.front()) {
            (None, None) => return Ok(merged),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(item), Some((key, _))) => match direction {
                Direction::Forward => item.key.cmp(key),
                Direction::Reverse => key.cmp(&item.key),
            },
        };
        // An own write hides what is stored under the same key.
        let from_store = if order.is_le() { stored.next() } else { None };
        let from_own = if order.is_ge() { own.pop_front() } else { None };
        if let Some(item) = &from_store {
            merged.stored.push(item.clone());
        }
        let item = match from_own {
            None => from_store,
            Some((key, entry)) => entry.map(|entry| Item {
                key,
                entry: Some(entry),
            }),
        };
        merged.items.extend(item);
    }
    merged.last = merged.items.last().map(|item| item.key.clone());
    Ok(merged)
}

/// A scan, item by item.
struct Pages<'a> {
    cursor: Box<dyn Cursor + 'a>,
    page: VecDeque<Item>,
    over: bool,
}

impl<'a> Pages<'a> {
    fn new(cursor: Box<dyn Cursor + 'a>) -> Self {
        Pages {
            cursor,
            page: VecDeque::new(),
            over: false,
        }
    }

    /// Makes sure that there is a head, unless the scan is over.
    async fn fill(&mut self) -> Result<()> {
        if self.page.is_empty() && !self.over {
            self.page = self.cursor.next_page().await?.into();
            self.over = self.page.is_empty();
        }
        Ok(())
    }

    fn head(&self) -> Option<&Item> {
        self.page.front()
    }

    fn next(&mut self) -> Option<Item> {
        self.page.pop_front()
    }
}
