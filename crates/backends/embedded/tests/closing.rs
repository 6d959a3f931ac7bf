//! Ending a store: what is finished, what is refused and what is released.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use futures_executor::block_on;
use stead_core::{Backend, Error, ErrorKind, KeyRange, Read, Scan, WatchEvent, WatchSpec};
use stead_embedded::Embedded;
use support::*;

fn is_closed<T>(result: Result<T, Error>) {
    assert_eq!(result.err().unwrap().kind(), ErrorKind::Closed);
}

#[test]
fn close_finishes_what_waits_and_frees_the_path() {
    let disk = Disk::new();
    let store = open(&disk);
    disk.block_syncs();
    let first = store.apply(put("a", "1"));
    disk.wait_until_a_sync_waits();
    let waiting = store.apply(put("b", "1"));
    let closing = store.close();
    assert!(!closing.is_ready());
    is_closed(block_on(store.apply(put("c", "1"))));
    disk.unblock_syncs();
    assert!(block_on(first).unwrap().is_committed());
    assert!(block_on(waiting).unwrap().is_committed());
    block_on(closing).unwrap();
    // The handle is still there, and so is the path free.
    let again = open(&disk);
    assert_eq!(value(&*again, "b").as_deref(), Some(&b"1"[..]));
    assert_eq!(value(&*again, "c"), None);
    block_on(store.close()).unwrap();
}

#[test]
fn closed_store_answers_closed_to_everything() {
    let disk = Disk::new();
    let store = open(&disk);
    commit(&store, put("k", "1"));
    let snapshot = block_on(store.snapshot()).unwrap();
    let mut cursor = store.scan(&Scan::new(KeyRange::all())).unwrap();
    let mut of_snapshot = snapshot.scan(&Scan::new(KeyRange::all())).unwrap();
    block_on(store.close()).unwrap();
    let keys = [key("k")];
    is_closed(block_on(store.get(&keys[0])));
    is_closed(block_on(store.get_many(&keys)));
    is_closed(store.scan(&Scan::new(KeyRange::all())));
    is_closed(block_on(store.apply(put("k", "2"))));
    is_closed(block_on(store.apply(buffered(put("k", "2")))));
    is_closed(block_on(store.snapshot()));
    is_closed(store.watch(&WatchSpec::new(KeyRange::all())));
    is_closed(block_on(store.sync()));
    is_closed(block_on(store.stats()));
    is_closed(block_on(store.check(&|_| {})));
    is_closed(block_on(cursor.next_page()));
    is_closed(block_on(snapshot.get(&keys[0])));
    is_closed(block_on(of_snapshot.next_page()));
    assert_eq!(store.capabilities().name, "fake");
    block_on(store.close()).unwrap();
}

#[test]
fn watcher_gets_what_is_left_and_then_closed() {
    let disk = Disk::new();
    let store = open(&disk);
    let mut watcher = store.watch(&WatchSpec::new(KeyRange::all())).unwrap();
    let first = commit(&store, put("a", "1"));
    let second = commit(&store, buffered(put("b", "1")));
    block_on(store.close()).unwrap();
    for expected in [first, second] {
        match block_on(watcher.next()).unwrap() {
            WatchEvent::Changes(set) => assert_eq!(set.revision, expected),
            other => panic!("{other:?}"),
        }
    }
    is_closed(block_on(watcher.next()));
    is_closed(block_on(watcher.next()));
    drop(store);
    is_closed(block_on(watcher.next()));
}

#[test]
fn waiting_watcher_is_woken_by_the_close() {
    let disk = Disk::new();
    let store = open(&disk);
    let mut watcher = store.watch(&WatchSpec::new(KeyRange::all())).unwrap();
    let waiting = std::thread::spawn(move || block_on(watcher.next()).err().unwrap().kind());
    std::thread::sleep(std::time::Duration::from_millis(10));
    block_on(store.close()).unwrap();
    assert_eq!(waiting.join().unwrap(), ErrorKind::Closed);
}

#[test]
fn dropped_store_is_closed_cleanly_even_with_a_snapshot_alive() {
    let disk = Disk::new();
    let store = open(&disk);
    let revision = commit(&store, buffered(put("k", "1")));
    let snapshot = block_on(store.snapshot()).unwrap();
    drop(store);
    let store = open(&disk.after_power_failure());
    assert_eq!(
        commit(&store, put("l", "1")),
        revision.next(),
        "the end was clean"
    );
    is_closed(block_on(snapshot.get(&key("k"))));
    drop(open(&disk));
}

#[test]
fn several_closes_at_once_all_wait_for_the_end() {
    let disk = Disk::new();
    let store = open(&disk);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let store = Arc::clone(&store);
            std::thread::spawn(move || block_on(store.close()).is_ok())
        })
        .collect();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
    drop(open(&disk));
}

#[test]
fn close_among_busy_readers_and_writers_loses_nothing_acknowledged() {
    for _ in 0..20 {
        let disk = Disk::new();
        let store = open(&disk);
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let store = Arc::clone(&store);
                std::thread::spawn(move || {
                    let mut acknowledged = Vec::new();
                    for n in 0.. {
                        let path = format!("{thread}/{n}");
                        let batch = put(&path, "1");
                        let batch = if n % 2 == 0 { batch } else { buffered(batch) };
                        match block_on(store.apply(batch)) {
                            Ok(_) => acknowledged.push(path),
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::Closed);
                                return acknowledged;
                            }
                        }
                        let _ = block_on(store.get(&key(&acknowledged[0])));
                    }
                    acknowledged
                })
            })
            .collect();
        std::thread::sleep(std::time::Duration::from_millis(2));
        block_on(store.close()).unwrap();
        let again = open(&disk.after_power_failure());
        for path in threads.into_iter().flat_map(|thread| thread.join().unwrap()) {
            assert!(value(&*again, &path).is_some(), "{path}");
        }
        check(&again);
    }
}

#[test]
fn read_only_store_reads_and_never_writes() {
    let disk = Disk::new();
    let store = Embedded::open(disk.engine().unwrap(), quiet(&clock()).read_only());
    assert_eq!(
        store.err().unwrap().kind(),
        ErrorKind::Invalid,
        "there is nothing to read"
    );
    let store = open(&disk);
    let revision = commit(&store, put("k", "1"));
    drop(store);
    let commits = disk.commits.load(std::sync::atomic::Ordering::SeqCst);
    let store = open_with(&disk, quiet(&clock()).read_only());
    assert_eq!(value(&*store, "k").as_deref(), Some(&b"1"[..]));
    assert_eq!(
        block_on(store.apply(put("k", "2"))).unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    let asking = stead_core::WriteBatch::new().expect(key("k"), stead_core::Expect::At(revision));
    assert!(block_on(store.apply(asking)).unwrap().is_committed());
    block_on(store.sync()).unwrap();
    check(&store);
    block_on(store.close()).unwrap();
    is_closed(block_on(store.get(&key("k"))));
    assert_eq!(disk.commits.load(std::sync::atomic::Ordering::SeqCst), commits);
}
