//! The change log: retention, resuming from memory and from the engine, and restarts.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use futures_executor::block_on;
use stead_core::{Backend, ErrorKind, KeyRange, Revision, WatchEvent, WatchSpec, Watcher, WriteBatch};
use stead_embedded::{Embedded, Keyspace};
use support::*;

fn watch_after(store: &Embedded<Fake>, revision: Revision) -> Box<dyn Watcher> {
    store
        .watch(&WatchSpec::new(KeyRange::all()).after(revision))
        .unwrap()
}

fn next_revision(watcher: &mut dyn Watcher) -> Revision {
    match block_on(watcher.next()).unwrap() {
        WatchEvent::Changes(set) => set.revision,
        other => panic!("{other:?}"),
    }
}

#[test]
fn watch_resumes_exactly_from_memory_and_from_the_engine() {
    let disk = Disk::new();
    let store = open(&disk);
    // From the first watcher on, the newest changes are kept in memory.
    let _first = watch_after(&store, Revision::ZERO);
    // More than the ring in memory holds.
    let revisions: Vec<_> = (0..1500)
        .map(|_| commit(&store, buffered(put("k", "1"))))
        .collect();
    for start in [0, 1, 300, 475, 476, 477, 1000, 1499] {
        let mut watcher = watch_after(&store, revisions[start]);
        for expected in &revisions[start + 1..] {
            assert_eq!(next_revision(&mut *watcher), *expected);
        }
        assert!(!watcher.next().is_ready(), "and then it waits");
    }
    drop(store);
    let store = open(&disk);
    let mut watcher = watch_after(&store, revisions[700]);
    for expected in &revisions[701..] {
        assert_eq!(next_revision(&mut *watcher), *expected, "after a restart");
    }
}

#[test]
fn trimmed_log_says_compacted_and_a_slow_watcher_lagged() {
    let disk = Disk::new();
    let store = open_with(&disk, quiet(&clock()).with_change_retention(8));
    let first = commit(&store, put("k", "1"));
    let mut slow = watch_after(&store, Revision::ZERO);
    assert_eq!(next_revision(&mut *slow), first);
    for _ in 0..20 {
        commit(&store, buffered(put("k", "1")));
    }
    assert_eq!(disk.len(Keyspace::Changes), 8);
    let oldest = block_on(store.stats()).unwrap().oldest_revision;
    assert_eq!(oldest.get(), first.get() + 12);
    for _ in 0..2 {
        assert_eq!(block_on(slow.next()).unwrap(), WatchEvent::Lagged { oldest });
    }
    let mut late = watch_after(&store, Revision::ZERO);
    assert_eq!(block_on(late.next()).unwrap(), WatchEvent::Compacted { oldest });
    let mut right = watch_after(&store, oldest);
    assert_eq!(next_revision(&mut *right), oldest.next());
    check(&store);
    drop(store);
    let store = open(&disk);
    let mut late = watch_after(&store, first);
    assert_eq!(block_on(late.next()).unwrap(), WatchEvent::Compacted { oldest });
}

#[test]
fn lowered_retention_is_reached_by_and_by() {
    let disk = Disk::new();
    let store = open(&disk);
    for _ in 0..1200 {
        commit(&store, buffered(put("k", "1")));
    }
    drop(store);
    let store = open_with(&disk, quiet(&clock()).with_change_retention(4));
    commit(&store, buffered(put("k", "1")));
    assert_eq!(
        disk.len(Keyspace::Changes),
        1201 - 1024,
        "bounded work for one commit"
    );
    commit(&store, buffered(put("k", "1")));
    assert_eq!(disk.len(Keyspace::Changes), 4);
    check(&store);
}

#[test]
fn watch_ahead_of_the_store_is_refused() {
    let disk = Disk::new();
    let store = open(&disk);
    let revision = commit(&store, put("k", "1"));
    let spec = WatchSpec::new(KeyRange::all()).after(revision.next());
    assert_eq!(store.watch(&spec).err().unwrap().kind(), ErrorKind::Invalid);
}

