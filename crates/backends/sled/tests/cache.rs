//! The cache is as large as it is said to be. A file of its own: it counts what the whole process reads.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use futures_executor::block_on;
use stead_core::{Backend, KeyRange, ReadExt, Scan};
use stead_sled::{EmbeddedOptions, SledConfig};
use support::*;

fn read_bytes() -> u64 {
    let counters = std::fs::read_to_string("/proc/self/io").unwrap();
    let count = counters.lines().find_map(|line| line.strip_prefix("rchar: "));
    count.unwrap().parse().unwrap()
}

#[test]
fn what_fits_in_the_cache_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 100_000);
    let again = |size_bytes: u64| {
        let config = SledConfig::new(&path).with_cache_capacity(size_bytes);
        let store = stead_sled::open(&config, EmbeddedOptions::default()).unwrap();
        let look = || {
            let items = block_on(store.collect(&Scan::new(KeyRange::all()))).unwrap();
            assert_eq!(items.len(), 100_000);
        };
        look();
        let before = read_bytes();
        look();
        let read = read_bytes() - before;
        block_on(store.close()).unwrap();
        read
    };
    let (large, small) = (again(1 << 30), again(1 << 20));
    assert!(large < 1 << 20, "{large} bytes were read again");
    assert!(small > 5 << 20, "only {small} bytes were read again");
}
