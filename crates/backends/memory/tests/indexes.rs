//! What the two indexes of a store must agree on.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use futures_executor::block_on;
use stead_core::kit::Walk;
use stead_core::{
    Backend, BackendExt as _, ErrorKind, Expiry, Key, KeyRange, ManualClock, Partition, Read, Revision,
    Timestamp, WatchEvent, WatchSpec, WriteBatch,
};
use stead_memory::{MemoryBackend, MemoryOptions};

fn key(index: u32) -> Key {
    Key::new(&Partition::new("p").unwrap(), format!("{index:08}")).unwrap()
}

/// The tables grow, and all buckets move, while the batch that found them is being installed.
#[test]
fn batch_that_overwrites_between_many_new_keys_hits_each_one() {
    let store = MemoryBackend::default();
    for index in (0..20_000).step_by(10) {
        block_on(store.put(key(index), "old")).unwrap();
    }
    let batch = (0..20_000).fold(WriteBatch::new(), |batch, index| {
        batch.put(key(index), format!("new {index}"))
    });
    let revision = block_on(store.apply(batch)).unwrap().committed().unwrap();
    for index in 0..20_000 {
        let entry = block_on(store.get(&key(index))).unwrap().unwrap();
        assert_eq!(entry.value(), format!("new {index}").as_bytes());
        assert_eq!(entry.revision(), revision);
    }
    let report = block_on(store.check(&|_| ())).unwrap();
    assert_eq!(report.entries, 20_000);
}

fn puts(indexes: impl Iterator<Item = u32>) -> WriteBatch {
    indexes.fold(WriteBatch::new(), |batch, index| {
        batch.put(key(index), format!("{index}"))
    })
}

fn commit(store: &MemoryBackend, batch: WriteBatch) -> Revision {
    block_on(store.apply(batch)).unwrap().committed().unwrap()
}

/// All entries: keys, revisions and values.
fn contents(store: &MemoryBackend) -> Vec<(Key, u64, Vec<u8>)> {
    let mut walk = Walk::new(store, store.capabilities(), KeyRange::all());
    let mut all = Vec::new();
    loop {
        let page = block_on(walk.page()).unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page.into_iter().map(|item| {
            let entry = item.entry.unwrap();
            (item.key, entry.revision().get(), entry.value().to_vec())
        }));
    }
}

/// Batches in the order of keys take another way than others. Whatever the way, the store is the same.
#[test]
fn batches_in_the_order_of_keys_leave_what_others_do() {
    let (ascending, shuffled) = (MemoryBackend::default(), MemoryBackend::default());
    for start in (0..40_000).step_by(4_000) {
        let all = start..start + 3_000;
        let revision = commit(&ascending, puts(all.clone()).to_follow(30_000));
        assert_eq!(revision, commit(&shuffled, puts(all.rev())));
        // Batches that begin behind all and go on before it.
        let mixed = |batch: WriteBatch| batch.put(key(1), "again").delete(key(2));
        assert_eq!(
            commit(&ascending, mixed(puts(start + 3_000..start + 3_010))),
            commit(&shuffled, mixed(puts((start + 3_000..start + 3_010).rev())))
        );
    }
    let all = contents(&ascending);
    assert_eq!(all, contents(&shuffled));
    for (key, revision, value) in all {
        let entry = block_on(ascending.get(&key)).unwrap().unwrap();
        assert_eq!((entry.revision().get(), entry.value()), (revision, &value[..]));
    }
    for store in [&ascending, &shuffled] {
        block_on(store.check(&|_| ())).unwrap();
    }
}

#[test]
fn key_that_is_put_twice_in_the_order_of_keys_is_there_once() {
    let store = MemoryBackend::default();
    let twice = puts([1, 2, 2, 3].into_iter());
    commit(&store, twice);
    commit(&store, puts([3, 4].into_iter()));
    assert_eq!(block_on(store.check(&|_| ())).unwrap().entries, 4);
}

#[test]
fn no_room_is_made_for_more_than_can_follow() {
    let store = MemoryBackend::default();
    commit(&store, puts(0..2).to_follow(u64::MAX));
    commit(&store, puts(2..4).to_follow(5));
    assert_eq!(block_on(store.check(&|_| ())).unwrap().entries, 4);
}