#[test]
fn snapshot_then_tail_has_no_gap_under_concurrent_writers() {
    let disk = Disk::new();
    let store = open(&disk);
    let writer = Arc::clone(&store);
    let writing = std::thread::spawn(move || {
        let mut last = Revision::ZERO;
        for n in 0..300 {
            let batch = put("k", "1");
            last = commit(&writer, if n % 5 == 0 { batch } else { buffered(batch) });
        }
        last
    });
    let partition = key("k").partition();
    let mut watchers = Vec::new();
    for _ in 0..100 {
        let snapshot = block_on(store.snapshot()).unwrap();
        let revision = snapshot.revision(&partition);
        watchers.push((revision, watch_after(&store, revision)));
    }
    let last = writing.join().unwrap();
    for (start, mut watcher) in watchers {
        for expected in start.get() + 1..=last.get() {
            assert_eq!(next_revision(&mut *watcher).get(), expected);
        }
    }
}

#[test]
fn event_is_never_ahead_of_what_can_be_read() {
    let disk = Disk::new();
    let store = open(&disk);
    let mut watcher = watch_after(&store, Revision::ZERO);
    let writer = Arc::clone(&store);
    let writing = std::thread::spawn(move || {
        for n in 0..300 {
            let batch = put("k", "1");
            commit(&writer, if n % 5 == 0 { batch } else { buffered(batch) });
        }
    });
    for _ in 0..300 {
        let seen = next_revision(&mut *watcher);
        let read = block_on(stead_core::Read::get(&*store, &key("k")))
            .unwrap()
            .unwrap();
        assert!(read.revision() >= seen, "saw {seen}, read {}", read.revision());
    }
    writing.join().unwrap();
}

#[test]
fn batch_of_many_keys_is_one_event() {
    let disk = Disk::new();
    let store = open(&disk);
    let mut watcher = watch_after(&store, Revision::ZERO);
    let batch = (0..5).fold(WriteBatch::new(), |batch, n| {
        batch.put(key(&format!("k{n}")), "1")
    });
    let revision = commit(&store, batch);
    let last = commit(&store, put("k", "1"));
    match block_on(watcher.next()).unwrap() {
        WatchEvent::Changes(set) => assert_eq!((set.revision, set.changes.len()), (revision, 5)),
        other => panic!("{other:?}"),
    }
    assert_eq!(next_revision(&mut *watcher), last, "and nothing more of it");
}

#[test]
fn watcher_hears_nothing_of_a_commit_whose_sync_hangs() {
    let disk = Disk::new();
    let store = open(&disk);
    let mut watcher = watch_after(&store, Revision::ZERO);
    disk.block_syncs();
    let write = store.apply(put("k", "1"));
    disk.wait_until_a_sync_waits();
    let is_silent = {
        let mut next = std::pin::pin!(watcher.next());
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        next.as_mut().poll(&mut cx).is_pending()
    };
    disk.unblock_syncs();
    assert!(is_silent, "told before it is durable");
    let revision = block_on(write).unwrap().committed().unwrap();
    assert_eq!(next_revision(&mut *watcher), revision);
}

#[test]
fn batch_that_changes_nothing_uses_a_revision_and_shows_nobody() {
    let disk = Disk::new();
    let store = open(&disk);
    let mut watcher = watch_after(&store, Revision::ZERO);
    let idle = commit(&store, buffered(WriteBatch::new().delete(key("missing"))));
    let fleeting = commit(&store, put("k", "1").delete(key("k")));
    let seen = commit(&store, put("k", "1"));
    assert_eq!((fleeting, seen), (idle.next(), fleeting.next()));
    assert_eq!(next_revision(&mut *watcher), seen);
    assert_eq!(disk.len(Keyspace::Changes), 1);
    check(&store);
}
