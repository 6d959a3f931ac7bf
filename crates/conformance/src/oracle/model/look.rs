//! Reading a store or a snapshot and comparing with the model.

use stead_core::{Cursor, Direction, Entry, Item, Key, Read, ReadExt, Scan, Timestamp};

use super::ops::{Listing, Look};
use super::state::{Entries, list, visible};

/// Makes a failure to read a difference: the model always can.
pub(super) fn told<T>(what: &str, result: stead_core::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{what} failed with {}: {error}", error.kind()))
}

/// A difference unless both are equal. Entries show their lengths, so values are compared by [`Entry`]'s equality.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(what: &str, store: &T, model: &T) -> Result<(), String> {
    if store == model {
        return Ok(());
    }
    Err(format!("{what}\n    store: {store:?}\n    model: {model:?}"))
}

/// Reads `store`, which should hold `entries`.
pub(super) async fn look(
    store: &(impl Read + ?Sized),
    entries: &Entries,
    now: Timestamp,
    look: &Look,
) -> Result<(), String> {
    match look {
        Look::Get(slot) => {
            let key = slot.key();
            let got = told("get", store.get(&key).await)?;
            same(
                &format!("get of {key}"),
                &got.as_ref(),
                &visible(entries, &key, now),
            )
        }
        Look::GetMany(slots) => {
            let keys: Vec<Key> = slots.iter().map(|slot| slot.key()).collect();
            let got = told("get_many", store.get_many(&keys).await)?;
            let want: Vec<Option<Entry>> = keys
                .iter()
                .map(|key| visible(entries, key, now).cloned())
                .collect();
            same(&format!("get_many of {keys:?}"), &got, &want)
        }
        Look::List(listing) => {
            let scan = scan_of(listing);
            let mut cursor = told("scan", store.scan(&scan))?;
            let mut got = Vec::new();
            loop {
                let page = next_page(&mut *cursor, &scan).await?;
                if page.is_empty() {
                    break;
                }
                got.extend(page);
            }
            same(&format!("{scan:?}"), &got, &items(entries, &scan, now))
        }
        Look::Count(span) => {
            let range = span.range();
            let got = told("count", store.count(&range).await)?;
            let want = list(entries, &range, Direction::Forward, now).len() as u64;
            same(&format!("count of {range:?}"), &got, &want)
        }
    }
}

/// A page; an empty one must stay empty.
pub(super) async fn next_page(cursor: &mut dyn Cursor, scan: &Scan) -> Result<Vec<Item>, String> {
    let page = told("a page of a scan", cursor.next_page().await)?;
    if page.len() > scan.wanted_page_size() {
        return Err(format!(
            "a page of {} entries where {} were asked for",
            page.len(),
            scan.wanted_page_size()
        ));
    }
    if page.is_empty() && !told("a page behind the last", cursor.next_page().await)?.is_empty() {
        return Err("a scan went on after it was over".to_owned());
    }
    Ok(page)
}

pub(super) fn scan_of(listing: &Listing) -> Scan {
    let mut scan = Scan::new(listing.span.range()).page_size(listing.page.into());
    if listing.is_reverse {
        scan = scan.direction(Direction::Reverse);
    }
    if let Some(limit) = listing.limit {
        scan = scan.limit(limit.into());
    }
    if listing.is_keys_only {
        scan = scan.keys_only();
    }
    scan
}

/// What `scan` should give.
pub(super) fn items(entries: &Entries, scan: &Scan, now: Timestamp) -> Vec<Item> {
    let listed = list(entries, scan.range(), scan.wanted_direction(), now).into_iter();
    listed
        .take(scan.wanted_limit().unwrap_or(usize::MAX))
        .map(|(key, entry)| Item {
            key,
            entry: (!scan.is_keys_only()).then_some(entry),
        })
        .collect()
}
