//! Every option has its effect.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::time::Duration;

use futures_executor::block_on;
use stead_core::{Backend, BackendExt, Durability, KeyRange, ReadExt, WriteBatch};

use stead_sled::{EmbeddedOptions, SledConfig};
use support::*;

/// Nothing is flushed within the time of a test.
fn never() -> EmbeddedOptions {
    EmbeddedOptions::default()
        .with_durability(Durability::Buffered)
        .with_flush_interval(Duration::from_secs(3600))
        .with_sweep_interval(Duration::from_secs(3600))
}

/// What a store whose files are as these are now finds after a kill.
fn left_after_a_kill(path: &Path) -> u64 {
    let place = tempfile::tempdir().unwrap();
    let copied = place.path().join("store");
    copy(path, &copied);
    block_on(open(&copied).unwrap().count(&KeyRange::all())).unwrap()
}

#[test]
fn flush_every_makes_buffered_commits_durable() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = stead_sled::open(&SledConfig::new(&path).with_flush_every(10), never()).unwrap();
    for n in 0..9 {
        block_on(store.put(nth(n), "v")).unwrap();
    }
    let marked = || std::fs::read(path.join("state.sled").join("DURABLE")).unwrap();
    let before = marked();
    block_on(store.put(nth(9), "v")).unwrap();
    // Another thread does it; a test that waits for what never comes is ended from outside.
    while marked() == before {
        std::thread::yield_now();
    }
    assert_eq!(left_after_a_kill(&path), 10);
}

#[test]
fn fewer_than_flush_every_are_not_made_durable() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = stead_sled::open(&SledConfig::new(&path), never()).unwrap();
    let marked = || std::fs::read(path.join("state.sled").join("DURABLE")).unwrap();
    let before = marked();
    for n in 0..100 {
        block_on(store.put(nth(n), "v")).unwrap();
    }
    assert_eq!(marked(), before, "nothing was made durable");
    block_on(store.sync()).unwrap();
    assert_ne!(marked(), before);
    assert_eq!(left_after_a_kill(&path), 100);
}

fn compressible(n: usize) -> Vec<u8> {
    format!("all work and no play makes {n} a dull boy ")
        .into_bytes()
        .repeat(100)
}

fn size_of_a_store(path: &Path, compress: bool) -> u64 {
    let config = SledConfig::new(path).with_compression(compress);
    let store = stead_sled::open(&config, EmbeddedOptions::default()).unwrap();
    for from in (0..4000).step_by(100) {
        let batch = (from..from + 100).fold(WriteBatch::new(), |batch, n| batch.put(nth(n), compressible(n)));
        assert!(block_on(store.apply(batch)).unwrap().is_committed());
    }
    let size_bytes = block_on(store.stats()).unwrap().disk_bytes.unwrap();
    block_on(store.close()).unwrap();
    size_bytes
}

#[cfg(feature = "compression")]
#[test]
fn compressible_values_take_less_disk_and_either_setting_reads_both() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, compressed) = (dir.path().join("plain"), dir.path().join("compressed"));
    let (plain_bytes, compressed_bytes) =
        (size_of_a_store(&plain, false), size_of_a_store(&compressed, true));
    assert!(
        compressed_bytes * 3 < plain_bytes,
        "{compressed_bytes} of {plain_bytes}"
    );
    for (path, compress) in [(&plain, true), (&compressed, false)] {
        let config = SledConfig::new(path).with_compression(compress);
        let store = stead_sled::open(&config, EmbeddedOptions::default()).unwrap();
        block_on(store.put(nth(0), compressible(0))).unwrap();
        for n in [0, 1, 3999] {
            let entry = block_on(stead_core::Read::get(&*store, &nth(n)))
                .unwrap()
                .unwrap();
            assert_eq!(entry.value(), compressible(n));
        }
        block_on(store.check(&|_| {})).unwrap();
    }
}

#[cfg(not(feature = "compression"))]
#[test]
fn compression_that_is_not_compiled_in_is_unsupported() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let config = SledConfig::new(&path).with_compression(true);
    let error = stead_sled::open(&config, EmbeddedOptions::default()).unwrap_err();
    assert_eq!(error.kind(), stead_core::ErrorKind::Unsupported);
    assert!(error.to_string().contains("feature `compression`"), "{error}");
    assert!(!path.exists());
    assert!(size_of_a_store(&path, false) > 4000 * 3000);
}
