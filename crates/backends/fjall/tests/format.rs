//! The released format stays readable: a store that format 1 wrote is opened on every run.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_executor::block_on;
use stead_core::{
    Backend, ChangeKind, Clock, Expect, Expiry, Key, KeyRange, ManualClock, Outcome, Partition, Read,
    ReadExt, RequestId, Revision, Scan, SeededRandom, Timestamp, WatchEvent, WatchSpec, WriteBatch,
};
use stead_fjall::{Embedded, EmbeddedOptions, FjallConfig, FjallEngine};

/// fjall's keyspaces.
const SPACES: [&str; 6] = ["data", "expiry", "changes", "meta", "history", "marks"];
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const LATER: Timestamp = Timestamp::from_millis(1_900_000_000_000);

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
}

fn open(path: &Path, clock: &Arc<ManualClock>) -> Arc<Embedded<FjallEngine>> {
    let options = EmbeddedOptions::default()
        .with_clock(Arc::clone(clock) as Arc<dyn Clock>)
        .with_random(Arc::new(SeededRandom::new(1)))
        .with_change_retention(4);
    stead_fjall::open(&FjallConfig::new(path), options).unwrap()
}

fn key(path: &str) -> Key {
    Key::new(&Partition::new("agent:1").unwrap(), path).unwrap()
}

fn named(batch: WriteBatch, id: &str) -> WriteBatch {
    batch.request_id(RequestId::new(id).unwrap())
}

fn accepted() -> WriteBatch {
    named(WriteBatch::new().put(key("plan"), "buy milk"), "accepted")
}

fn rejected() -> WriteBatch {
    let batch = WriteBatch::new()
        .expect(key("plan"), Expect::Absent)
        .put(key("plan"), "sell");
    named(batch, "rejected")
}

/// What the fixture holds. Each kind of record is there at least once.
fn fill(store: &Embedded<FjallEngine>) {
    fill_first(store);
    fill_rest(store);
}

fn fill_first(store: &Embedded<FjallEngine>) {
    let batches = [
        accepted(),
        WriteBatch::new().put(key("empty"), "").put(key("gone"), "soon"),
        WriteBatch::new().put_with(key("timed"), vec![0, 255, 0], Expiry::At(LATER)),
    ];
    write(store, batches);
}

fn fill_rest(store: &Embedded<FjallEngine>) {
    let batches = [
        WriteBatch::new().delete(key("gone")),
        WriteBatch::new().put(key("late"), "1"),
        WriteBatch::new().touch(key("late"), Expiry::At(LATER)),
    ];
    write(store, batches);
    assert!(!block_on(store.apply(rejected())).unwrap().is_committed());
}

fn write<const N: usize>(store: &Embedded<FjallEngine>, batches: [WriteBatch; N]) {
    for batch in batches {
        assert!(block_on(store.apply(batch)).unwrap().is_committed());
    }
}

/// Writes the fixture anew: a part of it in tables, the rest in a journal. Only ever needed for a new format, in a
/// directory of its own.
#[test]
#[ignore = "writes the fixture; run it by name for a new format"]
fn write_fixture() {
    assert!(!fixture().exists(), "a released fixture is never written again");
    let clock = Arc::new(ManualClock::at(NOW));
    let store = open(&fixture(), &clock);
    fill_first(&store);
    block_on(store.close()).unwrap();
    fs::remove_file(fixture().join("CLOSED")).unwrap();
    let bare = fjall::Database::builder(fixture().join("state.fjall"))
        .open()
        .unwrap();
    for name in SPACES {
        let keyspace = bare
            .keyspace(name, fjall::KeyspaceCreateOptions::default)
            .unwrap();
        keyspace.rotate_memtable_and_wait().unwrap();
    }
    drop(bare);
    let store = open(&fixture(), &clock);
    fill_rest(&store);
    block_on(store.close()).unwrap();
    for space in ["1", "2", "3", "4", "6"] {
        let tables = fixture().join("state.fjall/keyspaces").join(space).join("tables");
        assert!(
            fs::read_dir(tables).unwrap().next().is_some(),
            "there is a table in {space}"
        );
    }
}

