//! Good paths, bad paths, and what is found in them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::Path;
use std::sync::mpsc;

use futures_executor::block_on;
use rocksdb::{DB, Options};
use stead_core::{
    Backend, BackendExt, Direction, Durability, ErrorKind, Expiry, KeyRange, Read, ReadExt, Revision, Scan,
    StoreUrl, Ttl, WriteBatch,
};
use stead_embedded::{Engine, Keyspace, View, WriteSet};
use stead_rocksdb::{RocksDbConfig, RocksDbEngine};
use support::{filled, key, open, open_read_only, refused};

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
    assert_eq!(block_on(store.get(&key("a"))).unwrap().unwrap().revision(), first);
    assert_eq!(
        block_on(store.get(&key("b"))).unwrap().unwrap().revision(),
        second
    );
    assert_eq!(
        block_on(store.get(&key("c"))).unwrap().unwrap().deadline(),
        deadline
    );
    assert_eq!(block_on(store.get(&key("d"))).unwrap(), None);
    block_on(store.check(&|_| {})).unwrap();
    assert_eq!(block_on(store.put(key("d"), "")).unwrap(), Revision::new(4));
    assert!(block_on(store.stats()).unwrap().disk_bytes.unwrap() > 0);
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
fn views_that_outlive_the_engine_find_it_closed() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine_with_records(dir.path());
    let views = [engine.view().unwrap(), engine.view().unwrap()];
    engine.close().unwrap();
    let again = RocksDbEngine::open(&RocksDbConfig::new(dir.path())).unwrap();
    for view in views {
        let error = view.get(Keyspace::Data, &[0; 4], &mut |_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        let visit = &mut |_: &[u8], _: &[u8]| std::ops::ControlFlow::Continue(());
        let scanned = view.scan(Keyspace::Data, &[], None, Direction::Forward, visit);
        assert_eq!(scanned.unwrap_err().kind(), ErrorKind::Closed);
    }
    assert!(
        again
            .view()
            .unwrap()
            .get(Keyspace::Data, &[0; 4], &mut |_| {})
            .unwrap()
    );
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
fn database_that_a_bare_rocksdb_has_open_is_refused_and_its_lock_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 1);
    let data = path.join("state.rocksdb");
    let families = DB::list_cf(&Options::default(), &data).unwrap();
    let mut options = Options::default();
    options.set_track_and_verify_wals_in_manifest(true);
    let bare = DB::open_cf(&options, &data, families).unwrap();
    let text = refused(&path, ErrorKind::Unavailable);
    assert!(
        text.contains("state.rocksdb/LOCK") && text.contains("open elsewhere"),
        "{text}"
    );
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
fn unfinished_making_of_a_store_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 1);
    // What a crash leaves in the middle of making a store: the draft of the marker, and some of the files.
    fs::rename(path.join("STEAD"), path.join("STEAD.new")).unwrap();
    fs::remove_file(path.join("state.rocksdb/CURRENT")).unwrap();
    let store = open(&path).unwrap();
    assert_eq!(block_on(store.count(&KeyRange::all())).unwrap(), 0);
    block_on(store.put(key("k"), "v")).unwrap();
    drop(store);
    assert!(path.join("STEAD").exists() && !path.join("STEAD.new").exists());
    // A marker that was lost later on is made again.
    fs::remove_file(path.join("STEAD")).unwrap();
    let store = open(&path).unwrap();
    assert!(block_on(store.get(&key("k"))).unwrap().is_some());
    assert!(path.join("STEAD").exists());
}

#[test]
fn newer_layout_and_other_engines_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 1);
    fs::write(path.join("STEAD"), "stead store\nengine rocksdb\nlayout 2\n").unwrap();
    assert!(refused(&path, ErrorKind::Corrupt).contains("newer format"));
    fs::write(path.join("STEAD"), "stead store\nengine redb\nlayout 1\n").unwrap();
    let text = refused(&path, ErrorKind::Invalid);
    assert!(
        text.contains("another engine") && text.contains("engine=redb"),
        "{text}"
    );
    fs::write(path.join("STEAD"), "hello").unwrap();
    refused(&path, ErrorKind::Corrupt);
}

#[test]
fn foreign_database_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bare");
    let mut options = Options::default();
    options.create_if_missing(true);
    let put = |place: &Path| DB::open(&options, place).unwrap().put("k", "v").unwrap();
    put(&path);
    assert!(refused(&path, ErrorKind::Invalid).contains("engine=rocksdb"));
    let path = dir.path().join("inside");
    fs::create_dir(&path).unwrap();
    put(&path.join("state.rocksdb"));
    refused(&path, ErrorKind::Corrupt);
    let bare = DB::open_default(path.join("state.rocksdb")).unwrap();
    assert_eq!(bare.get("k").unwrap().unwrap(), b"v");
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
    filled(&path, 50);
    let before = contents(&path);
    let first = open_read_only(&path).unwrap();
    let second = open_read_only(&path).unwrap();
    for store in [&first, &second] {
        assert!(!store.capabilities().writable);
        assert_eq!(
            block_on(store.collect(&Scan::new(KeyRange::all())))
                .unwrap()
                .len(),
            50
        );
        block_on(store.check(&|_| {})).unwrap();
        assert_eq!(
            block_on(store.put(key("k"), "v")).unwrap_err().kind(),
            ErrorKind::Unsupported
        );
    }
    assert_eq!(
        open(&path).err().unwrap().kind(),
        ErrorKind::Unavailable,
        "readers hold the lock"
    );
    block_on(first.close()).unwrap();
    drop(second);
    assert_eq!(contents(&path), before);
    drop(open(&path).unwrap());
}

/// Every file and what is in it.
fn contents(path: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found: Vec<_> = [path.to_owned(), path.join("state.rocksdb")]
        .iter()
        .flat_map(|place| fs::read_dir(place).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|file| file.is_file())
        .map(|file| (file.clone(), fs::read(file).unwrap()))
        .collect();
    found.sort_unstable();
    found
}

fn open_url(url: &str) -> Result<std::sync::Arc<dyn Backend>, stead_core::Error> {
    block_on(stead_rocksdb::open_url(url.parse::<StoreUrl>().unwrap()))
}

#[test]
fn urls_open_stores_and_what_they_do_not_know_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("store").display().to_string();
    let all =
        "cache=1MiB&compression=zstd&max_open_files=100&write_buffer=1MiB&durability=buffered&flush=20ms";
    let store = open_url(&format!("rocksdb:{place}?{all}")).unwrap();
    assert_eq!(store.capabilities().default_durability, Durability::Buffered);
    block_on(store.put(key("k"), "v")).unwrap();
    block_on(store.close()).unwrap();
    let store = open_url(&format!("rocksdb:{place}?read_only=true")).unwrap();
    assert!(block_on(store.get(&key("k"))).unwrap().is_some());
    drop(store);
    for (options, named) in [
        ("cash=1MiB", "cache"),
        ("compression=snappy", "none, lz4 or zstd"),
        ("max_open_files=many", "max_open_files"),
        ("write_buffer=-1", "write_buffer"),
    ] {
        let error = open_url(&format!("rocksdb:{place}?{options}")).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(named), "{error}");
    }
    assert_eq!(open_url("rocksdb:").err().unwrap().kind(), ErrorKind::Invalid);
}
