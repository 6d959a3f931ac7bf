//! What a small put writes. In a file of its own: the counters are those of the process.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::Path;

use futures_executor::block_on;
use stead_core::{Backend, BackendExt, Durability, WriteBatch};
use stead_engine_testing::TestedEngine;
use support::*;

/// What the process has handed to the operating system so far.
fn written_bytes() -> u64 {
    let counters = fs::read_to_string("/proc/self/io").unwrap();
    let line = counters.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.unwrap().parse().unwrap()
}

/// How many records the fence of a closed store has. The bare engine may write while it opens.
fn fence(path: &Path) -> usize {
    let scratch = tempfile::tempdir().unwrap();
    copy(path, &scratch.path().join("copy"));
    let database = bare(&scratch.path().join("copy").join(Sled::DATA), SEGMENT_BYTES);
    database.scan_prefix([FENCE]).count()
}

#[test]
fn header_shares_its_page_with_no_large_value() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new");
    let store = open(&path).unwrap();
    for n in 0..8 {
        block_on(store.put(key(&format!("large{n}")), vec![7; 64 << 10])).unwrap();
    }
    let before = written_bytes();
    for n in 0..500 {
        let put = WriteBatch::new().put(key(&format!("small{:02}", n % 50)), "1");
        let outcome = block_on(store.apply(put.durability(Durability::Buffered)));
        assert!(outcome.unwrap().is_committed());
    }
    block_on(store.sync()).unwrap();
    let each = (written_bytes() - before) / 500;
    assert!(each < 6_000, "each put writes {each} bytes");
    block_on(store.close()).unwrap();
    drop(store);
    assert_eq!(fence(&path), 32);

    // A store from before there was a fence.
    let path = dir.path().join("old");
    Sled::restore_fixture(&Sled::fixture(), &path);
    assert_eq!(fence(&path), 0);
    let store = open(&path).unwrap();
    block_on(store.close()).unwrap();
    drop(store);
    assert_eq!(fence(&path), 32);
}
