//! The released format stays readable: a store that format 1 wrote is opened on every run.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use futures_executor::block_on;
use stead_core::{
    Backend, ChangeKind, Clock, Expect, Expiry, Key, KeyRange, ManualClock, Outcome, Partition, ReadExt,
    RequestId, Revision, Scan, SeededRandom, Timestamp, WatchEvent, WatchSpec, WriteBatch,
};
use stead_embedded::{EmbeddedOptions, open_store};

use crate::run::cases;
use crate::{Store, TestedEngine, copy, entry};

cases![
    fixture_opens_with_all_that_it_holds,
    what_is_written_today_is_what_the_fixture_holds,
    fixture_that_is_made_today_opens_with_all_that_it_holds,
    write_fixture if std::env::args().any(|word| word.ends_with("write_fixture")),
        else "writes the fixture; run it by name for a new format",
];

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const LATER: Timestamp = Timestamp::from_millis(1_900_000_000_000);
/// What the store of a fixture is told apart by: it comes from a seed.
const LINEAGE: u128 = 0x910a_2dec_8902_5cc1_beeb_8da1_658e_ec67;
/// How many change sets are kept.
const RETENTION: u64 = 4;

fn open<E: TestedEngine>(path: &Path, clock: &Arc<ManualClock>) -> Store<E> {
    let options = EmbeddedOptions::default()
        .with_clock(Arc::clone(clock) as Arc<dyn Clock>)
        .with_random(Arc::new(SeededRandom::new(1)))
        .with_change_retention(RETENTION);
    open_store(&E::config(path), options).unwrap()
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

/// One batch of what a fixture holds, and the last key that it changes.
type Step = (WriteBatch, &'static str, ChangeKind);

/// What a fixture holds. Each kind of record is there at least once.
fn steps<E: TestedEngine>() -> Vec<Step> {
    let batch = WriteBatch::new;
    let mut steps = vec![
        (accepted(), "plan", ChangeKind::Put),
        (
            batch().put(key("empty"), "").put(key("gone"), "soon"),
            "gone",
            ChangeKind::Put,
        ),
        (
            batch().put_with(key("timed"), vec![0, 255, 0], Expiry::At(LATER)),
            "timed",
            ChangeKind::Put,
        ),
        (batch().delete(key("gone")), "gone", ChangeKind::Delete),
        (batch().put(key("late"), "1"), "late", ChangeKind::Put),
    ];
    if let Some(size_bytes) = E::LARGE_VALUE {
        let large = batch().put(key("long"), vec![b'l'; size_bytes]);
        steps.push((large, "long", ChangeKind::Put));
    }
    let touch = batch().touch(key("late"), Expiry::At(LATER));
    steps.push((touch, "late", ChangeKind::Put));
    steps
}

fn write(store: &dyn Backend, steps: impl IntoIterator<Item = Step>) {
    for (batch, _, _) in steps {
        assert!(block_on(store.apply(batch)).unwrap().is_committed());
    }
}

/// Leaves a fixture at `path`: a part of it old, the rest young.
fn make<E: TestedEngine>(path: &Path) {
    let clock = Arc::new(ManualClock::at(NOW));
    let mut young = steps::<E>();
    let old: Vec<Step> = young.drain(..3).collect();
    let store = open::<E>(path, &clock);
    write(&*store, old);
    block_on(store.close()).unwrap();
    E::age(path);
    let store = open::<E>(path, &clock);
    write(&*store, young);
    assert!(!block_on(store.apply(rejected())).unwrap().is_committed());
    block_on(store.close()).unwrap();
    E::trim_fixture(path);
}

/// Writes the fixture anew. Only ever needed for a new format, in a directory of its own.
fn write_fixture<E: TestedEngine>() {
    assert!(
        !E::fixture().exists(),
        "a released fixture is never written again"
    );
    make::<E>(&E::fixture());
}

fn fixture_opens_with_all_that_it_holds<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    E::restore_fixture(&E::fixture(), &path);
    look_at::<E>(&path);
}

fn fixture_that_is_made_today_opens_with_all_that_it_holds<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    make::<E>(&dir.path().join("fixture"));
    let path = dir.path().join("store");
    E::restore_fixture(&dir.path().join("fixture"), &path);
    look_at::<E>(&path);
}

