//! Damage is found by reads and by the check, and views are of one instant.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_executor::block_on;
use stead_core::{
    Backend, ErrorKind, Expect, Expiry, KeyRange, Read, ReadExt, RequestId, Scan, Ttl, WriteBatch,
};
use stead_embedded::Keyspace;
use support::*;

fn filled() -> Arc<Disk> {
    let disk = Disk::new();
    let store = open(&disk);
    for n in 0..10 {
        commit(
            &store,
            put(&format!("k{n}"), "value").request_id(RequestId::new([n + 1]).unwrap()),
        );
    }
    let ttl = Expiry::After(Ttl::from_millis(60_000).unwrap());
    commit(&store, WriteBatch::new().put_with(key("timed"), "value", ttl));
    commit(&store, WriteBatch::new().delete(key("k9")));
    check(&store);
    drop(store);
    disk
}

#[test]
fn corrupt_record_is_an_error_and_never_missing() {
    let disk = filled();
    disk.edit(|maps| {
        let record = maps[Keyspace::Data.index()]
            .get_mut(key("k3").as_bytes())
            .unwrap();
        *record.last_mut().unwrap() ^= 1;
    });
    let store = open(&disk);
    let corrupt = |error: stead_core::Error| assert_eq!(error.kind(), ErrorKind::Corrupt);
    corrupt(block_on(store.get(&key("k3"))).unwrap_err());
    corrupt(block_on(store.get_many(&[key("k1"), key("k3")])).unwrap_err());
    corrupt(block_on(store.collect(&Scan::new(KeyRange::all()))).unwrap_err());
    corrupt(block_on(store.count(&KeyRange::all())).unwrap_err());
    corrupt(block_on(store.apply(put("x", "1").expect(key("k3"), Expect::Present))).unwrap_err());
    corrupt(block_on(store.apply(put("x", "1").expect_count(KeyRange::all(), 10))).unwrap_err());
    corrupt(block_on(store.apply(WriteBatch::new().delete(key("k3")))).unwrap_err());
    corrupt(block_on(store.check(&|_| {})).unwrap_err());
    assert_eq!(value(&*store, "k4").as_deref(), Some(&b"value"[..]));
    assert_eq!(value(&*store, "x"), None);
    commit(&store, put("y", "1"));
}

#[test]
fn check_reads_everything_and_tells_progress() {
    let disk = filled();
    let store = open(&disk);
    let told = AtomicU64::new(0);
    let report = block_on(store.check(&|records| told.store(records, Ordering::SeqCst))).unwrap();
    assert_eq!(report.entries, 10);
    let records: usize = Keyspace::ALL.iter().map(|space| disk.len(*space)).sum();
    assert_eq!(report.records, records as u64);
    assert_eq!(told.load(Ordering::SeqCst), report.records);
}

#[test]
fn check_finds_every_kind_of_damage() {
    let drop_first = |space: Keyspace| {
        move |maps: &mut [std::collections::BTreeMap<Vec<u8>, Vec<u8>>; 5]| {
            maps[space.index()].pop_first().unwrap();
        }
    };
    type Damage = Box<dyn FnOnce(&mut [std::collections::BTreeMap<Vec<u8>, Vec<u8>>; 5])>;
    let damages: Vec<(&str, Damage)> = vec![
        ("an entry is gone", Box::new(drop_first(Keyspace::Data))),
        ("a deadline is gone", Box::new(drop_first(Keyspace::Expiry))),
        ("a change set is gone", Box::new(drop_first(Keyspace::Changes))),
        ("a request is gone", Box::new(drop_first(Keyspace::Meta))),
        (
            "a deadline too many",
            Box::new(|maps| {
                let mut index = 1_u64.to_be_bytes().to_vec();
                index.extend_from_slice(key("k1").as_bytes());
                maps[Keyspace::Expiry.index()].insert(index, Vec::new());
            }),
        ),
        (
            "an entry under another key",
            Box::new(|maps| {
                let record = maps[Keyspace::Data.index()].pop_first().unwrap().1;
                maps[Keyspace::Data.index()].insert(key("z").as_bytes().to_vec(), record);
            }),
        ),
        (
            "an older entry of the same key",
            Box::new(|maps| {
                let old = maps[Keyspace::Data.index()][key("k1").as_bytes()].clone();
                let space = &mut maps[Keyspace::Data.index()];
                space.insert(b"no key".to_vec(), old);
            }),
        ),
        (
            "a record in the reserved keyspace",
            Box::new(|maps| {
                maps[Keyspace::History.index()].insert(vec![1], vec![2]);
            }),
        ),
        (
            "an unknown record",
            Box::new(|maps| {
                maps[Keyspace::Meta.index()].insert(vec![b'x'], vec![2]);
            }),
        ),
    ];
    for (what, damage) in damages {
        let disk = filled();
        disk.edit(damage);
        let store = open(&disk);
        let error = block_on(store.check(&|_| {})).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}");
    }
}

#[test]
fn no_view_sees_half_a_batch() {
    let disk = Disk::new();
    let store = open(&disk);
    commit(&store, put("a", "0").put(key("b"), "0"));
    let writer = Arc::clone(&store);
    let writing = std::thread::spawn(move || {
        for n in 1..=500_u32 {
            let text = n.to_string();
            let batch = WriteBatch::new().put(key("a"), text.clone()).put(key("b"), text);
            commit(&writer, if n % 7 == 0 { batch } else { buffered(batch) });
        }
    });
    let keys = [key("a"), key("b")];
    while !writing.is_finished() {
        let both = block_on(store.get_many(&keys)).unwrap();
        assert_eq!(both[0], both[1]);
        let snapshot = block_on(store.snapshot()).unwrap();
        let first = block_on(snapshot.get(&keys[0])).unwrap();
        std::thread::yield_now();
        assert_eq!(first, block_on(snapshot.get(&keys[1])).unwrap());
        let page = block_on(store.collect(&Scan::new(KeyRange::all()))).unwrap();
        assert_eq!(page[0].entry, page[1].entry);
    }
    writing.join().unwrap();
    check(&store);
}

#[test]
fn pages_of_large_values_are_cut_and_nothing_is_lost() {
    let disk = Disk::new();
    let store = open(&disk);
    for n in 0..20 {
        let value = vec![b'x'; if n % 2 == 0 { 3 << 20 } else { 1 }];
        commit(
            &store,
            buffered(WriteBatch::new().put(key(&format!("k{n:02}")), value)),
        );
    }
    for direction in [stead_core::Direction::Forward, stead_core::Direction::Reverse] {
        let scan = Scan::new(KeyRange::all()).direction(direction);
        let mut cursor = store.scan(&scan).unwrap();
        let (mut pages, mut paths) = (0, Vec::new());
        loop {
            let page = block_on(cursor.next_page()).unwrap();
            if page.is_empty() {
                break;
            }
            pages += 1;
            let bytes: usize = page
                .iter()
                .map(|item| item.entry.as_ref().unwrap().value().len())
                .sum();
            assert!(bytes <= 12 << 20, "{bytes} bytes in a page");
            paths.extend(page.into_iter().map(|item| item.key.path().to_vec()));
        }
        assert!(pages > 2);
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), 20);
    }
}
