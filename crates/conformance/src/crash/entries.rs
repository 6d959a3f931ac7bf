//! Comparing the entries that are there with those that must be.

use std::collections::{BTreeMap, BTreeSet};

use stead_core::{Backend, Entry, Key, KeyRange, ReadExt, Revision, Scan, Timestamp};

use super::failure::{Failure, FailureKind, unusable};
use super::model::{Held, Model};
use super::write::{number_in, partition, value};

/// Compares the entries with the model, and learns the revisions that were not known. Returns how many are visible.
pub(super) async fn compare(
    store: &dyn Backend,
    seed: u64,
    model: &mut Model,
    now: Timestamp,
) -> Result<u64, Failure> {
    let scan = Scan::new(KeyRange::partition(&partition()));
    let items = store.collect(&scan).await.map_err(unusable("scanning"))?;
    let mut found: BTreeMap<Key, Entry> = BTreeMap::new();
    for item in items {
        let entry = item.entry.ok_or_else(|| {
            Failure::new(FailureKind::Unusable, "a scan with values gave a key without one")
        })?;
        if found.insert(item.key.clone(), entry).is_some() {
            return Err(Failure::new(
                FailureKind::Invented,
                format!("a scan gave {} twice", item.key),
            ));
        }
    }
    let entries = found.len() as u64;
    let present: BTreeSet<u64> = found
        .values()
        .filter_map(|entry| number_in(entry.value()))
        .collect();
    // Another key that the same write wrote tells that it was not lost as a whole.
    let gone = |number: u64| match present.contains(&number) {
        true => FailureKind::Half,
        false => FailureKind::Lost,
    };
    let mut learned: BTreeMap<u64, Revision> = BTreeMap::new();
    for (key, held) in &mut model.entries {
        let scanned = found.remove(key);
        let read = store.get(key).await.map_err(unusable("reading"))?;
        if read != scanned {
            return Err(Failure::new(
                FailureKind::Lost,
                format!("a point read of {key} does not find what a scan finds"),
            ));
        }
        match scanned {
            Some(entry) if held.is_visible(now) => {
                let gone = gone(held.number);
                fits(seed, key, held, &entry, &mut learned, gone)?;
            }
            Some(entry) => {
                return Err(Failure::new(
                    FailureKind::Expiry,
                    format!(
                        "{key} of write {} is visible with deadline {:?}, but expired at {:?}",
                        held.number,
                        entry.deadline(),
                        held.deadline
                    ),
                ));
            }
            None if held.is_visible(now) => {
                return Err(Failure::new(
                    gone(held.number),
                    format!("{key} of write {} is missing", held.number),
                ));
            }
            None => {}
        }
    }
    match found.into_iter().next() {
        None => Ok(entries),
        Some((key, entry)) => Err(Failure::new(
            FailureKind::Invented,
            format!(
                "{key} is there, of write {:?}, though it was deleted, had expired or was never written",
                number_in(entry.value())
            ),
        )),
    }
}

fn fits(
    seed: u64,
    key: &Key,
    held: &mut Held,
    entry: &Entry,
    learned: &mut BTreeMap<u64, Revision>,
    gone: FailureKind,
) -> Result<(), Failure> {
    let number = held.number;
    if entry.value() != value(seed, number, key) {
        let kind = match number_in(entry.value()) {
            Some(other) if other > number => FailureKind::Invented,
            Some(_) => gone,
            None => FailureKind::Damaged,
        };
        let other = number_in(entry.value());
        return Err(Failure::new(
            kind,
            format!("{key} is of write {other:?}, but write {number} was the last"),
        ));
    }
    let revision = *held
        .revision
        .get_or_insert_with(|| *learned.entry(held.changed_by).or_insert_with(|| entry.revision()));
    if entry.revision() != revision {
        return Err(Failure::new(
            FailureKind::Reused,
            format!(
                "{key} of write {number} is at revision {}, but committed at {revision}",
                entry.revision()
            ),
        ));
    }
    if entry.deadline() != held.deadline {
        return Err(Failure::new(
            FailureKind::Expiry,
            format!(
                "{key} of write {number} expires at {:?}, but was to at {:?}",
                entry.deadline(),
                held.deadline
            ),
        ));
    }
    Ok(())
}
