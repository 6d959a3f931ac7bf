//! What a crash leaves, and what it may never bring back.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use futures_executor::block_on;
use stead_core::{Backend, ErrorKind, KeyRange, Revision, WatchEvent, WatchSpec, WriteBatch};
use support::*;

#[test]
fn crash_takes_buffered_writes_but_never_a_revision_twice() {
    let disk = Disk::new();
    let store = open(&disk);
    let durable = commit(&store, put("durable", "1"));
    let lost = commit(&store, buffered(put("lost", "1")));
    assert!(lost > durable);

    let disk = disk.after_power_failure();
    let store = open(&disk);
    assert_eq!(value(&*store, "durable").as_deref(), Some(&b"1"[..]));
    assert_eq!(value(&*store, "lost"), None);
    check(&store);
    let next = commit(&store, put("next", "1"));
    assert!(next > lost, "{next} was handed out before as {lost}");
    // Whoever saw the lost revision can go on from it, and misses nothing that came after.
    let mut watcher = store.watch(&WatchSpec::new(KeyRange::all()).after(lost)).unwrap();
    match block_on(watcher.next()).unwrap() {
        WatchEvent::Changes(set) => assert_eq!(set.revision, next),
        other => panic!("{other:?}"),
    }
}

#[test]
fn crash_right_after_opening_still_moves_on() {
    let mut disk = Disk::new();
    let mut last = Revision::ZERO;
    for _ in 0..5 {
        let store = open(&disk);
        let revision = commit(&store, buffered(put("k", "1")));
        assert!(revision > last, "{revision} after {last}");
        last = revision;
        disk = disk.after_power_failure();
        assert_eq!(value(&*open(&disk), "k"), None);
        // That store was closed cleanly; what it knew of the ceiling must have come from the crash before.
        disk = disk.after_power_failure();
    }
}

#[test]
fn clean_close_keeps_everything_and_skips_no_revision() {
    let disk = Disk::new();
    let store = open(&disk);
    let first = commit(&store, buffered(put("k", "1")));
    block_on(store.close()).unwrap();
    let disk = disk.after_power_failure();
    let store = open(&disk);
    assert_eq!(value(&*store, "k").as_deref(), Some(&b"1"[..]));
    assert_eq!(block_on(store.stats()).unwrap().revision, first);
    assert_eq!(commit(&store, put("k", "2")), first.next());
}

#[test]
fn used_up_reserve_waits_for_a_sync_and_is_renewed() {
    let disk = Disk::new();
    let store = open_with(&disk, quiet(&clock()).with_revision_reserve(4));
    for n in 0..4 {
        commit(&store, buffered(put(&format!("k{n}"), "1")));
    }
    disk.block_syncs();
    let fifth = store.apply(buffered(put("k4", "1")));
    assert!(
        !fifth.is_ready(),
        "a revision beyond the reserve is not handed out before a sync"
    );
    disk.wait_until_a_sync_waits();
    disk.unblock_syncs();
    let fifth = block_on(fifth).unwrap().committed().unwrap();
    let sixth = commit(&store, buffered(put("k5", "1")));
    let disk = disk.after_power_failure();
    let store = open(&disk);
    assert_eq!(
        value(&*store, "k4").as_deref(),
        Some(&b"1"[..]),
        "the sync took it along"
    );
    assert_eq!(value(&*store, "k5"), None);
    assert!(commit(&store, put("k", "1")) > sixth);
    assert!(sixth > fifth);
}

#[test]
fn revision_beyond_the_reserve_is_never_handed_out_twice() {
    let disk = Disk::new();
    let store = open_with(&disk, quiet(&clock()).with_revision_reserve(4));
    let last = (0..7)
        .map(|_| commit(&store, buffered(put("k", "1"))))
        .max()
        .unwrap();
    let store = open(&disk.after_power_failure());
    let next = commit(&store, put("k", "2"));
    assert!(next > last, "{next} after {last}");
}

#[test]
fn power_failure_at_every_sync_leaves_a_store_that_checks() {
    let disk = Disk::new();
    let store = open(&disk);
    let mut images = Vec::new();
    for n in 0..20 {
        let batch = WriteBatch::new()
            .put(key(&format!("a{n}")), "1")
            .delete(key(&format!("a{}", n / 2)));
        let batch = if n % 3 == 0 { batch } else { buffered(batch) };
        commit(&store, batch);
        images.push(disk.after_power_failure());
    }
    for image in images {
        check(&open(&image));
    }
}

#[test]
fn strange_bytes_are_not_taken_for_a_store() {
    let disk = Disk::new();
    disk.edit(|maps| {
        maps[0].insert(b"some".to_vec(), b"thing".to_vec());
    });
    let error = stead_embedded::Embedded::open(disk.engine().unwrap(), quiet(&clock())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);

    let disk = Disk::new();
    drop(open(&disk));
    disk.edit(|maps| {
        let header = maps[3].get_mut(&b"store"[..]).unwrap();
        header[9] = 9;
    });
    let error = stead_embedded::Embedded::open(disk.engine().unwrap(), quiet(&clock())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("newer format"), "{error}");
    assert_eq!(
        disk.len(stead_embedded::Keyspace::Meta),
        1,
        "and it is left as it was"
    );
}

#[test]
fn lineage_stays_and_tells_stores_apart() {
    let disk = Disk::new();
    let store = open(&disk);
    let lineage = store.lineage();
    drop(store);
    assert_eq!(open(&disk).lineage(), lineage);
    let random = std::sync::Arc::new(stead_core::SystemRandom);
    let other = open_with(&Disk::new(), quiet(&clock()).with_random(random));
    assert_ne!(other.lineage(), lineage);
}
