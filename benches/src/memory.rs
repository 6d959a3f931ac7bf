//! The memory backend against the bare maps below it.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::sync::{Arc, RwLock};

use bytes::Bytes;
use dashmap::DashMap;
use futures_executor::block_on;
use stead_conformance::PassThrough;
use stead_core::{Backend, BackendExt, Key, KeyRange, ReadExt, Scan, WriteBatch};
use stead_memory::{MemoryBackend, MemoryOptions};

use crate::measure::{Pair, median, pair, time};
use crate::report::Report;
use crate::workload::{keys, shuffled, value};

/// What one would write without Stead: a concurrent hash map of shared values, as it comes.
pub(crate) type BareMap<S = RandomState> = DashMap<Box<[u8]>, Arc<[u8]>, S>;
/// The same with the faster hash function that Stead uses.
pub(crate) type SameHash = BareMap<foldhash::quality::RandomState>;

const READS: usize = 200_000;

pub(crate) fn run(report: &mut Report) {
    for entries in [1_000, 100_000, 1_000_000] {
        let goal = if entries == 1_000 { 1.35 } else { 1.2 };
        point_reads(report, entries, goal);
    }
    layers(report);
    for entries in [1_000, 100_000, 1_000_000] {
        writes(report, entries);
    }
    scans(report);
}

pub(crate) fn filled(keys: &[Key]) -> Arc<dyn Backend> {
    let store = MemoryBackend::new(MemoryOptions::default());
    let value = Bytes::from(value());
    for key in keys {
        block_on(store.put(key.clone(), value.clone())).expect("memory takes it");
    }
    Arc::new(store)
}

pub(crate) fn bare<S: BuildHasher + Clone + Default>(keys: &[Key]) -> BareMap<S> {
    let map = BareMap::default();
    let value: Arc<[u8]> = value().into();
    for key in keys {
        map.insert(key.as_bytes().into(), Arc::from(&value[..]));
    }
    map
}

fn point_reads(report: &mut Report, entries: usize, goal: f64) {
    report.section(&format!("memory: point reads of {entries} entries"));
    let keys = keys(entries);
    let store = filled(&keys);
    // Rounds go on where the last one ended, so that each meets keys that are not in the cache.
    let turn = Cell::new(0);
    let key = |index: usize| &keys[shuffled(turn.get() * READS + index, entries)];
    let ours = || {
        turn.set(turn.get() + 1);
        time(READS, |index| {
            let reply = store.get(key(index));
            black_box(
                reply
                    .try_take()
                    .expect("memory answers at once")
                    .expect("it reads"),
            );
        })
    };
    let map: BareMap = bare(&keys);
    let result = pair(ours, || {
        time(READS, |index| {
            black_box(map.get(key(index).as_bytes()).map(|found| Arc::clone(&found)));
        })
    });
    report.at_most("get through Arc<dyn Backend> / DashMap get", result, goal);
    drop(map);
    let map: SameHash = bare(&keys);
    let result = pair(ours, || {
        time(READS, |index| {
            black_box(map.get(key(index).as_bytes()).map(|found| Arc::clone(&found)));
        })
    });
    report.compare("the same, DashMap with Stead's hash function", result);
}

fn layers(report: &mut Report) {
    report.section("memory: pass-through layers over 1000 entries");
    let keys = keys(1_000);
    let store = filled(&keys);
    let mut wrapped = Arc::clone(&store);
    for _ in 0..5 {
        wrapped = Arc::new(PassThrough::new(wrapped));
    }
    let read = |store: &Arc<dyn Backend>| {
        time(READS, |index| {
            let key = &keys[shuffled(index, keys.len())];
            let _ = black_box(
                store
                    .get(key)
                    .try_take()
                    .expect("memory answers at once")
                    .expect("it reads"),
            );
        })
    };
    let result = pair(|| read(&wrapped), || read(&store));
    report.compare("get under five layers / under none", result);
    report.limit(
        "each layer adds",
        (result.ours_ns - result.bare_ns) / 5.0,
        "ns",
        8.0,
    );
}

