//! Who shares a commit, and in which order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use shuttle::future::block_on;
use shuttle::thread;
use stead_core::{
    Backend, ErrorKind, Expect, KeyRange, Outcome, Read, RequestId, Revision, WatchEvent, WatchSpec,
};

use crate::disk::Disk;
use crate::support::*;

#[test]
fn writers_share_commits_and_lose_nothing() {
    explore(|| {
        let disk = Disk::new();
        let store = open(&disk, flushing());
        let threads: Vec<_> = (0..3)
            .map(|writer| {
                let (store, disk) = (Arc::clone(&store), Arc::clone(&disk));
                thread::spawn(move || {
                    let mut mine = Vec::new();
                    for n in 0..2 {
                        let path = format!("{writer}/{n}");
                        mine.push(commit(&store, mixed(put(&path, "1"), writer + n)));
                        let durable = (writer + n) % 2 == 0;
                        assert!(
                            !durable || disk.has_synced(&key(&path)),
                            "acknowledged before the sync"
                        );
                        assert!(value(&store, &path).is_some(), "acknowledged and not to be read");
                    }
                    assert!(mine.is_sorted(), "one thread's commits are in order");
                    mine
                })
            })
            .collect();
        let mut revisions = BTreeSet::new();
        for thread in threads {
            for revision in thread.join().unwrap() {
                assert!(revisions.insert(revision), "{revision} was handed out twice");
            }
        }
        assert_eq!(revisions.len(), 6);
        check(&store);
        let last = *revisions.last().unwrap();
        // A power failure now takes buffered writes along, and yet no revision comes again.
        let after = open(&disk.after_power_failure(), quiet());
        check(&after);
        let next = commit(&after, buffered(put("next", "1")));
        assert!(next > last, "{next} after {last}");
    });
}

