//! The structures that the ordered index of the store in memory was chosen from, side by side.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use crossbeam_skiplist::SkipMap;
use parking_lot::RwLock;
use stead_core::{Backend, Key, KeyRange, ReadExt, Scan, WriteBatch};

use crate::measure::time;
use crate::memory::{SameHash, bare, filled, ordered};
use crate::workload::{keys, shuffled, value};

const ENTRIES: usize = 1_000_000;
const OPERATIONS: usize = 100_000;

/// One candidate: what a store in memory has to do with its index.
trait Candidate {
    fn get(&self, key: &Key);
    fn write(&self, key: &Key);
    fn scan(&self, range: &KeyRange) -> usize;
}

pub(crate) fn run() {
    println!(
        "\ncandidates for the ordered index, {ENTRIES} entries of 100 bytes (ns; microseconds for the scan)"
    );
    println!(
        "{:<46} {:>8} {:>10} {:>8} {:>12}",
        "", "get", "overwrite", "insert", "scan of 100"
    );
    let all = keys(ENTRIES + OPERATIONS);
    let (keys, fresh) = all.split_at(ENTRIES);
    measure(
        "hash shards and copy-on-write B-tree (Stead)",
        keys,
        fresh,
        &Stead(filled(keys)),
    );
    let two = MapAndSet {
        map: bare(keys),
        index: ordered(keys),
    };
    measure("DashMap and a locked B-tree set of its keys", keys, fresh, &two);
    drop(two);
    let tree: BTreeMap<Box<[u8]>, Arc<[u8]>> = keys
        .iter()
        .map(|key| (key.as_bytes().into(), value().into()))
        .collect();
    measure("locked B-tree alone", keys, fresh, &RwLock::new(tree));
    let list: SkipMap<Box<[u8]>, Arc<[u8]>> = SkipMap::new();
    for key in keys {
        list.insert(key.as_bytes().into(), value().into());
    }
    measure("skip list alone", keys, fresh, &list);
}

fn measure(name: &str, keys: &[Key], fresh: &[Key], candidate: &dyn Candidate) {
    let key = |index: usize| &keys[shuffled(index, keys.len())];
    let get = time(OPERATIONS, |index| candidate.get(key(index)));
    let overwrite = time(OPERATIONS, |index| candidate.write(key(index)));
    let insert = time(OPERATIONS, |index| {
        candidate.write(&fresh[shuffled(index, fresh.len())]);
    });
    let partition = keys[0].partition();
    let scan = time(500, |index| {
        let prefix = format!("\u{1}item/{:010}", shuffled(index, ENTRIES / 100));
        let range = KeyRange::prefix(&partition, prefix).expect("a valid prefix");
        assert_eq!(candidate.scan(&range), 100);
    });
    println!(
        "{name:<46} {get:>8.0} {overwrite:>10.0} {insert:>8.0} {:>12.1}",
        scan / 1000.0
    );
}

struct Stead(Arc<dyn Backend>);

impl Candidate for Stead {
    fn get(&self, key: &Key) {
        black_box(
            self.0
                .get(key)
                .try_take()
                .expect("memory answers at once")
                .expect("it reads"),
        );
    }

    fn write(&self, key: &Key) {
        let batch = WriteBatch::new().put(key.clone(), Bytes::from(value()));
        let _ = black_box(
            self.0
                .apply(batch)
                .try_take()
                .expect("memory answers at once")
                .expect("it writes"),
        );
    }

    fn scan(&self, range: &KeyRange) -> usize {
        let scan = Scan::new(range.clone()).page_size(100);
        black_box(
            self.0
                .collect(&scan)
                .try_take()
                .expect("memory answers at once")
                .expect("it scans"),
        )
        .len()
    }
}

struct MapAndSet {
    map: SameHash,
    index: std::sync::RwLock<std::collections::BTreeSet<Arc<[u8]>>>,
}

impl Candidate for MapAndSet {
    fn get(&self, key: &Key) {
        black_box(self.map.get(key.as_bytes()).map(|found| Arc::clone(&found)));
    }

    fn write(&self, key: &Key) {
        let old = self.map.insert(key.as_bytes().into(), value().into());
        if old.is_none() {
            self.index
                .write()
                .expect("nobody panicked")
                .insert(key.as_bytes().into());
        }
    }

    fn scan(&self, range: &KeyRange) -> usize {
        let start: Arc<[u8]> = range.start().into();
        let index = self.index.read().expect("nobody panicked");
        let keys = index.range(start..).take_while(|key| range.contains_encoded(key));
        let found: Vec<_> = keys
            .map(|key| {
                (
                    Arc::clone(key),
                    self.map.get(&**key).map(|found| Arc::clone(&found)),
                )
            })
            .collect();
        black_box(found).len()
    }
}

impl Candidate for RwLock<BTreeMap<Box<[u8]>, Arc<[u8]>>> {
    fn get(&self, key: &Key) {
        black_box(self.read().get(key.as_bytes()).map(Arc::clone));
    }

    fn write(&self, key: &Key) {
        RwLock::write(self).insert(key.as_bytes().into(), value().into());
    }

    fn scan(&self, range: &KeyRange) -> usize {
        let tree = self.read();
        let entries = tree.range::<[u8], _>((
            std::ops::Bound::Included(range.start()),
            std::ops::Bound::Unbounded,
        ));
        let found: Vec<_> = entries
            .take_while(|(key, _)| range.contains_encoded(key))
            .map(|(key, value)| (key.clone(), Arc::clone(value)))
            .collect();
        black_box(found).len()
    }
}

impl Candidate for SkipMap<Box<[u8]>, Arc<[u8]>> {
    fn get(&self, key: &Key) {
        black_box(SkipMap::get(self, key.as_bytes()).map(|found| Arc::clone(found.value())));
    }

    fn write(&self, key: &Key) {
        self.insert(key.as_bytes().into(), value().into());
    }

    fn scan(&self, range: &KeyRange) -> usize {
        let entries = self.range::<[u8], _>((
            std::ops::Bound::Included(range.start()),
            std::ops::Bound::Unbounded,
        ));
        let found: Vec<_> = entries
            .take_while(|entry| range.contains_encoded(entry.key()))
            .map(|entry| (entry.key().clone(), Arc::clone(entry.value())))
            .collect();
        black_box(found).len()
    }
}
