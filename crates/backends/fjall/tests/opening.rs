//! What only fjall does when it is opened.

mod support;

use std::fs;

use futures_executor::block_on;
use stead_core::{Backend, BackendExt, ErrorKind};
use support::{filled, key, open, refused};

#[test]
fn holes_in_journals_do_not_count_as_room_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("store")).unwrap();
    block_on(store.put(key("k"), "v")).unwrap();
    let size_bytes = block_on(store.stats()).unwrap().disk_bytes.unwrap();
    assert!(size_bytes > 0 && size_bytes < 1 << 20, "{size_bytes}");
}

#[test]
fn other_format_of_fjall_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 1);
    fs::write(path.join("state.fjall/version"), b"FJL\x04").unwrap();
    let text = refused(&path, ErrorKind::Corrupt);
    assert!(text.contains("fjall_format=4"), "{text}");
}
