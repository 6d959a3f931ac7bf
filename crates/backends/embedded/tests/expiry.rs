//! Deadlines, and the sweeper among writers.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use futures_executor::block_on;
use stead_core::{
    Backend, ChangeKind, Expect, Expiry, KeyRange, ManualClock, ReadExt, Timestamp, Ttl, WatchEvent,
    WatchSpec, Watcher, WriteBatch,
};
use stead_embedded::{Embedded, Keyspace};
use support::*;

fn ttl(millis: u64) -> Expiry {
    Expiry::After(Ttl::from_millis(millis).unwrap())
}

fn sweeping(disk: &Arc<Disk>) -> (Arc<Embedded<Fake>>, Arc<ManualClock>) {
    let clock = clock();
    let options = quiet(&clock).with_sweep_interval(Duration::from_millis(2));
    (open_with(disk, options), clock)
}

/// The kinds of changes by path, until nothing more comes for a while.
fn changes(watcher: &mut dyn Watcher, count: usize) -> Vec<(String, ChangeKind)> {
    let mut seen = Vec::new();
    while seen.len() < count {
        match block_on(watcher.next()).unwrap() {
            WatchEvent::Changes(set) => seen.extend(set.changes.into_iter().map(|change| {
                (
                    String::from_utf8(change.key.path().to_vec()).unwrap(),
                    change.kind,
                )
            })),
            other => panic!("{other:?}"),
        }
    }
    seen
}

#[test]
fn expired_entries_are_removed_once_with_their_index() {
    let disk = Disk::new();
    let (store, clock) = sweeping(&disk);
    let mut watcher = store.watch(&WatchSpec::new(KeyRange::all())).unwrap();
    for n in 0..1500 {
        let batch = WriteBatch::new().put_with(key(&format!("k{n:04}")), "1", ttl(100));
        commit(&store, buffered(batch));
    }
    assert_eq!(changes(&mut *watcher, 1500).len(), 1500);
    clock.advance_millis(100);
    assert_eq!(
        block_on(store.count(&KeyRange::all())).unwrap(),
        0,
        "hidden at once"
    );
    let expired = changes(&mut *watcher, 1500);
    assert!(expired.iter().all(|(_, kind)| *kind == ChangeKind::Expired));
    let mut paths: Vec<_> = expired.into_iter().map(|(path, _)| path).collect();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), 1500, "each exactly once");
    assert_eq!(disk.len(Keyspace::Data), 0);
    assert_eq!(disk.len(Keyspace::Expiry), 0);
    let stats = block_on(store.stats()).unwrap();
    assert_eq!((stats.entries, stats.bytes, stats.expired), (0, 0, 1500));
    check(&store);
}

#[test]
fn writes_that_never_cease_do_not_keep_the_sweeper_waiting() {
    let disk = Disk::new();
    let clock = clock();
    let options = quiet(&clock)
        .with_sweep_interval(Duration::from_millis(2))
        .with_change_retention(16);
    let store = open_with(&disk, options);
    commit(&store, WriteBatch::new().put_with(key("old"), "1", ttl(100)));
    let (told, swept) = channel();
    let mut left = 5_000;
    let writer = Arc::downgrade(&store);
    disk.after_each_commit(move |disk| {
        clock.advance_millis(100);
        if disk.len(Keyspace::Expiry) == 0 || left == 0 {
            // Nobody listens once it was told.
            let _ = told.send(left > 0);
            return;
        }
        left -= 1;
        // The next one waits before this one is done.
        drop(writer.upgrade().unwrap().apply(put("new", "1")));
    });
    commit(&store, put("new", "1"));
    assert!(swept.recv().unwrap(), "it was its turn among the writes");
    block_on(store.close()).unwrap();
}

#[test]
fn sweep_is_one_event_of_all_that_it_removed() {
    let disk = Disk::new();
    let clock = clock();
    let store = open_with(&disk, quiet(&clock));
    for path in ["b", "c", "a"] {
        commit(&store, WriteBatch::new().put_with(key(path), "1", ttl(10)));
    }
    let mut watcher = store.watch(&WatchSpec::new(KeyRange::all())).unwrap();
    clock.advance_millis(10);
    assert_eq!(value(&*store, "a"), None, "and that sends the sweeper");
    wait_until(|| disk.len(Keyspace::Data) == 0);
    commit(&store, put("d", "1"));
    let WatchEvent::Changes(set) = block_on(watcher.next()).unwrap() else {
        panic!("a change was due");
    };
    let seen: Vec<_> = set
        .changes
        .iter()
        .map(|change| (change.key.path(), change.kind))
        .collect();
    let expired = ["a", "b", "c"].map(|path| (path.as_bytes(), ChangeKind::Expired));
    assert_eq!(seen, expired);
}

#[test]
fn renewed_entry_survives_the_sweep() {
    let disk = Disk::new();
    let (store, clock) = sweeping(&disk);
    commit(&store, WriteBatch::new().put_with(key("renewed"), "1", ttl(100)));
    commit(
        &store,
        WriteBatch::new().put_with(key("rewritten"), "1", ttl(100)),
    );
    commit(&store, WriteBatch::new().put_with(key("left"), "1", ttl(100)));
    commit(&store, WriteBatch::new().touch(key("renewed"), ttl(1000)));
    commit(&store, put("rewritten", "2"));
    clock.advance_millis(100);
    wait_until(|| disk.len(Keyspace::Data) == 2);
    assert_eq!(value(&*store, "renewed").as_deref(), Some(&b"1"[..]));
    assert_eq!(value(&*store, "rewritten").as_deref(), Some(&b"2"[..]));
    assert_eq!(disk.len(Keyspace::Expiry), 1);
    check(&store);
}

