//! A sync that fails while others write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shuttle::future::block_on;
use shuttle::thread;
use stead_core::{Backend, ErrorKind, KeyRange, WatchEvent, WatchSpec};

use crate::disk::Disk;
use crate::support::*;

/// The disk itself panics when anything is written after the sync that failed.
fn scenario(failing_sync: usize) {
    let disk = Disk::new();
    disk.failing_sync.store(failing_sync, Ordering::SeqCst);
    let store = open(&disk, flushing());
    let mut watcher = store.watch(&WatchSpec::new(KeyRange::all())).unwrap();
    let failed = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..3)
        .map(|writer| {
            let (store, failed) = (Arc::clone(&store), Arc::clone(&failed));
            thread::spawn(move || write(&store, writer, &failed))
        })
        .collect();
    let acknowledged: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let is_poisoned = failed.load(Ordering::SeqCst);
    if is_poisoned {
        let error = block_on(store.apply(put("late", "1"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(block_on(store.sync()).unwrap_err().kind(), ErrorKind::Unavailable);
    }
    let closed = block_on(store.close());
    assert!(!is_poisoned || closed.is_err(), "closed cleanly after a failure");
    // Whoever watches hears of what was published, and then of the end.
    loop {
        match block_on(watcher.next()) {
            Ok(WatchEvent::Changes(_)) => {}
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Closed);
                break;
            }
        }
    }
    drop(store);
    for path in acknowledged.into_iter().flatten() {
        assert!(
            disk.has_synced(&key(&path)),
            "{path} was acknowledged and is lost"
        );
    }
    check(&open(&disk.after_power_failure(), quiet()));
}

/// What was acknowledged as durable. Nothing may be that was asked for after somebody had been told of the failure.
fn write(store: &Store, writer: usize, failed: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for n in 0..3 {
        let path = format!("{writer}/{n}");
        let too_late = failed.load(Ordering::SeqCst);
        match block_on(store.apply(mixed(put(&path, "1"), n))) {
            Ok(_) => {
                assert!(!too_late, "{path} was acknowledged after the failure");
                if n % 2 == 0 {
                    acknowledged.push(path);
                }
            }
            Err(error) => {
                let kinds = [ErrorKind::UnknownOutcome, ErrorKind::Unavailable];
                assert!(kinds.contains(&error.kind()), "{error}");
                failed.store(true, Ordering::SeqCst);
            }
        }
    }
    acknowledged
}

// The first sync is that of the opening.

#[test]
fn nobody_is_acknowledged_after_the_first_sync_failed() {
    explore(|| scenario(2));
}

#[test]
fn nobody_is_acknowledged_after_a_later_sync_failed() {
    explore(|| scenario(4));
}
