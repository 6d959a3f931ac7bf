//! What both sides store.

use bytes::Bytes;
use stead_core::{Key, Partition};

use crate::workload::{nth, shuffled, values};

/// The keys of a batch; all are of one partition.
pub(super) const BATCH: usize = 1_000;
/// Agents that share the work. On a Cluster they lie on all of its masters.
const PARTITIONS: usize = 16;

/// `count` keys of 26 bytes: a batch of the first agent, one of the second, and so on.
pub(super) fn keys(name: &str, count: usize) -> Vec<Key> {
    (0..count)
        .map(|index| {
            let agent = format!("agent:{:02}", index / BATCH % PARTITIONS);
            let partition = Partition::new(agent).expect("a valid partition");
            Key::new(&partition, format!("{name}/{index:012}")).expect("a valid key")
        })
        .collect()
}

/// Keys that are there, and values for them.
pub(super) struct Data {
    pub(super) keys: Vec<Key>,
    values: Vec<Bytes>,
}

impl Data {
    /// With `count` keys, which are a multiple of [`BATCH`].
    pub(super) fn new(count: usize) -> Self {
        Data {
            keys: keys("item", count),
            values: values().into_iter().map(Bytes::from).collect(),
        }
    }

    /// The key at a place of a walk in no order.
    pub(super) fn key(&self, place: usize) -> &Key {
        &self.keys[shuffled(place, self.keys.len())]
    }

    /// A hundred keys of one partition, that follow each other.
    pub(super) fn hundred(&self, place: usize) -> &[Key] {
        let first = shuffled(place, self.keys.len() / 100) * 100;
        &self.keys[first..first + 100]
    }

    pub(super) fn value(&self, place: usize) -> &Bytes {
        &self.values[nth(place as u64)]
    }

    /// `count` values, at most as many as a batch has.
    pub(super) fn values(&self, count: usize) -> &[Bytes] {
        &self.values[..count]
    }
}
