//! The released format stays readable: a store that format 1 wrote is opened on every run.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_executor::block_on;
use stead_core::{
    Backend, ChangeKind, Clock, Expect, Expiry, Key, KeyRange, ManualClock, Outcome, Partition, Read,
    ReadExt, RequestId, Revision, Scan, SeededRandom, Timestamp, WatchEvent, WatchSpec, WriteBatch,
};
use stead_sled::{Embedded, EmbeddedOptions, SledConfig, SledEngine};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const LATER: Timestamp = Timestamp::from_millis(1_900_000_000_000);

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
}

fn open(path: &Path, clock: &Arc<ManualClock>) -> Arc<Embedded<SledEngine>> {
    let options = EmbeddedOptions::default()
        .with_clock(Arc::clone(clock) as Arc<dyn Clock>)
        .with_random(Arc::new(SeededRandom::new(1)))
        .with_change_retention(4);
    stead_sled::open(&SledConfig::new(path), options).unwrap()
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

fn long() -> Vec<u8> {
    vec![b'l'; 40_000]
}

/// What the fixture holds. Each kind of record is there at least once.
fn fill(store: &Embedded<SledEngine>) {
    let batches = [
        accepted(),
        WriteBatch::new().put(key("empty"), "").put(key("gone"), "soon"),
        WriteBatch::new().put_with(key("timed"), vec![0, 255, 0], Expiry::At(LATER)),
        WriteBatch::new().delete(key("gone")),
        WriteBatch::new().put(key("late"), "1"),
        // In parts.
        WriteBatch::new().put(key("long"), long()),
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
    trim(&fixture().join("state.sled"));
    fs::remove_file(fixture().join("LOCK")).unwrap();
}

/// sled fills up the last segment of its log; the fixture does without.
fn trim(data: &Path) {
    let mut log = fs::read(data.join("db")).unwrap();
    let fill = *log.last().unwrap();
    let used = log.iter().rposition(|byte| *byte != fill).unwrap() + 2;
    log.truncate(used);
    fs::write(data.join("db"), log).unwrap();
}

/// Copies the fixture, and fills up its log.
fn restored(path: &Path) {
    support::copy(&fixture(), path);
    let log = path.join("state.sled").join("db");
    let mut bytes = fs::read(&log).unwrap();
    let fill = *bytes.last().unwrap();
    bytes.resize(bytes.len().next_multiple_of(2 << 20) - 1, fill);
    fs::write(&log, bytes).unwrap();
}

#[test]
fn old_format_fixture_opens_with_all_that_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    restored(&path);
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
    let long = long();
    let wanted: [Found<'_>; 5] = [
        (b"empty", b"", 2, None),
        (b"late", b"1", 7, Some(LATER)),
        (b"long", &long, 6, None),
        (b"plan", b"buy milk", 1, None),
        (b"timed", &[0, 255, 0], 3, Some(LATER)),
    ];
    assert_eq!(found, wanted);

    let oldest = block_on(store.stats()).unwrap().oldest_revision;
    assert_eq!(oldest, Revision::new(3));
    let mut watcher = store
        .watch(&WatchSpec::new(KeyRange::all()).after(oldest))
        .unwrap();
    for (revision, path, kind) in [
        (4, "gone", ChangeKind::Delete),
        (5, "late", ChangeKind::Put),
        (6, "long", ChangeKind::Put),
        (7, "late", ChangeKind::Put),
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
    assert_eq!(block_on(store.count(&KeyRange::all())).unwrap(), 3);
    let next = block_on(store.apply(WriteBatch::new().put(key("next"), "1"))).unwrap();
    assert!(next.committed().unwrap() > Revision::new(7));
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
    let old = tempfile::tempdir().unwrap();
    restored(old.path());
    let (today, then) = (records(dir.path()), records(old.path()));
    assert_eq!(
        today, then,
        "the format changed: raise its version and add a fixture"
    );
}

/// Path, value, revision and deadline of an entry.
type Found<'a> = (&'a [u8], &'a [u8], u64, Option<Timestamp>);

/// Every record of a store, as sled holds it.
fn records(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let config = sled::Config::new()
        .path(path.join("state.sled"))
        .segment_size(2 << 20);
    let database = config.open().unwrap();
    let pairs = database.iter().map(|pair| {
        let (key, record) = pair.unwrap();
        (key.to_vec(), record.to_vec())
    });
    pairs.collect()
}
