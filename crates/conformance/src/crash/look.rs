//! A look at a store that is still open.

use std::collections::BTreeSet;

use stead_core::{Backend, Clock, Entry, Key, ManualClock, Timestamp};

use super::Journal;
use super::failure::{Failure, FailureKind};
use super::model::Held;
use super::write::{Op, number_in, value};

/// Reads every key whose state the journal knows, from a store that is still open and that may have failed. A journal
/// that began with a store that was there already knows the keys that were written since.
/// A read that fails is no failure; one that answers must give the last acknowledged state of the key, or that of
/// a write behind it that nobody knows the outcome of.
///
/// # Errors
///
/// The first read that gave something else.
pub async fn look(store: &dyn Backend, clock: &ManualClock, journal: &Journal) -> Result<(), Failure> {
    let mut model = journal.settled.model.clone();
    let mut open = Vec::new();
    let mut keys: BTreeSet<Key> = model.entries.keys().cloned().collect();
    for (write, ack) in journal.writes() {
        match ack {
            Some(ack) if ack.revision.is_some() => {
                let replaces = |op: &&Op| !matches!(op, Op::Touch { .. });
                keys.extend(write.ops.iter().filter(replaces).map(|op| op.key().clone()));
                model.apply(&write, ack.revision);
            }
            Some(_) => {}
            None => open.push(write),
        }
    }
    let now = clock.now();
    for key in keys {
        // A failing disk may fail a read too.
        let Ok(entry) = store.get(&key).await else {
            continue;
        };
        let of_open = |entry: &Option<Entry>| {
            open.iter().any(|write| {
                let op = write.ops.iter().find(|op| *op.key() == key);
                op.is_some_and(|op| is_result(op, entry.as_ref(), write.number))
            })
        };
        if !is_held(journal.seed, &key, model.entries.get(&key), entry.as_ref(), now) && !of_open(&entry) {
            return Err(Failure::new(
                FailureKind::Lost,
                format!(
                    "a read of {key} gave write {:?}, but write {:?} was the last",
                    entry.map(|entry| number_in(entry.value())),
                    model.entries.get(&key).map(|held| held.number)
                ),
            ));
        }
    }
    Ok(())
}

fn is_held(seed: u64, key: &Key, held: Option<&Held>, entry: Option<&Entry>, now: Timestamp) -> bool {
    match (held.filter(|held| held.is_visible(now)), entry) {
        (None, None) => true,
        (Some(held), Some(entry)) => {
            entry.value() == value(seed, held.number, key)
                && entry.deadline() == held.deadline
                && held.revision.is_none_or(|revision| revision == entry.revision())
        }
        _ => false,
    }
}

fn is_result(op: &Op, entry: Option<&Entry>, number: u64) -> bool {
    match (op, entry) {
        (Op::Put { .. }, Some(entry)) => number_in(entry.value()) == Some(number),
        (Op::Touch { deadline, .. }, Some(entry)) => entry.deadline() == Some(*deadline),
        (Op::Delete { .. } | Op::Touch { .. }, None) => true,
        // What was put may be past its deadline.
        (Op::Put { deadline, .. }, None) => deadline.is_some(),
        (Op::Delete { .. }, Some(_)) => false,
    }
}