#[test]
fn watchers_are_told_of_what_comes_in_the_order_of_keys() {
    let store = MemoryBackend::default();
    let mut watcher = store.watch(&WatchSpec::new(KeyRange::all())).unwrap();
    let first = commit(&store, puts(0..5_000));
    let second = commit(&store, puts(5_000..5_001));
    for (revision, keys) in [(first, 0..5_000), (second, 5_000..5_001)] {
        let WatchEvent::Changes(set) = block_on(watcher.next()).unwrap() else {
            panic!("nothing else happened");
        };
        assert_eq!(set.revision, revision);
        let told = set.changes.iter().map(|change| change.key.clone());
        assert!(told.eq(keys.map(key)));
    }
}

#[test]
fn what_comes_in_the_order_of_keys_has_its_deadlines_and_its_limits() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
    let options = MemoryOptions::default()
        .with_clock(clock.clone())
        .with_capacity_entries(10);
    let store = MemoryBackend::new(options);
    let until = Expiry::At(Timestamp::from_millis(2_000));
    let timed = (0..8).fold(WriteBatch::new().to_follow(u64::MAX), |batch, index| {
        batch.put_with(
            key(index),
            "short",
            if index % 2 == 0 { until } else { Expiry::Keep },
        )
    });
    commit(&store, timed);
    let full = block_on(store.apply(puts(8..12))).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Full);
    let endless = (8..10).fold(WriteBatch::new(), |batch, index| {
        batch.put_with(key(index), "short", Expiry::At(Timestamp::MAX))
    });
    assert_eq!(
        block_on(store.apply(endless)).unwrap_err().kind(),
        ErrorKind::Invalid
    );
    let endless = puts(8..9).touch(key(9), Expiry::At(Timestamp::MAX));
    assert_eq!(
        block_on(store.apply(endless)).unwrap_err().kind(),
        ErrorKind::Invalid
    );
    assert_eq!(contents(&store).len(), 8);
    block_on(store.check(&|_| ())).unwrap();
    clock.set(Timestamp::from_millis(2_000));
    assert_eq!(contents(&store).len(), 4);
    commit(&store, puts(8..10));
    block_on(store.check(&|_| ())).unwrap();
    assert_eq!(block_on(store.stats()).unwrap().revision, Revision::new(2));
}

fn first_difference<T: PartialEq>(some: &[T], others: &[T]) -> Option<usize> {
    assert_eq!(some.len(), others.len());
    some.iter().zip(others).position(|(one, other)| one != other)
}

/// Many keys at a time are looked up otherwise than one: whatever happens to the live store, a snapshot answers the same.
#[test]
fn many_keys_at_a_time_are_what_each_is_by_itself() {
    let store = MemoryBackend::default();
    let _ = commit(&store, puts((0..20_000).filter(|index| index % 3 > 0)));
    let view = block_on(store.snapshot()).unwrap();
    let keys: Vec<Key> = (0..20_001).map(key).collect();
    let together = |from: &dyn Read| {
        let found = keys
            .chunks(1_000)
            .map(|keys| block_on(from.get_many(keys)).unwrap());
        let found = found
            .flatten()
            .map(|entry| entry.map(|entry| entry.value().to_vec()));
        found.collect::<Vec<_>>()
    };
    let wanted: Vec<_> = (0..20_001)
        .map(|index| (index % 3 > 0 && index < 20_000).then(|| format!("{index}").into_bytes()))
        .collect();
    assert_eq!(first_difference(&together(&store), &wanted), None);
    let changes = (0..20_000).step_by(5).fold(WriteBatch::new(), |batch, index| {
        if index % 2 == 0 {
            batch.delete(key(index))
        } else {
            batch.put(key(index), "changed")
        }
    });
    let _ = commit(&store, changes);
    assert_eq!(first_difference(&together(&*view), &wanted), None);
    let alone = keys.iter().map(|key| block_on(store.get(key)).unwrap());
    let alone = alone.map(|entry| entry.map(|entry| entry.value().to_vec()));
    let alone: Vec<_> = alone.collect();
    assert_eq!(first_difference(&together(&store), &alone), None);
}
