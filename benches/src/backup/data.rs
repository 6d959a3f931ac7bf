//! What is backed up: keys of 30 bytes and JSON values of 100.

use std::sync::Arc;

use futures_executor::block_on;
use stead_core::{Backend, Durability, Key, Partition, WriteBatch};

/// Entries of a batch.
const BATCH: usize = 1_000;
/// Bytes of the values of a batch, at most.
const BATCH_BYTES: usize = 8 << 20;
/// Bytes of the values that the goals are stated for.
pub(super) const VALUE_BYTES: usize = 100;

/// A key of 30 bytes.
pub(super) fn key(number: usize) -> Key {
    let partition = Partition::new("agent:planner").expect("a valid partition");
    Key::new(&partition, format!("task/{number:011}")).expect("a valid key")
}

/// An object of JSON of `bytes` bytes, 100 or more: fields that repeat, numbers that do not, and as many random digits as there
/// is room for.
pub(super) fn value(number: usize, round: usize, bytes: usize) -> Vec<u8> {
    let mut mixed = mix((number as u64) << 20 | round as u64);
    let state = ["idle", "running", "waiting", "done"][(mixed % 4) as usize];
    let mut text = format!(
        r#"{{"id":{number},"name":"agent-{:05}","score":{:.3},"state":"{state}","round":{},"note":""#,
        number % 20_000,
        (mixed % 1_000_000) as f64 / 1_000.0,
        round % 10,
    );
    while text.len() + 2 < bytes {
        mixed = mix(mixed);
        let digits = format!("{mixed:016x}");
        let room = bytes - 2 - text.len();
        text.push_str(&digits[..room.min(digits.len())]);
    }
    text.push_str("\"}");
    text.into_bytes()
}

/// Splitmix64.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Fills a store with `entries` values of `bytes` bytes, and makes them durable.
pub(super) fn load(store: &Arc<dyn Backend>, entries: usize, bytes: usize) {
    let at_a_time = (BATCH_BYTES / bytes).clamp(1, BATCH);
    for start in (0..entries).step_by(at_a_time) {
        let mut batch = WriteBatch::new().durability(Durability::Buffered);
        for number in start..(start + at_a_time).min(entries) {
            batch = batch.put(key(number), value(number, 0, bytes));
        }
        apply(store, batch);
    }
    block_on(store.sync()).expect("it syncs");
}

/// Overwrites every hundredth entry, another one in each round, in a commit each. How many these are.
pub(super) fn change(store: &Arc<dyn Backend>, entries: usize, round: usize) -> usize {
    let changed = entries / 100;
    for index in 0..changed {
        let number = (index * 97 + round) % entries;
        let batch = WriteBatch::new().durability(Durability::Buffered);
        apply(store, batch.put(key(number), value(number, round, VALUE_BYTES)));
    }
    block_on(store.sync()).expect("it syncs");
    changed
}

fn apply(store: &Arc<dyn Backend>, batch: WriteBatch) {
    let outcome = block_on(store.apply(batch)).expect("it writes");
    assert!(outcome.is_committed(), "there is nothing to conflict with");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_as_large_as_the_goals_say() {
        for number in [0, 7, 123_456, 999_999] {
            assert_eq!(key(number).as_bytes().len(), 30);
            for bytes in [VALUE_BYTES, 64 << 10] {
                let value = value(number, 3, bytes);
                assert_eq!(value.len(), bytes);
                let parsed: serde_json::Value = serde_json::from_slice(&value).expect("it is JSON");
                assert_eq!(parsed["id"], number);
            }
        }
    }

    #[test]
    fn what_is_changed_in_a_round_is_as_much_as_is_said() {
        for entries in [1_000, 100_000, 1_000_000] {
            let changed: std::collections::BTreeSet<_> = (0..entries / 100)
                .map(|index| (index * 97 + 3) % entries)
                .collect();
            assert_eq!(changed.len(), entries / 100);
        }
    }
}
