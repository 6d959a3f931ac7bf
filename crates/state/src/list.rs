//! Reading many keys of a scope.

use std::collections::BTreeMap;

use stead_core::{BackendExt, Direction, Entry, Item, Key, KeyRange, ReadExt, Reply, Result, Scan};

use crate::entry::StateEntry;
use crate::inner::Inner;
use crate::options::ListOptions;
use crate::place::Place;

/// The scan that `options` ask for in `place`.
pub(crate) fn scan_of(place: &Place, options: &ListOptions) -> Result<Scan> {
    let mut range = place.range(&options.prefix)?;
    if let Some(after) = &options.after {
        let after = place.key(after)?;
        range = match options.direction {
            Direction::Forward => range.after(&after),
            Direction::Reverse => range.before(&after),
        };
    }
    let mut scan = Scan::new(range).direction(options.direction);
    if let Some(limit) = options.limit {
        scan = scan.limit(limit).page_size(limit);
    }
    Ok(scan)
}

impl Inner {
    /// The items of `scan`, of both homes.
    pub(crate) fn items(&self, scan: Scan) -> Reply<'_, Vec<Item>> {
        let Some(ephemeral) = &self.ephemeral else {
            return self.store.collect(&scan);
        };
        Reply::pending(async move {
            loop {
                let moves = ephemeral.moves();
                let passing = ephemeral.store.collect(&scan).await?;
                let kept = self.store.collect(&scan).await?;
                if ephemeral.moves() == moves {
                    return Ok(merged(passing, kept, &scan));
                }
            }
        })
    }

    pub(crate) fn keys(&self, place: &Place, options: &ListOptions) -> Reply<'_, Vec<String>> {
        let scan = match scan_of(place, options) {
            Ok(scan) => scan.keys_only(),
            Err(error) => return Reply::fail(error.during("list_keys")),
        };
        let place = place.clone();
        self.items(scan).map_result(move |items| {
            items
                .and_then(|items| {
                    items
                        .iter()
                        .map(|item| place.text(&item.key).map(str::to_owned))
                        .collect()
                })
                .map_err(|error| error.during("list_keys"))
        })
    }

    pub(crate) fn list(&self, place: &Place, options: &ListOptions) -> Reply<'_, Vec<StateEntry>> {
        let scan = match scan_of(place, options) {
            Ok(scan) => scan,
            Err(error) => return Reply::fail(error.during("list")),
        };
        let place = place.clone();
        let limits = self.rules.limits;
        self.items(scan).map_result(move |items| {
            items
                .and_then(|items| {
                    items
                        .into_iter()
                        .filter_map(|item| item.entry.map(|entry| (item.key, entry)))
                        .map(|(key, entry)| StateEntry::new(place.text(&key)?, entry, limits))
                        .collect()
                })
                .map_err(|error| error.during("list"))
        })
    }

    pub(crate) async fn count(&self, range: KeyRange) -> Result<u64> {
        let Some(ephemeral) = &self.ephemeral else {
            return self.store.count(&range).await;
        };
        let scan = Scan::new(range.clone()).keys_only();
        let moves = ephemeral.moves();
        if ephemeral.store.collect(&scan.clone().limit(1)).await?.is_empty() {
            let kept = self.store.count(&range).await?;
            if ephemeral.moves() == moves {
                return Ok(kept);
            }
        }
        Ok(self.items(scan).await?.len() as u64)
    }

    pub(crate) async fn many(&self, keys: Vec<Key>) -> Result<Vec<Option<Entry>>> {
        let Some(ephemeral) = &self.ephemeral else {
            return self.store.get_many(&keys).await;
        };
        loop {
            let moves = ephemeral.moves();
            let passing = ephemeral.store.get_many(&keys).await?;
            let kept = self.store.get_many(&keys).await?;
            if ephemeral.moves() == moves {
                let both = passing.into_iter().zip(kept);
                return Ok(both.map(|(passing, kept)| passing.or(kept)).collect());
            }
        }
    }

    /// Removes every key in `range`, in both homes, in batches. Returns how many keys went.
    pub(crate) async fn clear(&self, range: KeyRange) -> Result<u64> {
        let mut removed = 0;
        if let Some(ephemeral) = &self.ephemeral {
            removed += ephemeral.store.clear(&range).await?;
        }
        removed += self.store.clear_with(&range, self.durability).await?;
        Ok(removed)
    }
}

/// Two scans as one. A key that was found in both is on its way; the ephemeral one is what a read sees.
fn merged(passing: Vec<Item>, kept: Vec<Item>, scan: &Scan) -> Vec<Item> {
    if passing.is_empty() {
        return kept;
    }
    let mut items: BTreeMap<Key, Option<Entry>> =
        kept.into_iter().map(|item| (item.key, item.entry)).collect();
    items.extend(passing.into_iter().map(|item| (item.key, item.entry)));
    let items = items.into_iter().map(|(key, entry)| Item { key, entry });
    let limit = scan.wanted_limit().unwrap_or(usize::MAX);
    match scan.wanted_direction() {
        Direction::Forward => items.take(limit).collect(),
        Direction::Reverse => items.rev().take(limit).collect(),
    }
}
