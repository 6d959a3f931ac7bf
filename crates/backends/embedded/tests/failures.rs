//! What a failed write does to those who wait, and to the store.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::error::Error as _;

use futures_executor::block_on;
use stead_core::{Backend, ErrorKind, Expect, Outcome, RequestId};
use support::*;

#[test]
fn failed_commit_poisons_the_store_and_reads_go_on() {
    let disk = Disk::new();
    let store = open(&disk);
    commit(&store, put("k", "old"));
    disk.block_syncs();
    let first = store.apply(put("first", "1"));
    disk.wait_until_a_sync_waits();
    // These three share the commit that fails.
    let write = store.apply(put("k", "new"));
    let rejected = store.apply(put("l", "1").expect(key("l"), Expect::Present));
    let synced = store.sync();
    disk.fail_next_commit(Fault::Before(ErrorKind::Unavailable));
    disk.unblock_syncs();
    assert!(block_on(first).unwrap().is_committed());
    let error = block_on(write).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome);
    assert!(error.source().unwrap().to_string().contains("planted failure"));
    assert_eq!(
        block_on(rejected).unwrap_err().kind(),
        ErrorKind::UnknownOutcome,
        "it was judged by what may never have happened"
    );
    assert_eq!(block_on(synced).unwrap_err().kind(), ErrorKind::Unavailable);

    for batch in [put("x", "1"), buffered(put("x", "1"))] {
        let error = block_on(store.apply(batch)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("poisoned"), "{error}");
        assert!(error.to_string().contains("planted failure"), "{error}");
    }
    assert_eq!(block_on(store.sync()).unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(value(&*store, "k").as_deref(), Some(&b"old"[..]));

    assert_eq!(
        block_on(store.close()).unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    disk.lose_unsynced();
    let store = open(&disk);
    commit(&store, put("k", "newer"));
    check(&store);
}

#[test]
fn failed_buffered_commit_poisons_too() {
    let disk = Disk::new();
    let store = open(&disk);
    disk.fail_next_commit(Fault::After);
    let error = block_on(store.apply(buffered(put("k", "1")))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownOutcome);
    assert_eq!(value(&*store, "k"), None, "not published");
    let error = block_on(store.apply(put("k", "1"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[test]
fn full_disk_is_full_and_then_poisoned() {
    let disk = Disk::new();
    let store = open(&disk);
    disk.fail_next_commit(Fault::Before(ErrorKind::Full));
    assert_eq!(
        block_on(store.apply(put("k", "1"))).unwrap_err().kind(),
        ErrorKind::Full
    );
    assert_eq!(
        block_on(store.apply(put("k", "1"))).unwrap_err().kind(),
        ErrorKind::Unavailable
    );
}

#[test]
fn write_of_unknown_outcome_is_safe_to_repeat_with_its_request_id() {
    for fault in [Fault::Before(ErrorKind::Unavailable), Fault::After] {
        let disk = Disk::new();
        let store = open(&disk);
        let batch = || put("k", "1").request_id(RequestId::new("r1").unwrap());
        disk.fail_next_commit(fault);
        let error = block_on(store.apply(batch())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownOutcome);
        drop(store);
        let store = open(&disk);
        let first = block_on(store.apply(batch())).unwrap();
        assert!(first.is_committed());
        assert_eq!(block_on(store.apply(batch())).unwrap(), first);
        assert_eq!(value(&*store, "k").as_deref(), Some(&b"1"[..]));
        check(&store);
    }
}

#[test]
fn panic_on_the_stores_thread_leaves_nobody_hanging() {
    let disk = Disk::new();
    let store = open(&disk);
    let mut watcher = store
        .watch(&stead_core::WatchSpec::new(stead_core::KeyRange::all()))
        .unwrap();
    disk.block_syncs();
    let first = store.apply(put("a", "1"));
    disk.wait_until_a_sync_waits();
    let writes = [store.apply(put("b", "1")), store.apply(put("c", "1"))];
    disk.fail_next_commit(Fault::Panic);
    disk.unblock_syncs();
    assert!(block_on(first).unwrap().is_committed());
    for write in writes {
        assert_eq!(block_on(write).unwrap_err().kind(), ErrorKind::UnknownOutcome);
    }
    assert!(matches!(
        block_on(watcher.next()),
        Ok(stead_core::WatchEvent::Changes(_))
    ));
    assert_eq!(block_on(watcher.next()).unwrap_err().kind(), ErrorKind::Closed);
    assert!(block_on(store.apply(put("d", "1"))).is_err());
    assert!(block_on(store.close()).is_ok(), "it has ended already");
    drop(store);
    let store = open(&disk);
    assert_eq!(value(&*store, "a").as_deref(), Some(&b"1"[..]));
}

#[test]
fn panic_on_a_callers_thread_poisons_the_store() {
    let disk = Disk::new();
    let store = open(&disk);
    disk.fail_next_commit(Fault::Panic);
    let writer = std::sync::Arc::clone(&store);
    let panicked = std::thread::spawn(move || block_on(writer.apply(buffered(put("k", "1"))))).join();
    assert!(panicked.is_err());
    let error = block_on(store.apply(put("k", "1"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("poisoned"), "{error}");
    assert_eq!(value(&*store, "k"), None);
}

#[test]
fn failure_of_one_batch_leaves_the_others_of_its_commit_alone() {
    let disk = Disk::new();
    let store = open(&disk);
    disk.block_syncs();
    let first = store.apply(put("a", "1"));
    disk.wait_until_a_sync_waits();
    let endless = stead_core::Expiry::After(stead_core::Ttl::from_millis(u64::MAX).unwrap());
    let wrong = store.apply(put("b", "1").put_with(key("c"), "1", endless));
    let right = store.apply(put("d", "1"));
    disk.unblock_syncs();
    let first = block_on(first).unwrap().committed().unwrap();
    assert_eq!(block_on(wrong).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(block_on(right).unwrap(), Outcome::Committed(first.next()));
    assert_eq!(value(&*store, "b"), None);
    check(&store);
}
