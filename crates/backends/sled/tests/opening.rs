//! Good paths, bad paths, and what is found in them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::Path;

use futures_executor::block_on;
use stead_core::{
    Backend, BackendExt, Durability, ErrorKind, Expiry, KeyRange, Read, ReadExt, Revision, StoreUrl, Ttl,
    WriteBatch,
};
use stead_sled::{EmbeddedOptions, SledConfig};
use support::*;

#[test]
fn everything_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new").join("store");
    let store = open(&path).unwrap();
    let lineage = store.lineage();
    let first = block_on(store.put(key("a"), "durable")).unwrap();
    let buffered = WriteBatch::new()
        .put(key("b"), "buffered")
        .durability(Durability::Buffered);
    let second = block_on(store.apply(buffered)).unwrap().committed().unwrap();
    let ttl = Expiry::After(Ttl::from_millis(3_600_000).unwrap());
    block_on(store.put_with(key("c"), vec![7; 1 << 20], ttl)).unwrap();
    let deadline = block_on(store.get(&key("c"))).unwrap().unwrap().deadline();
    drop(store);

    let store = open(&path).unwrap();
    assert_eq!(store.lineage(), lineage);
    let find = |path: &str| block_on(store.get(&key(path))).unwrap();
    assert_eq!(find("a").unwrap().revision(), first);
    assert_eq!(find("b").unwrap().revision(), second);
    assert_eq!(find("c").unwrap().deadline(), deadline);
    assert_eq!(find("c").unwrap().value(), vec![7; 1 << 20]);
    assert_eq!(find("d"), None);
    block_on(store.check(&|_| {})).unwrap();
    assert_eq!(block_on(store.put(key("d"), "")).unwrap(), Revision::new(4));
    assert!(block_on(store.stats()).unwrap().disk_bytes.unwrap() > 0);
    let blobs = path.join("state.sled").join("blobs");
    assert_eq!(fs::read_dir(blobs).unwrap().count(), 0, "no value leaves the log");
}

#[test]
fn closed_path_can_be_opened_at_once_while_handles_and_snapshots_live() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    for round in 0..5_u64 {
        let store = open(&path).unwrap();
        let snapshot = block_on(store.snapshot()).unwrap();
        assert_eq!(block_on(store.put(key("k"), "v")).unwrap().get(), round + 1);
        block_on(store.close()).unwrap();
        let again = open(&path).unwrap();
        assert!(block_on(again.get(&key("k"))).unwrap().is_some());
        assert_eq!(
            block_on(snapshot.get(&key("k"))).unwrap_err().kind(),
            ErrorKind::Closed
        );
    }
}

#[test]
fn second_handle_is_refused_and_the_lock_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open(&path).unwrap();
    let text = refused(&path, ErrorKind::Unavailable);
    assert!(text.contains("LOCK") && text.contains("open elsewhere"), "{text}");
    block_on(store.put(key("k"), "v")).unwrap();
    block_on(store.close()).unwrap();

    // Programs that use sled by itself take its own lock.
    let config = sled::Config::new()
        .path(path.join("state.sled"))
        .segment_size(2 << 20);
    let bare = config.open().unwrap();
    let text = refused(&path, ErrorKind::Unavailable);
    assert!(text.contains("db") && text.contains("open elsewhere"), "{text}");
    drop(bare);
}

#[test]
fn path_that_is_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "not a store").unwrap();
    assert!(refused(&path, ErrorKind::Invalid).contains("is a file"));
    assert!(refused(&path.join("below"), ErrorKind::Invalid).contains("is a file"));
    assert_eq!(fs::read(&path).unwrap(), b"not a store");
}

#[test]
fn directory_of_other_things_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("letter.txt"), "dear").unwrap();
    assert!(refused(dir.path(), ErrorKind::Invalid).contains("letter.txt"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn newer_layout_and_other_engines_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 1);
    fs::write(path.join("STEAD"), "stead store\nengine sled\nlayout 2\n").unwrap();
    assert!(refused(&path, ErrorKind::Corrupt).contains("newer format"));
    fs::write(path.join("STEAD"), "stead store\nengine redb\nlayout 1\n").unwrap();
    assert!(refused(&path, ErrorKind::Invalid).contains("engine=redb"));
    fs::write(path.join("STEAD"), "hello").unwrap();
    refused(&path, ErrorKind::Corrupt);
}

#[test]
fn bare_databases_of_sled_are_refused_and_left_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let make = |path: &Path, segment: usize| {
        let database = sled::Config::new()
            .path(path)
            .segment_size(segment)
            .open()
            .unwrap();
        database.insert("k", "v").unwrap();
    };
    let look = |path: &Path, segment: usize| {
        let database = sled::Config::new()
            .path(path)
            .segment_size(segment)
            .open()
            .unwrap();
        assert_eq!(database.get("k").unwrap().unwrap(), "v");
        assert_eq!(database.len(), 1, "nothing was added");
    };
    let bare = dir.path().join("bare");
    make(&bare, 512 << 10);
    assert!(refused(&bare, ErrorKind::Invalid).contains("engine=sled"));
    look(&bare, 512 << 10);
    for segment in [512 << 10, 2 << 20] {
        let path = dir.path().join(segment.to_string());
        let data = path.join("state.sled");
        make(&data, segment);
        refused(&path, ErrorKind::Corrupt);
        look(&data, segment);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn place_that_cannot_be_written_is_refused() {
    // Nobody makes directories there, not even root.
    for path in ["/sys/stead-store", "/proc/stead-store"] {
        refused(Path::new(path), ErrorKind::Unavailable);
    }
}

#[test]
fn reading_only_is_unsupported_and_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let error = stead_sled::open(&SledConfig::new(&path), EmbeddedOptions::default().read_only())
        .expect_err("must not open");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(!path.exists());
}

#[test]
fn urls_are_taken_apart_and_wrong_options_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let url = |options: &str| -> StoreUrl { format!("sled:{}{options}", path.display()).parse().unwrap() };
    let store = block_on(stead_sled::open_url(url(
        "?cache=32MiB&flush_every=10&durability=buffered&compression=false",
    )))
    .unwrap();
    assert_eq!(store.capabilities().name, "sled");
    assert_eq!(store.capabilities().default_durability, Durability::Buffered);
    block_on(store.put(key("k"), "v")).unwrap();
    block_on(store.close()).unwrap();
    for (options, named) in [
        ("?cash=1MiB", "cash"),
        ("?flush_every=often", "flush_every"),
        ("?cache=much", "cache"),
        ("?compression=zstd", "compression"),
    ] {
        let error = block_on(stead_sled::open_url(url(options))).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
    let error = block_on(stead_sled::open_url(url("?read_only=true")))
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let error = block_on(stead_sled::open_url("sled:".parse().unwrap()))
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

#[test]
fn unfinished_making_of_a_store_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 10);
    // What a crash leaves before the marker is there: whatever of the data, and the draft.
    fs::rename(path.join("STEAD"), path.join("STEAD.new")).unwrap();
    let store = open(&path).unwrap();
    assert_eq!(block_on(store.count(&KeyRange::all())).unwrap(), 0);
    drop(store);
    // Without a draft it is a whole store that lost its marker.
    filled(&path, 10);
    fs::remove_file(path.join("STEAD")).unwrap();
    let store = open(&path).unwrap();
    assert_eq!(block_on(store.count(&KeyRange::all())).unwrap(), 10);
    assert!(path.join("STEAD").exists());
}
