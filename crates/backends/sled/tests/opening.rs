//! What only sled does when it is opened.

mod support;

use std::fs;

use futures_executor::block_on;
use stead_core::{Backend, BackendExt, ErrorKind};
use support::*;

#[test]
fn large_values_do_not_leave_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open(&path).unwrap();
    block_on(store.put(key("large"), vec![7; 1 << 20])).unwrap();
    block_on(store.close()).unwrap();
    let blobs = path.join("state.sled").join("blobs");
    assert_eq!(fs::read_dir(blobs).unwrap().count(), 0);
}

#[test]
fn foreign_databases_of_either_segment_size_are_left_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    for segment_bytes in [512 << 10, SEGMENT_BYTES] {
        let path = dir.path().join(segment_bytes.to_string());
        let data = path.join("state.sled");
        bare(&data, segment_bytes).insert("k", "v").unwrap();
        refused(&path, ErrorKind::Corrupt);
        let database = bare(&data, segment_bytes);
        assert_eq!(database.get("k").unwrap().unwrap(), "v");
        assert_eq!(database.len(), 1, "nothing was added");
    }
}

#[test]
fn path_is_named_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    drop(open(&path).unwrap());
    fs::write(path.join("STEAD"), "stead store\nengine redb\nlayout 1\n").unwrap();
    fs::remove_dir_all(path.join("state.sled")).unwrap();
    let text = open(&path).err().map(|error| error.to_string()).unwrap();
    assert!(text.contains("engine=redb"), "{text}");
    assert_eq!(text.matches("path=").count(), 1, "{text}");
}
