//! The sweeper among writers.

use std::sync::Arc;
use std::time::Duration;

use shuttle::future::block_on;
use shuttle::thread;
use stead_core::{Backend, ChangeKind, Expiry, KeyRange, Revision, Ttl, WatchEvent, WatchSpec, WriteBatch};

use crate::disk::Disk;
use crate::support::*;

#[test]
fn write_racing_the_sweeper_survives() {
    explore(|| {
        let disk = Disk::new();
        let clock = clock();
        // The sweep is due whenever the scheduler lets the time be up.
        let options = quiet()
            .with_clock(Arc::clone(&clock) as Arc<_>)
            .with_sweep_interval(Duration::from_millis(1));
        let store = open(&disk, options);
        let mut watcher = store
            .watch(&WatchSpec::new(KeyRange::all()).after(Revision::ZERO))
            .unwrap();
        let ttl = Expiry::After(Ttl::from_millis(10).unwrap());
        for path in ["a", "b"] {
            commit(&store, WriteBatch::new().put_with(key(path), "old", ttl));
        }
        clock.advance_millis(10);
        let writers: Vec<_> = ["a", "b"]
            .into_iter()
            .enumerate()
            .map(|(number, path)| {
                let store = Arc::clone(&store);
                thread::spawn(move || {
                    assert_eq!(value(&store, path), None, "past its deadline");
                    commit(&store, mixed(put(path, "new"), number));
                    assert_eq!(value(&store, path).as_deref(), Some(&b"new"[..]));
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        check(&store);
        for path in ["a", "b"] {
            assert_eq!(
                value(&store, path).as_deref(),
                Some(&b"new"[..]),
                "{path} was swept"
            );
        }
        close(&store);
        // For each key: written, perhaps expired, written.
        let mut kinds = [Vec::new(), Vec::new()];
        while let Ok(WatchEvent::Changes(set)) = block_on(watcher.next()) {
            for change in set.changes {
                kinds[usize::from(change.key.path() == b"b")].push(change.kind);
            }
        }
        for kinds in kinds {
            assert!(
                matches!(
                    kinds[..],
                    [ChangeKind::Put, ChangeKind::Put]
                        | [ChangeKind::Put, ChangeKind::Expired, ChangeKind::Put]
                ),
                "{kinds:?}"
            );
        }
    });
}
