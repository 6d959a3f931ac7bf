//! Who shares a commit, and who waits for whom.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use futures_executor::block_on;
use stead_core::{Backend, ErrorKind, Expect, Outcome, Revision, WriteBatch};
use support::*;

#[test]
fn durable_writers_that_wait_share_one_sync() {
    let disk = Disk::new();
    let store = open(&disk);
    let before = disk.syncs.load(Ordering::SeqCst);
    disk.block_syncs();
    let first = store.apply(put("first", "1"));
    disk.wait_until_a_sync_waits();
    let replies: Vec<_> = (0..64).map(|n| store.apply(put(&format!("k{n}"), "1"))).collect();
    assert!(replies.iter().all(|reply| !reply.is_ready()));
    disk.unblock_syncs();
    let first = block_on(first).unwrap().committed().unwrap();
    let mut last = first;
    for reply in replies {
        let revision = block_on(reply).unwrap().committed().unwrap();
        assert_eq!(
            revision,
            last.next(),
            "one revision for each batch, in the order of arrival"
        );
        last = revision;
    }
    assert_eq!(
        disk.syncs.load(Ordering::SeqCst) - before,
        2,
        "64 batches in one sync behind the first"
    );
    check(&store);
}

#[test]
fn batches_of_one_commit_see_each_other() {
    let disk = Disk::new();
    let store = open(&disk);
    disk.block_syncs();
    let first = store.apply(put("other", "1"));
    disk.wait_until_a_sync_waits();
    let create = || store.apply(put("k", "1").expect(key("k"), Expect::Absent));
    let (winner, loser) = (create(), create());
    let counted =
        store.apply(put("sum", "1").expect_count(stead_core::KeyRange::partition(&key("k").partition()), 2));
    let delete = store.apply(WriteBatch::new().delete(key("k")));
    let again = create();
    let miscounted =
        store.apply(put("sum", "2").expect_count(stead_core::KeyRange::partition(&key("k").partition()), 2));
    let removed = store.apply(WriteBatch::new().delete(key("other")));
    let recounted =
        store.apply(put("done", "1").expect_count(stead_core::KeyRange::partition(&key("k").partition()), 2));
    disk.unblock_syncs();
    assert!(block_on(first).unwrap().is_committed());
    assert!(block_on(winner).unwrap().is_committed());
    assert!(!block_on(loser).unwrap().is_committed());
    assert!(block_on(counted).unwrap().is_committed());
    assert!(block_on(delete).unwrap().is_committed());
    assert!(block_on(again).unwrap().is_committed());
    assert!(!block_on(miscounted).unwrap().is_committed());
    assert!(block_on(removed).unwrap().is_committed());
    assert!(block_on(recounted).unwrap().is_committed(), "k and sum are left");
    check(&store);
}

#[test]
fn buffered_commits_are_made_durable_after_so_many() {
    let disk = Disk::new();
    let store = open_with(&disk, quiet(&clock()).with_flush_commits(3));
    let before = disk.syncs.load(Ordering::SeqCst);
    for round in 1..=4 {
        for n in 1..=3 {
            assert_eq!(
                disk.syncs.load(Ordering::SeqCst) - before,
                round - 1,
                "commit {n}"
            );
            commit(&store, buffered(put(&format!("k{round}.{n}"), "1")));
        }
        wait_until(|| disk.syncs.load(Ordering::SeqCst) - before == round);
    }
    let left = open(&disk.after_power_failure());
    assert!(value(&*left, "k4.3").is_some());
    check(&left);
}

#[test]
fn buffered_writer_is_answered_at_once_and_never_waits_for_an_fsync() {
    let disk = Disk::new();
    let store = open(&disk);
    assert!(store.apply(buffered(put("a", "1"))).is_ready());
    disk.block_syncs();
    let durable = store.apply(put("b", "1"));
    disk.wait_until_a_sync_waits();
    // The call returns while the fsync hangs; the batch waits in the queue.
    let behind = store.apply(buffered(put("c", "1")));
    assert!(!behind.is_ready());
    assert_eq!(value(&*store, "c"), None);
    assert_eq!(value(&*store, "a").as_deref(), Some(&b"1"[..]), "reads go on");
    disk.unblock_syncs();
    assert!(block_on(durable).unwrap().is_committed());
    assert!(block_on(behind).unwrap().is_committed());
}

#[test]
fn buffered_writer_does_not_overtake_what_waits() {
    let disk = Disk::new();
    let store = open(&disk);
    disk.block_syncs();
    let first = store.apply(put("a", "1"));
    disk.wait_until_a_sync_waits();
    let second = store.apply(put("k", "durable"));
    let third = store.apply(buffered(put("k", "buffered")));
    disk.unblock_syncs();
    for reply in [first, second, third] {
        assert!(block_on(reply).unwrap().is_committed());
    }
    assert_eq!(value(&*store, "k").as_deref(), Some(&b"buffered"[..]));
}

#[test]
fn buffered_writer_does_not_overtake_what_the_thread_has_not_taken_up_yet() {
    let disk = Disk::new();
    let store = open(&disk);
    for round in 0..200 {
        let first = store.apply(put("k", "durable"));
        let second = store.apply(buffered(put("k", "buffered")));
        let first = block_on(first).unwrap().committed().unwrap();
        let second = block_on(second).unwrap().committed().unwrap();
        assert!(first < second, "round {round}");
        assert_eq!(value(&*store, "k").as_deref(), Some(&b"buffered"[..]));
    }
}

