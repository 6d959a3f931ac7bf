//! What only RocksDB does when it is opened and closed.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::sync::mpsc;

use stead_core::{Direction, ErrorKind};
use stead_embedded::{Engine, Keyspace, View, WriteSet};
use stead_engine_testing::TestedEngine;
use stead_rocksdb::{RocksDbConfig, RocksDbEngine};
use support::{RocksDb, filled, refused};

/// An engine with a thousand records, and the view of them.
fn engine_with_records(path: &Path) -> RocksDbEngine {
    let engine = RocksDbEngine::open(&RocksDbConfig::new(path)).unwrap();
    let mut writes = WriteSet::new();
    for n in 0..1000_u32 {
        writes.put(Keyspace::Data, n.to_be_bytes().to_vec(), vec![1]);
    }
    engine.commit(&writes, true).unwrap();
    engine
}

#[test]
fn long_read_ends_when_the_engine_closes_and_may_read_on_within() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine_with_records(dir.path());
    let view = engine.view().unwrap();
    let (begun, begin) = mpsc::channel();
    let (close, closing) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut nested = Ok(true);
            let mut visited = 0;
            let scanned = view.scan(Keyspace::Data, &[], None, Direction::Forward, &mut |key, _| {
                visited += 1;
                if visited == 10 {
                    begun.send(()).unwrap();
                    // Comes once the close is about to begin; it then waits for this very read.
                    closing.recv().unwrap();
                }
                if visited >= 10 {
                    std::thread::yield_now();
                    nested = view.get(Keyspace::Data, key, &mut |_| {});
                    if nested.is_ok() {
                        // Not there yet: read on, as often as it takes.
                        visited = 10;
                    }
                }
                std::ops::ControlFlow::Continue(())
            });
            (scanned, nested)
        });
        begin.recv().unwrap();
        let closer = scope.spawn(move || {
            close.send(()).unwrap();
            engine.close()
        });
        let (scanned, nested) = reader.join().unwrap();
        closer.join().unwrap().unwrap();
        // The scan either ran to its end before the close, or met it; it did not hang.
        for ended in [scanned.map(|()| true), nested] {
            assert!(ended.is_ok() || ended.unwrap_err().kind() == ErrorKind::Closed);
        }
    });
}

#[test]
fn lock_of_a_bare_rocksdb_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 1);
    let bare = RocksDb::hold(&path.join("state.rocksdb"));
    let text = refused(&path, ErrorKind::Unavailable);
    assert!(text.contains("state.rocksdb/LOCK"), "{text}");
    drop(bare);
}
