//! Watchers that come, fall behind, go and come back while commits are published.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use shuttle::future::block_on;
use shuttle::thread::{self, JoinHandle};
use stead_core::{Backend, ErrorKind, KeyRange, Read, Revision, WatchEvent, WatchSpec, Watcher};

use crate::disk::{Disk, turn};
use crate::support::*;

fn watch_after(store: &Store, revision: Revision) -> Box<dyn Watcher> {
    store
        .watch(&WatchSpec::new(KeyRange::all()).after(revision))
        .unwrap()
}

/// Writes so many pairs, durable and buffered in turn, on a thread of its own.
fn writer(store: &Store, number: usize, commits: usize) -> JoinHandle<()> {
    let store = Arc::clone(store);
    thread::spawn(move || {
        for n in 0..commits {
            commit(&store, mixed(pair(format!("{number}/{n}")), number + n));
        }
    })
}

/// The next event, which must be the whole batch right behind `position`, and can be read by then.
fn follow(store: &Store, watcher: &mut dyn Watcher, position: Revision) -> Revision {
    let WatchEvent::Changes(set) = block_on(watcher.next()).unwrap() else {
        panic!("a change was due");
    };
    assert_eq!(set.revision, position.next(), "a gap or a repetition");
    assert_eq!(set.changes.len(), 2, "half a batch");
    let entry = block_on(store.get(&key("left"))).unwrap().unwrap();
    assert!(entry.revision() >= set.revision, "told before it can be read");
    assert_eq!(watcher.position(), set.revision);
    set.revision
}

#[test]
fn watcher_follows_every_commit() {
    explore(|| {
        let disk = Disk::new();
        let store = open(&disk, quiet());
        let writers = [writer(&store, 0, 2), writer(&store, 1, 2)];
        let mut watcher = watch_after(&store, Revision::ZERO);
        let mut position = Revision::ZERO;
        for _ in 0..4 {
            position = follow(&store, &mut *watcher, position);
        }
        for writer in writers {
            writer.join().unwrap();
        }
    });
}

#[test]
fn watcher_from_now_misses_nothing_behind_its_snapshot() {
    explore(|| {
        let disk = Disk::new();
        let store = open(&disk, quiet());
        let writing = writer(&store, 0, 4);
        let snapshot = block_on(store.snapshot()).unwrap();
        let mut position = snapshot.revision(&key("left").partition());
        let mut watcher = watch_after(&store, position);
        while position.get() < 4 {
            position = follow(&store, &mut *watcher, position);
        }
        writing.join().unwrap();
    });
}

#[test]
fn several_watchers_are_all_woken() {
    explore(|| {
        let disk = Disk::new();
        let store = open(&disk, quiet());
        let watchers: Vec<_> = (0..3)
            .map(|_| {
                let store = Arc::clone(&store);
                thread::spawn(move || {
                    let mut watcher = watch_after(&store, Revision::ZERO);
                    let mut position = Revision::ZERO;
                    for _ in 0..2 {
                        position = follow(&store, &mut *watcher, position);
                    }
                })
            })
            .collect();
        let writing = writer(&store, 1, 2);
        for watcher in watchers {
            watcher.join().unwrap();
        }
        writing.join().unwrap();
    });
}

#[test]
fn dropped_and_resumed_watcher_goes_on_exactly() {
    explore(|| {
        let disk = Disk::new();
        let store = open(&disk, quiet());
        let writers = [writer(&store, 0, 2), writer(&store, 1, 3)];
        let mut position = Revision::ZERO;
        for _ in 0..5 {
            let mut watcher = watch_after(&store, position);
            // One that is asked and given up, as `select!` does with the branch that it did not get to.
            let given_up = poll_once(watcher.next());
            if let Some(event) = given_up {
                let WatchEvent::Changes(set) = event.unwrap() else {
                    panic!("a change was due");
                };
                assert_eq!(set.revision, position.next(), "a gap or a repetition");
                position = set.revision;
                continue;
            }
            position = follow(&store, &mut *watcher, position);
        }
        for writer in writers {
            writer.join().unwrap();
        }
    });
}

fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[test]
fn slow_watcher_is_told_and_never_skips() {
    explore(|| {
        let disk = Disk::new();
        let store = open(&disk, quiet().with_change_retention(2));
        let writers = [writer(&store, 0, 4), writer(&store, 1, 3)];
        let mut position = Revision::ZERO;
        let mut watcher = watch_after(&store, position);
        let mut started = false;
        while position.get() < 7 {
            match block_on(watcher.next()).unwrap() {
                WatchEvent::Changes(set) => {
                    assert_eq!(set.revision, position.next(), "skipped in silence");
                    assert_eq!(set.changes.len(), 2, "half a batch");
                    position = set.revision;
                    started = true;
                }
                WatchEvent::Lagged { oldest } => {
                    assert!(oldest > position, "nothing was lost");
                    (position, started) = (oldest, false);
                    watcher = watch_after(&store, position);
                }
                WatchEvent::Compacted { oldest } => {
                    assert!(!started, "it had been following");
                    assert!(oldest > position, "nothing was lost");
                    position = oldest;
                    watcher = watch_after(&store, position);
                }
            }
            turn();
        }
        for writer in writers {
            writer.join().unwrap();
        }
        check(&store);
    });
}

#[test]
fn watcher_gets_all_that_was_committed_before_the_close() {
    explore(|| {
        let disk = Disk::new();
        let store = open(&disk, flushing());
        let watching = {
            let mut watcher = watch_after(&store, Revision::ZERO);
            thread::spawn(move || {
                let mut seen = Vec::new();
                loop {
                    match block_on(watcher.next()) {
                        Ok(WatchEvent::Changes(set)) => seen.push(set.revision),
                        Ok(other) => panic!("{other:?}"),
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Closed);
                            return seen;
                        }
                    }
                }
            })
        };
        let writing = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                let mut committed = Vec::new();
                for n in 0..3 {
                    match block_on(store.apply(mixed(pair(n.to_string()), n))) {
                        Ok(outcome) => committed.push(outcome.committed().unwrap()),
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Closed),
                    }
                }
                committed
            })
        };
        turn();
        close(&store);
        assert_eq!(watching.join().unwrap(), writing.join().unwrap());
    });
}
