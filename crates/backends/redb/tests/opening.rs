//! Good paths, bad paths, and what is found in them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use futures_executor::block_on;
use stead_core::{
    Backend, BackendExt, Durability, Error, ErrorKind, Expiry, Key, KeyRange, Partition, Random, Read,
    ReadExt, Revision, Scan, SeededRandom, Ttl, WriteBatch,
};
use stead_redb::{Embedded, EmbeddedOptions, RedbConfig, RedbEngine};

type Store = Arc<Embedded<RedbEngine>>;

fn open(path: &Path) -> Result<Store, Error> {
    stead_redb::open(&RedbConfig::new(path), EmbeddedOptions::default())
}

fn open_read_only(path: &Path) -> Result<Store, Error> {
    stead_redb::open(&RedbConfig::new(path).read_only(), EmbeddedOptions::default())
}

fn key(path: &str) -> Key {
    Key::new(&Partition::new("p").unwrap(), path).unwrap()
}

/// A closed store with `entries` entries.
fn filled(path: &Path, entries: usize) {
    let store = open(path).unwrap();
    for chunk in (0..entries).collect::<Vec<_>>().chunks(1000) {
        let batch = chunk.iter().fold(WriteBatch::new(), |batch, n| {
            batch.put(key(&format!("k{n:06}")), vec![b'x'; 100])
        });
        assert!(block_on(store.apply(batch)).unwrap().is_committed());
    }
    block_on(store.close()).unwrap();
}

fn refused(path: &Path, kind: ErrorKind) -> String {
    let error = open(path).expect_err("must not open");
    assert_eq!(error.kind(), kind, "{error}");
    let text = error.to_string();
    assert!(
        text.contains(&path.display().to_string()),
        "the path is named: {text}"
    );
    text
}

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

#[test]
fn second_handle_is_refused_and_the_lock_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open(&path).unwrap();
    let text = refused(&path, ErrorKind::Unavailable);
    assert!(
        text.contains("state.redb") && text.contains("open elsewhere"),
        "{text}"
    );
    let error = open_read_only(&path).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    block_on(store.put(key("k"), "v")).unwrap();
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
fn random_bytes_and_text_are_refused_and_left_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let random = SeededRandom::new(3);
    let bytes: Vec<u8> = (0..12_500)
        .flat_map(|_| random.next_u64().to_le_bytes())
        .collect();
    for content in [bytes, b"text".to_vec()] {
        let path = dir.path().join(format!("store{}", content.len()));
        filled(&path, 10);
        fs::write(path.join("state.redb"), &content).unwrap();
        refused(&path, ErrorKind::Corrupt);
        assert_eq!(fs::read(path.join("state.redb")).unwrap(), content);
        // Without the marker of a complete store it is a stranger's file all the same.
        fs::remove_file(path.join("STEAD")).unwrap();
        refused(&path, ErrorKind::Corrupt);
        assert_eq!(fs::read(path.join("state.redb")).unwrap(), content);
    }
}

#[test]
fn truncated_file_is_refused_at_every_length() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 2000);
    let whole = fs::read(path.join("state.redb")).unwrap();
    for length in [
        0,
        1,
        9,
        100,
        4095,
        4096,
        5000,
        whole.len() / 2,
        whole.len() - 4096,
    ] {
        fs::write(path.join("state.redb"), &whole[..length]).unwrap();
        let error = open(&path).err().unwrap_or_else(|| panic!("opened at {length}"));
        assert_eq!(error.kind(), ErrorKind::Corrupt, "length {length}: {error}");
    }
    fs::remove_file(path.join("state.redb")).unwrap();
    assert!(refused(&path, ErrorKind::Corrupt).contains("missing or empty"));
    fs::write(path.join("state.redb"), &whole).unwrap();
    assert_eq!(
        block_on(open(&path).unwrap().count(&KeyRange::all())).unwrap(),
        2000
    );
}

#[test]
fn unfinished_making_of_a_store_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    fs::create_dir(&path).unwrap();
    // What a crash leaves before redb has written its magic number.
    fs::write(path.join("state.redb"), vec![0; 8192]).unwrap();
    let store = open(&path).unwrap();
    block_on(store.put(key("k"), "v")).unwrap();
    drop(store);
    // What a crash leaves before the marker is there.
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
    fs::write(path.join("STEAD"), "stead store\nengine redb\nlayout 2\n").unwrap();
    assert!(refused(&path, ErrorKind::Corrupt).contains("newer format"));
    fs::write(path.join("STEAD"), "stead store\nengine other\nlayout 1\n").unwrap();
    assert!(refused(&path, ErrorKind::Invalid).contains("another engine"));
    fs::write(path.join("STEAD"), "hello").unwrap();
    refused(&path, ErrorKind::Corrupt);
}

#[test]
fn foreign_redb_database_is_refused_and_left_as_it_is() {
    const TABLE: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("data");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state.redb");
    let database = redb::Database::create(&file).unwrap();
    let write = database.begin_write().unwrap();
    write
        .open_table(TABLE)
        .unwrap()
        .insert(&b"k"[..], &b"v"[..])
        .unwrap();
    write.commit().unwrap();
    drop(database);
    refused(dir.path(), ErrorKind::Corrupt);
    let database = redb::Database::open(&file).unwrap();
    let read = redb::ReadableDatabase::begin_read(&database).unwrap();
    assert_eq!(read.list_tables().unwrap().count(), 1, "nothing was added");
    assert!(read.open_table(TABLE).unwrap().get(&b"k"[..]).unwrap().is_some());
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
    let before = fs::read(path.join("state.redb")).unwrap();
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
    assert_eq!(fs::read(path.join("state.redb")).unwrap(), before);
    drop(open(&path).unwrap());
}

#[test]
fn copy_of_a_store_in_use_is_repaired_and_holds_every_durable_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open(&path).unwrap();
    let mut last = Revision::ZERO;
    for n in 0..20 {
        last = block_on(store.put(key(&format!("k{n}")), "v")).unwrap();
    }
    // As a kill would leave it: nothing was closed.
    let copy = dir.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for file in ["STEAD", "state.redb"] {
        fs::copy(path.join(file), copy.join(file)).unwrap();
    }
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

#[test]
fn flipped_bits_give_errors_and_never_a_panic_or_a_wrong_answer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled(&path, 500);
    let whole = fs::read(path.join("state.redb")).unwrap();
    let used: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let random = SeededRandom::new(11);
    let below = |bound: usize| usize::try_from(random.next_u64() % bound as u64).unwrap();
    let mut found = 0;
    for _ in 0..100 {
        let mut damaged = whole.clone();
        damaged[used[below(used.len())]] ^= 1 << below(8);
        fs::write(path.join("state.redb"), damaged).unwrap();
        if let Err(error) = read_all_and_write(&path) {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
            found += 1;
        }
    }
    assert!(
        found > 20,
        "most of the file matters, and yet only {found} were found"
    );
}

fn read_all_and_write(path: &Path) -> Result<(), Error> {
    let store = open(path)?;
    let items = block_on(store.collect(&Scan::new(KeyRange::all())))?;
    assert_eq!(items.len(), 500);
    assert!(
        items
            .iter()
            .all(|item| item.entry.as_ref().unwrap().value() == [b'x'; 100])
    );
    block_on(store.check(&|_| {}))?;
    block_on(store.close())
}