/// Opens the store of a fixture and compares all that can be seen of it.
fn look_at<E: TestedEngine>(path: &Path) {
    let clock = Arc::new(ManualClock::at(NOW));
    let store = open::<E>(path, &clock);
    block_on(store.check(&|_| {})).unwrap();
    assert_eq!(store.lineage(), LINEAGE);
    let steps = steps::<E>();
    let last = steps.len() as u64;
    look_at_entries::<E>(&store, last);
    look_at_changes::<E>(&store, &steps);

    let first = block_on(store.apply(accepted())).unwrap();
    assert_eq!(first, Outcome::Committed(Revision::new(1)));
    assert!(block_on(store.apply(rejected())).unwrap().rejected().is_some());
    let before = block_on(store.count(&KeyRange::all())).unwrap();
    clock.set(LATER);
    assert_eq!(entry(&*store, &key("timed")), None);
    assert_eq!(block_on(store.count(&KeyRange::all())).unwrap(), before - 2);
    let next = block_on(store.apply(WriteBatch::new().put(key("next"), "1"))).unwrap();
    assert!(next.committed().unwrap() > Revision::new(last));
}

fn look_at_entries<E: TestedEngine>(store: &Store<E>, last: u64) {
    let large = E::LARGE_VALUE.map(|size_bytes| vec![b'l'; size_bytes]);
    let mut wanted: Vec<(&str, &[u8], u64, Option<Timestamp>)> = vec![
        ("empty", b"", 2, None),
        ("late", b"1", last, Some(LATER)),
        ("plan", b"buy milk", 1, None),
        ("timed", &[0, 255, 0], 3, Some(LATER)),
    ];
    if let Some(large) = &large {
        wanted.insert(2, ("long", large, 6, None));
    }
    let items = block_on(store.collect(&Scan::new(KeyRange::all()))).unwrap();
    assert_eq!(items.len(), wanted.len());
    for (item, (path, value, revision, deadline)) in items.iter().zip(wanted) {
        let entry = item.entry.as_ref().unwrap();
        assert_eq!(item.key, key(path));
        assert!(entry.value() == value, "the value of {path}");
        assert_eq!(entry.revision(), Revision::new(revision), "{path}");
        assert_eq!(entry.deadline(), deadline, "{path}");
    }
}

/// The log reaches back over the retention, and not further.
fn look_at_changes<E: TestedEngine>(store: &Store<E>, steps: &[Step]) {
    let trimmed = steps.len() as u64 - RETENTION;
    let oldest = block_on(store.stats()).unwrap().oldest_revision;
    assert_eq!(oldest, Revision::new(trimmed));
    let spec = WatchSpec::new(KeyRange::all()).after(oldest);
    let mut watcher = store.watch(&spec).unwrap();
    for (revision, (_, path, kind)) in (1..).zip(steps).skip_while(|(revision, _)| *revision <= trimmed) {
        let WatchEvent::Changes(set) = block_on(watcher.next()).unwrap() else {
            panic!("the log reaches back that far");
        };
        assert_eq!(set.revision, Revision::new(revision));
        let change = set.changes.last().unwrap();
        assert_eq!((&change.key, change.kind), (&key(path), *kind));
    }
}

fn what_is_written_today_is_what_the_fixture_holds<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let (today, then) = (dir.path().join("today"), dir.path().join("then"));
    E::restore_fixture(&E::fixture(), &then);
    let store = open::<E>(&today, &Arc::new(ManualClock::at(NOW)));
    write(&*store, steps::<E>());
    assert!(!block_on(store.apply(rejected())).unwrap().is_committed());
    drop(store);
    for text in E::TEXTS {
        let read = |store: &Path| fs::read_to_string(store.join(text)).unwrap();
        assert_eq!(read(&today), read(&then), "{text}");
    }
    // The bare engine may write while it opens.
    let records = |store: &Path| {
        let scratch = tempfile::tempdir().unwrap();
        copy(store, &scratch.path().join("copy"));
        E::records(&scratch.path().join("copy"))
    };
    assert!(!records(&then).is_empty());
    assert_eq!(
        records(&today),
        records(&then),
        "the format changed: raise its version and add a fixture"
    );
}