#[test]
fn old_format_fixture_opens_with_all_that_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    copy(&fixture(), &path);
    let clock = Arc::new(ManualClock::at(NOW));
    let store = open(&path, &clock);
    block_on(store.check(&|_| {})).unwrap();
    assert_eq!(store.lineage(), 0x910a_2dec_8902_5cc1_beeb_8da1_658e_ec67);

    let items = block_on(store.collect(&Scan::new(KeyRange::all()))).unwrap();
    let found: Vec<_> = items
        .iter()
        .map(|item| {
            let entry = item.entry.as_ref().unwrap();
            (
                item.key.path(),
                entry.value(),
                entry.revision().get(),
                entry.deadline(),
            )
        })
        .collect();
    let wanted: [Found<'_>; 4] = [
        (b"empty", b"", 2, None),
        (b"late", b"1", 6, Some(LATER)),
        (b"plan", b"buy milk", 1, None),
        (b"timed", &[0, 255, 0], 3, Some(LATER)),
    ];
    assert_eq!(found, wanted);

    let oldest = block_on(store.stats()).unwrap().oldest_revision;
    assert_eq!(oldest, Revision::new(2));
    let mut watcher = store
        .watch(&WatchSpec::new(KeyRange::all()).after(oldest))
        .unwrap();
    for (revision, path, kind) in [
        (3, "timed", ChangeKind::Put),
        (4, "gone", ChangeKind::Delete),
        (5, "late", ChangeKind::Put),
        (6, "late", ChangeKind::Put),
    ] {
        let WatchEvent::Changes(set) = block_on(watcher.next()).unwrap() else {
            panic!("the log reaches back that far");
        };
        assert_eq!(set.revision, Revision::new(revision));
        assert_eq!((&set.changes[0].key, set.changes[0].kind), (&key(path), kind));
    }

    let first = block_on(store.apply(accepted())).unwrap();
    assert_eq!(first, Outcome::Committed(Revision::new(1)));
    assert!(block_on(store.apply(rejected())).unwrap().rejected().is_some());
    clock.set(LATER);
    assert_eq!(block_on(store.get(&key("timed"))).unwrap(), None);
    assert_eq!(block_on(store.count(&KeyRange::all())).unwrap(), 2);
    let next = block_on(store.apply(WriteBatch::new().put(key("next"), "1"))).unwrap();
    assert!(next.committed().unwrap() > Revision::new(6));
}

#[test]
fn what_is_written_today_is_what_the_fixture_holds() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(NOW));
    let store = open(dir.path(), &clock);
    fill(&store);
    drop(store);
    assert_eq!(
        fs::read(dir.path().join("STEAD")).unwrap(),
        fs::read(fixture().join("STEAD")).unwrap()
    );
    let (today, then) = (records(dir.path()), records(&fixture()));
    assert_eq!(
        today, then,
        "the format changed: raise its version and add a fixture"
    );
}

/// Path, value, revision and deadline of an entry.
type Found<'a> = (&'a [u8], &'a [u8], u64, Option<Timestamp>);

/// A keyspace, a key and a value.
type Record = (String, Vec<u8>, Vec<u8>);

/// Every record of a store, as its engine holds it.
fn records(path: &Path) -> Vec<Record> {
    use fjall::Readable;
    // fjall writes while it opens.
    let scratch = tempfile::tempdir().unwrap();
    copy(&path.join("state.fjall"), &scratch.path().join("bare"));
    let database = fjall::Database::builder(scratch.path().join("bare"))
        .open()
        .unwrap();
    let snapshot = database.snapshot();
    let mut records = Vec::new();
    for name in SPACES {
        let keyspace = database
            .keyspace(name, fjall::KeyspaceCreateOptions::default)
            .unwrap();
        for record in snapshot.iter(&keyspace) {
            let (key, value) = record.into_inner().unwrap();
            records.push((name.to_owned(), key.to_vec(), value.to_vec()));
        }
    }
    records
}

/// A directory with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