#[test]
fn change_log_holds_each_commit_once_and_in_order() {
    explore(|| {
        let disk = Disk::new();
        let store = open(&disk, quiet());
        let threads: Vec<_> = (0..3)
            .map(|writer| {
                let store = Arc::clone(&store);
                thread::spawn(move || {
                    (0..2)
                        .map(|n| commit(&store, mixed(pair(format!("{writer}/{n}")), writer + n)))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let mut revisions: Vec<Revision> = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        revisions.sort_unstable();
        let mut watcher = store
            .watch(&WatchSpec::new(KeyRange::all()).after(Revision::ZERO))
            .unwrap();
        for revision in revisions {
            match block_on(watcher.next()).unwrap() {
                WatchEvent::Changes(set) => assert_eq!((set.revision, set.changes.len()), (revision, 2)),
                other => panic!("{other:?}"),
            }
        }
        close(&store);
        assert_eq!(block_on(watcher.next()).unwrap_err().kind(), ErrorKind::Closed);
    });
}

#[test]
fn buffered_write_never_overtakes_a_durable_one() {
    explore(|| {
        let disk = Disk::new();
        let store = open(&disk, quiet());
        let threads: Vec<_> = (0..2)
            .map(|writer| {
                let store = Arc::clone(&store);
                thread::spawn(move || {
                    let path = writer.to_string();
                    for round in 0..2 {
                        let first = store.apply(put(&path, "durable"));
                        let second = store.apply(buffered(put(&path, "buffered")));
                        let first = block_on(first).unwrap().committed().unwrap();
                        let second = block_on(second).unwrap().committed().unwrap();
                        assert!(first < second, "round {round}: {second} overtook {first}");
                        assert_eq!(value(&store, &path).as_deref(), Some(&b"buffered"[..]));
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn every_increment_counts() {
    explore(|| {
        let disk = Disk::new();
        let store = open(&disk, quiet());
        commit(&store, put("n", "0"));
        let threads: Vec<_> = (0..3)
            .map(|writer| {
                let store = Arc::clone(&store);
                thread::spawn(move || {
                    for n in 0..2 {
                        increment(&store, writer + n);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(value(&store, "n").unwrap(), b"6");
        check(&store);
    });
}

fn increment(store: &Store, number: usize) {
    loop {
        let entry = block_on(store.get(&key("n"))).unwrap().unwrap();
        let n: u64 = std::str::from_utf8(entry.value()).unwrap().parse().unwrap();
        let batch = put("n", &(n + 1).to_string()).expect(key("n"), Expect::At(entry.revision()));
        if block_on(store.apply(mixed(batch, number)))
            .unwrap()
            .is_committed()
        {
            return;
        }
        thread::yield_now();
    }
}

#[test]
fn one_request_writes_once_whoever_repeats_it() {
    explore(|| {
        let disk = Disk::new();
        let store = open(&disk, quiet());
        let threads: Vec<_> = (0..3)
            .map(|writer| {
                let (store, disk) = (Arc::clone(&store), Arc::clone(&disk));
                thread::spawn(move || {
                    let batch = put("k", "1").request_id(RequestId::new("r").unwrap());
                    let revision = commit(&store, mixed(batch, writer));
                    assert!(
                        writer % 2 != 0 || disk.has_synced(&key("k")),
                        "acknowledged before the sync"
                    );
                    revision
                })
            })
            .collect();
        let revisions: BTreeSet<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(revisions.len(), 1);
        assert_eq!(block_on(store.stats()).unwrap().commits, 1);
    });
}

#[test]
fn full_queue_refuses_and_writes_nothing_of_it() {
    explore(|| {
        let disk = Disk::new();
        let store = open(&disk, quiet().with_queue_limits(1, 1 << 20));
        let threads: Vec<_> = (0..4)
            .map(|writer| {
                let store = Arc::clone(&store);
                thread::spawn(
                    move || match block_on(store.apply(put(&writer.to_string(), "1"))) {
                        Ok(Outcome::Committed(_)) => true,
                        Ok(other) => panic!("{other:?}"),
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Unavailable);
                            false
                        }
                    },
                )
            })
            .collect();
        let accepted: Vec<bool> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(accepted.contains(&true));
        for (writer, accepted) in accepted.into_iter().enumerate() {
            assert_eq!(value(&store, &writer.to_string()).is_some(), accepted);
        }
        // There is room again.
        commit(&store, put("later", "1"));
        check(&store);
    });
}

#[test]
fn snapshots_and_reads_never_see_half_a_batch() {
    explore(|| {
        let disk = Disk::new();
        let store = open(&disk, quiet());
        commit(&store, pair("start".to_owned()));
        let writer = Arc::clone(&store);
        let writing = thread::spawn(move || {
            for n in 0..3 {
                commit(&writer, mixed(pair(n.to_string()), n));
            }
        });
        let keys = [key("left"), key("right")];
        let mut last = Revision::ZERO;
        for _ in 0..3 {
            let both = block_on(store.get_many(&keys)).unwrap();
            assert_eq!(both[0], both[1]);
            let snapshot = block_on(store.snapshot()).unwrap();
            let first = block_on(snapshot.get(&keys[0])).unwrap().unwrap();
            crate::disk::turn();
            let second = block_on(snapshot.get(&keys[1])).unwrap().unwrap();
            assert_eq!(first, second);
            assert!(first.revision() >= last, "a snapshot went back");
            last = first.revision();
        }
        writing.join().unwrap();
    });
}

#[test]
fn sync_covers_what_was_acknowledged_before_it() {
    explore(|| {
        let disk = Disk::new();
        let store = open(&disk, flushing());
        let threads: Vec<_> = (0..2)
            .map(|writer| {
                let (store, disk) = (Arc::clone(&store), Arc::clone(&disk));
                thread::spawn(move || {
                    let path = writer.to_string();
                    commit(&store, buffered(put(&path, "1")));
                    block_on(store.sync()).unwrap();
                    assert!(disk.has_synced(&key(&path)), "synced and not on the disk");
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        // One to open, at most one for each of the two and one flush.
        assert!(disk.syncs.load(Ordering::SeqCst) <= 4);
    });
}
