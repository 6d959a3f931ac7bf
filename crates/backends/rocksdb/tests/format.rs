//! The released format stays readable: a store that format 1 wrote is opened on every run.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_executor::block_on;
use rocksdb::{DB, IteratorMode, Options};
use stead_core::{
    Backend, ChangeKind, Clock, Expect, Expiry, Key, KeyRange, ManualClock, Outcome, Partition, Read,
    ReadExt, RequestId, Revision, Scan, SeededRandom, Timestamp, WatchEvent, WatchSpec, WriteBatch,
};
use stead_rocksdb::{Embedded, EmbeddedOptions, RocksDbConfig, RocksDbEngine};
use support::copy;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const LATER: Timestamp = Timestamp::from_millis(1_900_000_000_000);

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
}

fn open(path: &Path, clock: &Arc<ManualClock>) -> Arc<Embedded<RocksDbEngine>> {
    let options = EmbeddedOptions::default()
        .with_clock(Arc::clone(clock) as Arc<dyn Clock>)
        .with_random(Arc::new(SeededRandom::new(1)))
        .with_change_retention(4);
    stead_rocksdb::open(&RocksDbConfig::new(path), options).unwrap()
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
fn fill(store: &Embedded<RocksDbEngine>) {
    let batches = [
        accepted(),
        WriteBatch::new().put(key("empty"), "").put(key("gone"), "soon"),
        WriteBatch::new().put_with(key("timed"), vec![0, 255, 0], Expiry::At(LATER)),
        WriteBatch::new().delete(key("gone")),
        WriteBatch::new().put(key("late"), "1"),
        WriteBatch::new().touch(key("late"), Expiry::At(LATER)),
    ];
    for batch in batches {
        assert!(block_on(store.apply(batch)).unwrap().is_committed());
    }
    assert!(!block_on(store.apply(rejected())).unwrap().is_committed());
}

/// Writes the fixture anew. Only ever needed for a new format, in a directory of its own.
#[test]
#[ignore = "writes the fixture; run it by name for a new format"]
fn write_fixture() {
    assert!(!fixture().exists(), "a released fixture is never written again");
    let store = open(&fixture(), &Arc::new(ManualClock::at(NOW)));
    fill(&store);
    block_on(store.close()).unwrap();
    // What only tells how RocksDB did is no part of the format, nor are the locks.
    for file in ["LOCK", "state.rocksdb/LOCK", "state.rocksdb/LOG"] {
        fs::remove_file(fixture().join(file)).unwrap();
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
    for file in ["STEAD", "SESSION"] {
        assert_eq!(
            fs::read_to_string(dir.path().join(file)).unwrap(),
            fs::read_to_string(fixture().join(file)).unwrap()
        );
    }
    let then = dir.path().join("then");
    copy(&fixture(), &then);
    assert_eq!(
        records(dir.path()),
        records(&then),
        "the format changed: raise its version and add a fixture"
    );
}

/// Path, value, revision and deadline of an entry.
type Found<'a> = (&'a [u8], &'a [u8], u64, Option<Timestamp>);

/// A keyspace, a key and a value.
type Record = (String, Vec<u8>, Vec<u8>);

/// Every record of a store, as its engine holds it. Opened for writing, so on a copy.
fn records(path: &Path) -> Vec<Record> {
    let mut options = Options::default();
    options.set_track_and_verify_wals_in_manifest(true);
    let path = path.join("state.rocksdb");
    let names = DB::list_cf(&options, &path).unwrap();
    assert_eq!(names, ["default", "data", "expiry", "changes", "meta", "history"]);
    let database = DB::open_cf(&options, &path, &names).unwrap();
    let mut records = Vec::new();
    for name in names {
        let family = database.cf_handle(&name).unwrap();
        for record in database.full_iterator_cf(family, IteratorMode::Start) {
            let (key, value) = record.unwrap();
            records.push((name.clone(), key.to_vec(), value.to_vec()));
        }
    }
    records
}
