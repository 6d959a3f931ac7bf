//! Request ids: what is remembered, for how long, and how safely.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures_executor::block_on;
use stead_core::{Backend, ErrorKind, Expect, Outcome, RequestId, Revision, WriteBatch};
use stead_embedded::Keyspace;
use support::*;

fn named(batch: WriteBatch, id: impl AsRef<[u8]>) -> WriteBatch {
    batch.request_id(RequestId::new(id).unwrap())
}

#[test]
fn repeated_request_gets_its_first_outcome_and_writes_once() {
    let disk = Disk::new();
    let store = open(&disk);
    let batch = || named(put("k", "1"), "r1");
    let first = commit(&store, batch());
    let later = commit(&store, put("k", "2"));
    assert_eq!(commit(&store, batch()), first);
    assert_eq!(
        commit(&store, buffered(batch())),
        first,
        "durability is no part of the batch"
    );
    assert_eq!(value(&*store, "k").as_deref(), Some(&b"2"[..]));
    let other = block_on(store.apply(named(put("k", "3"), "r1"))).unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Conflict);
    drop(store);
    let store = open(&disk);
    assert_eq!(commit(&store, batch()), first);
    assert!(commit(&store, put("k", "4")) > later);
    check(&store);
}

#[test]
fn rejection_is_remembered_too() {
    let disk = Disk::new();
    let store = open(&disk);
    let batch = || named(put("k", "1").expect(key("k"), Expect::At(Revision::new(9))), "r1");
    let first = block_on(store.apply(batch())).unwrap();
    assert!(matches!(first, Outcome::Rejected(_)));
    commit(&store, put("k", "0"));
    drop(store);
    let store = open(&disk);
    assert_eq!(
        block_on(store.apply(batch())).unwrap(),
        first,
        "what was found then, not now"
    );
    check(&store);
}

#[test]
fn request_without_mutations_is_remembered() {
    let disk = Disk::new();
    let store = open(&disk);
    let batch = || named(WriteBatch::new().expect(key("k"), Expect::Absent), "r1");
    let first = block_on(store.apply(batch())).unwrap();
    assert!(first.is_committed());
    commit(&store, put("k", "1"));
    assert_eq!(block_on(store.apply(batch())).unwrap(), first);
}

#[test]
fn same_request_twice_in_one_commit_writes_once() {
    let disk = Disk::new();
    let store = open(&disk);
    disk.block_syncs();
    let blocker = store.apply(put("a", "1"));
    disk.wait_until_a_sync_waits();
    let twice = [
        store.apply(named(put("k", "1"), "r1")),
        store.apply(named(put("k", "1"), "r1")),
    ];
    disk.unblock_syncs();
    let _ = block_on(blocker).unwrap();
    let [first, second] = twice.map(|reply| block_on(reply).unwrap());
    assert_eq!(first, second);
    check(&store);
}

#[test]
fn durable_repeat_of_a_buffered_request_is_durable() {
    let disk = Disk::new();
    let store = open(&disk);
    let batch = || named(put("k", "1"), "r1");
    let first = commit(&store, buffered(batch()));
    assert_eq!(commit(&store, batch()), first);
    let store = open(&disk.after_power_failure());
    assert_eq!(
        value(&*store, "k").as_deref(),
        Some(&b"1"[..]),
        "it was acknowledged as durable"
    );
}

#[test]
fn oldest_requests_are_forgotten_beyond_the_retention() {
    let disk = Disk::new();
    let store = open_with(&disk, quiet(&clock()).with_request_retention(10));
    for n in 0..50 {
        commit(&store, named(put("k", "1"), format!("r{n}")));
    }
    // The header, and two records for each request.
    assert_eq!(disk.len(Keyspace::Meta), 1 + 20);
    check(&store);
    let last = block_on(store.stats()).unwrap().revision;
    assert_eq!(commit(&store, named(put("k", "1"), "r49")), last, "still known");
    assert_eq!(
        commit(&store, named(put("k", "1"), "r0")),
        last.next(),
        "forgotten, and so written again"
    );
}

#[test]
fn old_requests_are_forgotten_after_their_age() {
    let disk = Disk::new();
    let clock = clock();
    let options = quiet(&clock)
        .with_request_age(Duration::from_secs(60))
        .with_sweep_interval(Duration::from_millis(2));
    let store = open_with(&disk, options);
    commit(&store, named(put("k", "1"), "old"));
    clock.advance_millis(59_000);
    commit(&store, named(put("k", "2"), "young"));
    clock.advance_millis(2_000);
    wait_until(|| disk.len(Keyspace::Meta) == 3);
    let last = block_on(store.stats()).unwrap().revision;
    assert_eq!(commit(&store, named(put("k", "2"), "young")), last);
    check(&store);
}

#[test]
fn many_tasks_with_one_request_write_once() {
    let disk = Disk::new();
    let store = open(&disk);
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let store = Arc::clone(&store);
            std::thread::spawn(move || {
                let batch = named(put("k", "1"), "r1");
                commit(&store, if thread % 2 == 0 { batch } else { buffered(batch) })
            })
        })
        .collect();
    let revisions: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(revisions.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(block_on(store.stats()).unwrap().commits, 1);
}