#[test]
fn write_racing_sweeper_survives() {
    let disk = Disk::new();
    let (store, clock) = sweeping(&disk);
    for round in 0..200 {
        commit(
            &store,
            buffered(WriteBatch::new().put_with(key("k"), "old", ttl(10))),
        );
        clock.advance_millis(10);
        // The sweeper and this write are now after the same entry.
        commit(&store, buffered(put("k", "new")));
        assert_eq!(value(&*store, "k").as_deref(), Some(&b"new"[..]), "round {round}");
    }
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(value(&*store, "k").as_deref(), Some(&b"new"[..]));
    check(&store);
}

#[test]
fn read_that_meets_an_expired_entry_sends_the_sweeper() {
    let disk = Disk::new();
    let clock = clock();
    let store = open_with(&disk, quiet(&clock));
    commit(&store, WriteBatch::new().put_with(key("k"), "1", ttl(10)));
    clock.advance_millis(10);
    assert_eq!(disk.len(Keyspace::Data), 1);
    assert_eq!(value(&*store, "k"), None);
    wait_until(|| disk.len(Keyspace::Data) == 0);
}

#[test]
fn writes_treat_an_expired_entry_as_missing_until_it_is_swept() {
    let disk = Disk::new();
    let clock = clock();
    let store = open_with(&disk, quiet(&clock));
    let mut watcher = store.watch(&WatchSpec::new(KeyRange::all())).unwrap();
    for path in ["deleted", "kept", "overwritten", "touched"] {
        commit(&store, WriteBatch::new().put_with(key(path), "1", ttl(10)));
    }
    assert_eq!(changes(&mut *watcher, 4).len(), 4);
    clock.advance_millis(10);
    commit(&store, WriteBatch::new().touch(key("touched"), ttl(1000)));
    commit(&store, WriteBatch::new().put_with(key("kept"), "2", Expiry::Keep));
    commit(&store, put("overwritten", "2"));
    commit(&store, WriteBatch::new().delete(key("deleted")));
    let seen = changes(&mut *watcher, 3);
    let wanted = [
        ("kept".to_owned(), ChangeKind::Put),
        ("overwritten".to_owned(), ChangeKind::Put),
        ("deleted".to_owned(), ChangeKind::Expired),
    ];
    assert_eq!(seen, wanted);
    // Before anybody looks at the one that is left: a read that meets it has it swept.
    assert_eq!(block_on(store.stats()).unwrap().expired, 3);
    assert_eq!(value(&*store, "touched"), None);
    let kept = block_on(stead_core::Read::get(&*store, &key("kept")))
        .unwrap()
        .unwrap();
    assert_eq!(kept.deadline(), None);
    check(&store);
}

#[test]
fn expired_entry_is_missing_to_preconditions_until_it_is_swept() {
    let disk = Disk::new();
    let clock = clock();
    let store = open_with(&disk, quiet(&clock));
    let timed = |path: &str| WriteBatch::new().put_with(key(path), "1", ttl(10));
    let old = commit(&store, timed("a"));
    commit(&store, timed("b"));
    clock.advance_millis(10);
    for expect in [Expect::Present, Expect::At(old)] {
        let reply = block_on(store.apply(put("a", "2").expect(key("a"), expect))).unwrap();
        assert!(!reply.is_committed(), "{expect:?}");
    }
    commit(&store, put("b", "2").expect(key("b"), Expect::Absent));
    let here = KeyRange::partition(&key("a").partition());
    commit(&store, put("c", "2").expect_count(here, 1));
    assert_eq!(disk.len(Keyspace::Data), 3, "the dead entry is still there");
    check(&store);
}

#[test]
fn deadlines_outlive_a_restart_and_a_clock_that_steps_back() {
    let disk = Disk::new();
    let (store, clock) = sweeping(&disk);
    commit(&store, WriteBatch::new().put_with(key("k"), "1", ttl(50)));
    drop(store);
    clock.set(Timestamp::from_millis(START - 1000));
    let options = quiet(&clock).with_sweep_interval(Duration::from_millis(2));
    let store = open_with(&disk, options);
    assert_eq!(value(&*store, "k").as_deref(), Some(&b"1"[..]));
    clock.set(Timestamp::from_millis(START + 49));
    assert_eq!(value(&*store, "k").as_deref(), Some(&b"1"[..]));
    clock.set(Timestamp::from_millis(START + 50));
    assert_eq!(value(&*store, "k"), None);
    wait_until(|| disk.len(Keyspace::Data) == 0);
    check(&store);
}

#[test]
fn stale_index_of_deadlines_costs_no_entry_its_life() {
    let disk = Disk::new();
    let store = open(&disk);
    commit(&store, put("k", "1"));
    commit(&store, WriteBatch::new().put_with(key("l"), "1", ttl(10)));
    drop(store);
    disk.edit(|maps| {
        let mut stale = 1_u64.to_be_bytes().to_vec();
        stale.extend_from_slice(key("k").as_bytes());
        maps[Keyspace::Expiry.index()].insert(stale, Vec::new());
    });
    let (store, clock) = sweeping(&disk);
    clock.advance_millis(10);
    wait_until(|| disk.len(Keyspace::Data) == 1);
    assert_eq!(value(&*store, "k").as_deref(), Some(&b"1"[..]));
    assert!(
        block_on(store.check(&|_| {})).is_err(),
        "and the check tells of it"
    );
}