#[test]
fn dropped_reply_takes_nothing_back_and_holds_nobody_up() {
    let disk = Disk::new();
    let store = open(&disk);
    disk.block_syncs();
    let first = store.apply(put("a", "1"));
    disk.wait_until_a_sync_waits();
    drop(store.apply(put("dropped", "1")));
    let last = store.apply(put("b", "1"));
    drop(first);
    disk.unblock_syncs();
    assert!(block_on(last).unwrap().is_committed());
    assert_eq!(value(&*store, "dropped").as_deref(), Some(&b"1"[..]));
}

#[test]
fn rejected_group_costs_no_commit() {
    let disk = Disk::new();
    let store = open(&disk);
    let before = disk.commits.load(Ordering::SeqCst);
    let absent = put("k", "1").expect(key("k"), Expect::Present);
    assert!(!block_on(store.apply(absent)).unwrap().is_committed());
    assert_eq!(disk.commits.load(Ordering::SeqCst), before);
}

#[test]
fn batch_without_mutations_is_judged_on_the_spot_and_uses_no_revision() {
    let disk = Disk::new();
    let store = open(&disk);
    let revision = commit(&store, put("k", "1"));
    let reply = store.apply(WriteBatch::new().expect(key("k"), Expect::At(revision)));
    assert!(reply.is_ready());
    assert_eq!(block_on(reply).unwrap(), Outcome::Committed(revision));
    let reply = store.apply(WriteBatch::new().expect(key("k"), Expect::Absent));
    assert!(!block_on(reply).unwrap().is_committed());
    assert_eq!(commit(&store, put("l", "1")), revision.next());
}

#[test]
fn full_queue_refuses_with_a_typed_error_and_writes_nothing_of_it() {
    let disk = Disk::new();
    let store = open_with(&disk, quiet(&clock()).with_queue_limits(2, 1 << 20));
    disk.block_syncs();
    let first = store.apply(put("a", "1"));
    disk.wait_until_a_sync_waits();
    let waiting = [store.apply(put("b", "1")), store.apply(put("c", "1"))];
    let refused = block_on(store.apply(put("d", "1"))).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    disk.unblock_syncs();
    assert!(block_on(first).unwrap().is_committed());
    for reply in waiting {
        assert!(block_on(reply).unwrap().is_committed());
    }
    assert_eq!(value(&*store, "d"), None);
}

#[test]
fn sync_makes_buffered_writes_durable() {
    let disk = Disk::new();
    let store = open(&disk);
    commit(&store, buffered(put("k", "1")));
    let lost = disk.after_power_failure();
    assert_eq!(value(&*open(&lost), "k"), None);
    block_on(store.sync()).unwrap();
    let kept = disk.after_power_failure();
    assert_eq!(value(&*open(&kept), "k").as_deref(), Some(&b"1"[..]));
    let syncs = disk.syncs.load(Ordering::SeqCst);
    block_on(store.sync()).unwrap();
    assert_eq!(disk.syncs.load(Ordering::SeqCst), syncs, "nothing to sync");
}

#[test]
fn buffered_writes_are_flushed_on_their_own() {
    let disk = Disk::new();
    let options = quiet(&clock()).with_flush_interval(std::time::Duration::from_millis(5));
    let store = open_with(&disk, options);
    commit(&store, buffered(put("k", "1")));
    wait_until(|| value(&*open(&disk.after_power_failure()), "k").is_some());
}

#[test]
fn mixed_writers_keep_every_increment_and_every_revision_apart() {
    let disk = Disk::new();
    let store = open(&disk);
    commit(&store, put("n", "0"));
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                (0..50)
                    .map(|n| increment(&store, (thread + n) % 2 == 0))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let mut revisions: Vec<Revision> = threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap())
        .collect();
    assert_eq!(value(&*store, "n").unwrap(), b"400");
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len(), 400);
    check(&store);
}

fn increment(store: &stead_embedded::Embedded<Fake>, durable: bool) -> Revision {
    use stead_core::Read;
    loop {
        let entry = block_on(store.get(&key("n"))).unwrap().unwrap();
        let n: u64 = std::str::from_utf8(entry.value()).unwrap().parse().unwrap();
        let batch = WriteBatch::new()
            .expect(key("n"), Expect::At(entry.revision()))
            .put(key("n"), (n + 1).to_string());
        let batch = if durable { batch } else { buffered(batch) };
        if let Outcome::Committed(revision) = block_on(store.apply(batch)).unwrap() {
            return revision;
        }
    }
}

#[test]
fn flush_waits_for_its_interval_though_the_sweeper_is_busier() {
    let disk = Disk::new();
    let options = quiet(&clock())
        .with_flush_interval(std::time::Duration::from_secs(1))
        .with_sweep_interval(std::time::Duration::from_millis(2));
    let store = open_with(&disk, options);
    let syncs = disk.syncs.load(Ordering::SeqCst);
    commit(&store, buffered(put("k", "1")));
    thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(disk.syncs.load(Ordering::SeqCst), syncs, "not before its time");
    wait_until(|| disk.syncs.load(Ordering::SeqCst) > syncs);
}
