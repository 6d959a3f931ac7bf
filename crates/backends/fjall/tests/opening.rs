//! Good paths, bad paths, and who has the store open.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::Path;

use futures_executor::block_on;
use stead_core::{
    Backend, BackendExt, Durability, ErrorKind, Expiry, Key, KeyRange, Read, ReadExt, Revision, Scan, Ttl,
    WriteBatch,
};
use stead_embedded::{Engine, Keyspace, View, WriteSet};
use stead_fjall::{FjallConfig, FjallEngine};
use support::{Image, filled, key, open, open_read_only, refused};

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
    block_on(store.put_with(key("c"), "timed", ttl)).unwrap();
    let deadline = block_on(store.get(&key("c"))).unwrap().unwrap().deadline();
    drop(store);

    let store = open(&path).unwrap();
    assert_eq!(store.lineage(), lineage);
    let get = |key: &Key| block_on(store.get(key)).unwrap();
    assert_eq!(get(&key("a")).unwrap().revision(), first);
    assert_eq!(get(&key("b")).unwrap().revision(), second);
    assert_eq!(get(&key("c")).unwrap().deadline(), deadline);
    assert_eq!(get(&key("d")), None);
    block_on(store.check(&|_| {})).unwrap();
    assert_eq!(block_on(store.put(key("d"), "")).unwrap(), Revision::new(4));
    let size_bytes = block_on(store.stats()).unwrap().disk_bytes.unwrap();
    assert!(
        size_bytes > 0 && size_bytes < 1 << 20,
        "{size_bytes}: holes take no room"
    );
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
fn views_that_outlive_the_engine_say_that_it_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let config = FjallConfig::new(dir.path().join("store"));
    let mut views = Vec::new();
    for _ in 0..5 {
        let engine = FjallEngine::open(&config).unwrap();
        let mut writes = WriteSet::new();
        writes.put(Keyspace::Data, b"k".to_vec(), b"v".to_vec());
        engine.commit(&writes, true).unwrap();
        let view = engine.view().unwrap();
        assert!(view.get(Keyspace::Data, b"k", &mut |_| {}).unwrap());
        views.push(view);
        engine.close().unwrap();
        for view in &views {
            let error = view.get(Keyspace::Data, b"k", &mut |_| {}).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Closed);
            let scan = view.scan(
                Keyspace::Data,
                b"",
                None,
                stead_core::Direction::Forward,
                &mut |_, _| panic!("there is nothing to visit"),
            );
            assert_eq!(scan.unwrap_err().kind(), ErrorKind::Closed);
        }
    }
}

#[test]
fn second_handle_is_refused_and_the_lock_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open(&path).unwrap();
    let text = refused(&path, ErrorKind::Unavailable);
    assert!(text.contains("LOCK") && text.contains("open elsewhere"), "{text}");
    let error = open_read_only(&path).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    block_on(store.put(key("k"), "v")).unwrap();
}