fn writes(report: &mut Report, entries: usize) {
    report.section(&format!(
        "memory: writes to {entries} entries (bare: hash map and a locked B-tree set of its keys)"
    ));
    let keys = keys(entries);
    let store = filled(&keys);
    let (map, index) = (bare::<RandomState>(&keys), ordered(&keys));
    let value = Bytes::from(value());
    let result = pair(
        || {
            time(READS / 2, |index| {
                let key = keys[shuffled(index, entries)].clone();
                let batch = WriteBatch::new().put(key, value.clone());
                let _ = black_box(
                    store
                        .apply(batch)
                        .try_take()
                        .expect("memory answers at once")
                        .expect("it writes"),
                );
            })
        },
        || {
            time(READS / 2, |index| {
                let key = &keys[shuffled(index, entries)];
                black_box(map.insert(key.as_bytes().into(), Arc::from(&value[..])));
            })
        },
    );
    report.compare("overwrite / DashMap insert without an order", result);
    let fresh = crate::workload::keys(entries + READS / 2);
    let fresh = &fresh[entries..];
    let inserts = {
        let add = || {
            time(fresh.len(), |index| {
                let batch = WriteBatch::new().put(fresh[shuffled(index, fresh.len())].clone(), value.clone());
                let _ = black_box(
                    store
                        .apply(batch)
                        .try_take()
                        .expect("memory answers at once")
                        .expect("it writes"),
                );
            })
        };
        let add_bare = || {
            time(fresh.len(), |at| {
                let key: Arc<[u8]> = fresh[shuffled(at, fresh.len())].as_bytes().into();
                map.insert(Box::from(&key[..]), Arc::from(&value[..]));
                index.write().expect("nobody panicked").insert(key);
            })
        };
        let mut samples = Vec::new();
        for _ in 0..5 {
            let ours = add();
            let bare = add_bare();
            samples.push((ours, bare));
            for key in fresh {
                let _ = block_on(store.delete(key.clone())).expect("memory deletes");
                map.remove(key.as_bytes());
                index.write().expect("nobody panicked").remove(key.as_bytes());
            }
        }
        Pair::of(&samples)
    };
    report.compare("insert of a new key / into map and set", inserts);
}

pub(crate) fn ordered(keys: &[Key]) -> RwLock<BTreeSet<Arc<[u8]>>> {
    RwLock::new(keys.iter().map(|key| Arc::from(key.as_bytes())).collect())
}

fn scans(report: &mut Report) {
    report.section("memory: listing 100 keys under a prefix");
    for entries in [1_000, 100_000, 1_000_000] {
        let keys = keys(entries);
        let store = filled(&keys);
        let (map, index) = (bare::<RandomState>(&keys), ordered(&keys));
        let partition = keys[0].partition();
        let prefix = |index: usize| format!("\u{1}item/{:010}", shuffled(index, entries / 100));
        let ours = |keys_only: bool| {
            time(500, |index| {
                let range = KeyRange::prefix(&partition, prefix(index)).expect("a valid prefix");
                let scan = Scan::new(range).limit(100).page_size(100);
                let scan = if keys_only { scan.keys_only() } else { scan };
                let items = store
                    .collect(&scan)
                    .try_take()
                    .expect("memory answers at once")
                    .expect("it scans");
                assert_eq!(black_box(items).len(), 100);
            })
        };
        let set_and_map = || {
            time(500, |at| {
                let range = KeyRange::prefix(&partition, prefix(at)).expect("a valid prefix");
                let start: Arc<[u8]> = range.start().into();
                let set = index.read().expect("nobody panicked");
                let found: Vec<_> = set
                    .range(start..)
                    .take_while(|key| range.contains_encoded(key))
                    .map(|key| (Arc::clone(key), map.get(&**key).map(|found| Arc::clone(&found))))
                    .collect();
                assert_eq!(black_box(found).len(), 100);
            })
        };
        let result = pair(|| ours(false), set_and_map);
        report.compare(
            &format!("{entries} entries: keys and values / B-tree set + map"),
            result,
        );
        let keys_only = median((0..15).map(|_| ours(true)).collect());
        report.limit(
            &format!("{entries} entries: keys only"),
            keys_only / 1000.0,
            "us",
            50.0,
        );
    }
}