#[test]
fn bare_handle_on_the_files_is_refused_as_locked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 1);
    let bare = fjall::Database::builder(path.join("state.fjall")).open().unwrap();
    let text = refused(&path, ErrorKind::Unavailable);
    assert!(text.contains("open elsewhere"), "{text}");
    drop(bare);
    drop(open(&path).unwrap());
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
fn bare_databases_and_stores_of_other_engines_are_named() {
    let dir = tempfile::tempdir().unwrap();
    drop(fjall::Database::builder(dir.path().join("fjall")).open().unwrap());
    let files: [(&str, &str, &[u8]); 4] = [
        ("rocksdb", "CURRENT", b"MANIFEST-000005\n"),
        ("rocksdb", "MANIFEST-000005", b""),
        ("sled", "conf", b""),
        ("sled", "db", b""),
    ];
    for (engine, file, bytes) in files {
        fs::create_dir_all(dir.path().join(engine)).unwrap();
        fs::write(dir.path().join(engine).join(file), bytes).unwrap();
    }
    fs::create_dir(dir.path().join("sled/blobs")).unwrap();
    fs::create_dir(dir.path().join("redb")).unwrap();
    fs::write(
        dir.path().join("redb/my.redb"),
        b"redb\x1A\x0A\xA9\x0D\x0A and more",
    )
    .unwrap();
    for engine in ["fjall", "rocksdb", "sled", "redb"] {
        let path = dir.path().join(engine);
        let before = Image::of(&path);
        let text = refused(&path, ErrorKind::Invalid);
        assert!(text.contains(&format!("engine={engine}")), "{text}");
        assert!(Image::of(&path) == before, "nothing was touched");
    }
    let path = dir.path().join("store");
    filled(&path, 1);
    for engine in ["redb", "sled", "rocksdb"] {
        let marker = format!("stead store\nengine {engine}\nlayout 1\n");
        fs::write(path.join("STEAD"), marker).unwrap();
        let text = refused(&path, ErrorKind::Invalid);
        assert!(text.contains(&format!("engine={engine}")), "{text}");
    }
    fs::write(path.join("STEAD"), "stead store\nengine fjall\nlayout 2\n").unwrap();
    assert!(refused(&path, ErrorKind::Corrupt).contains("newer format"));
    fs::write(path.join("STEAD"), "hello").unwrap();
    refused(&path, ErrorKind::Corrupt);
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

#[test]
fn foreign_database_in_place_of_ours_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let bare = fjall::Database::builder(path.join("state.fjall")).open().unwrap();
    for number in 0..6 {
        let keyspace = bare
            .keyspace(&format!("other{number}"), fjall::KeyspaceCreateOptions::default)
            .unwrap();
        keyspace.insert("k", "v").unwrap();
    }
    drop(bare);
    refused(&path, ErrorKind::Corrupt);
    let bare = fjall::Database::builder(path.join("state.fjall")).open().unwrap();
    assert_eq!(bare.keyspace_count(), 6, "nothing was added");
    let keyspace = bare
        .keyspace("other5", fjall::KeyspaceCreateOptions::default)
        .unwrap();
    assert_eq!(keyspace.get("k").unwrap().as_deref(), Some(&b"v"[..]));
}

#[test]
fn unfinished_making_of_a_store_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 1);
    // What a crash leaves before all is there.
    fs::rename(path.join("STEAD"), path.join("STEAD.new")).unwrap();
    fs::remove_dir_all(path.join("state.fjall/keyspaces/4")).unwrap();
    let store = open(&path).unwrap();
    assert_eq!(block_on(store.count(&KeyRange::all())).unwrap(), 0);
    block_on(store.put(key("k"), "v")).unwrap();
    drop(store);
    // What a copy without the marker is.
    fs::remove_file(path.join("STEAD")).unwrap();
    let store = open(&path).unwrap();
    assert!(block_on(store.get(&key("k"))).unwrap().is_some());
    assert!(path.join("STEAD").exists());
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
fn read_only_store_reads_and_leaves_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    assert_eq!(open_read_only(&path).err().unwrap().kind(), ErrorKind::Invalid);
    assert!(!path.exists(), "reading makes nothing");
    support::filled_with_tables(&path, 50);
    let before = Image::of(&path);
    let store = open_read_only(&path).unwrap();
    assert!(!store.capabilities().writable);
    let items = block_on(store.collect(&Scan::new(KeyRange::all()))).unwrap();
    assert_eq!(items.len(), 100);
    block_on(store.check(&|_| {})).unwrap();
    assert_eq!(
        block_on(store.put(key("k"), "v")).unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    for error in [open(&path).err().unwrap(), open_read_only(&path).err().unwrap()] {
        assert_eq!(
            error.kind(),
            ErrorKind::Unavailable,
            "fjall lets in one at a time"
        );
    }
    block_on(store.close()).unwrap();
    assert!(Image::of(&path) == before);
    drop(open(&path).unwrap());
}

#[test]
fn engine_that_is_read_only_refuses_to_commit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 1);
    let engine = FjallEngine::open(&FjallConfig::new(&path).read_only()).unwrap();
    let error = engine.commit(&WriteSet::new(), true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn copy_of_a_store_in_use_holds_every_durable_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open(&path).unwrap();
    let mut last = Revision::ZERO;
    for n in 0..20 {
        last = block_on(store.put(key(&format!("k{n}")), "v")).unwrap();
    }
    // As a kill would leave it: nothing was closed.
    let copy = dir.path().join("copy");
    Image::of(&path).write(&copy);
    let error = open_read_only(&copy).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("for writing"), "{error}");
    let copied = open(&copy).unwrap();
    assert_eq!(block_on(copied.count(&KeyRange::all())).unwrap(), 20);
    block_on(copied.check(&|_| {})).unwrap();
    assert!(
        block_on(copied.put(key("next"), "v")).unwrap() > last.next(),
        "no revision comes twice"
    );
    block_on(copied.close()).unwrap();
    drop(open_read_only(&copy).unwrap());
}
