//! A store beside a live one, which takes its place.

use std::fs;
use std::path::Path;

use futures_executor::block_on;
use stead_core::{
    Backend, BackendExt, ErrorKind, Expect, Expiry, KeyRange, Outcome, Read, ReadExt, RequestId, Timestamp,
    WatchSpec, WriteBatch,
};
use stead_embedded::{Engine, EngineConfig, Previous, Staging};

use crate::run::cases;
use crate::{TestedEngine, contents, entry, fill, filled, key, nth, open, refused};

cases![
    switched_store_holds_what_was_staged_and_goes_on,
    requests_of_before_the_switch_are_remembered,
    replaced_store_is_kept_whole_where_that_was_asked_for,
    nobody_gets_in_between_the_close_and_the_switch,
    lock_of_a_closed_store_is_held_on,
    staging_that_is_dropped_leaves_the_store_as_it_was,
    staging_that_was_cut_short_is_no_obstacle,
    store_without_records_of_its_close_is_opened_as_after_a_crash,
    store_that_is_read_only_is_not_switched if E::READERS >= crate::Readers::One,
        else "the engine cannot open for reading only",
];

type Config<E> = <E as TestedEngine>::Config;

fn staging<E: TestedEngine>(path: &Path) -> Staging<Config<E>> {
    let url = format!("{}:{}", E::NAME, path.display());
    block_on(Staging::open(url.parse().unwrap())).unwrap()
}

/// What lies in the directory of a store beside the data.
fn names(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn count<E: TestedEngine>(path: &Path) -> u64 {
    let store = open::<E>(path).unwrap();
    block_on(store.check(&|_| {})).unwrap();
    let count = block_on(store.count(&KeyRange::all())).unwrap();
    block_on(store.close()).unwrap();
    count
}

fn switched_store_holds_what_was_staged_and_goes_on<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled::<E>(&path, 1500);
    let before = names(&path);
    let mut staging = staging::<E>(&path);
    let live = staging.live().clone();
    let (lineage, old) = (live.lineage(), entry(&*live, &nth(7)).unwrap().revision());
    let newest = block_on(live.stats()).unwrap().revision;
    let staged = block_on(staging.stage(Previous::Remove)).unwrap();
    assert_eq!(block_on(staged.count(&KeyRange::all())).unwrap(), 0);
    fill(&*staged, 5..2505, 1000);
    let deadline = Timestamp::from_millis(u64::MAX / 4);
    block_on(staged.put_with(key("late"), "v", Expiry::At(deadline))).unwrap();
    assert_eq!(block_on(staging.switch()).unwrap(), None);
    assert_eq!(block_on(live.get(&nth(0))).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(names(&path), before);

    let store = open::<E>(&path).unwrap();
    block_on(store.check(&|_| {})).unwrap();
    assert_eq!(store.lineage(), lineage);
    assert_eq!(block_on(store.count(&KeyRange::all())).unwrap(), 2501);
    assert!(entry(&*store, &nth(4)).is_none() && entry(&*store, &nth(2504)).is_some());
    assert_eq!(entry(&*store, &key("late")).unwrap().deadline(), Some(deadline));
    assert!(entry(&*store, &nth(7)).unwrap().revision() > newest);
    let stale = WriteBatch::new()
        .expect(nth(7), Expect::At(old))
        .put(nth(7), "stale");
    assert!(!block_on(store.apply(stale)).unwrap().is_committed());
    let from = WatchSpec::new(KeyRange::all()).after(newest);
    let mut watcher = store.watch(&from).unwrap();
    let first = block_on(watcher.next()).unwrap();
    assert!(
        !format!("{first:?}").contains("Changes"),
        "it resynchronises: {first:?}"
    );
}

fn requests_of_before_the_switch_are_remembered<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open::<E>(&path).unwrap();
    let batch = |n: u32| {
        let id = RequestId::new(format!("request-{n}")).unwrap();
        WriteBatch::new()
            .put(key("counted"), format!("{n}"))
            .request_id(id)
    };
    let outcomes: Vec<Outcome> = (0..300)
        .map(|n| block_on(store.apply(batch(n))).unwrap())
        .collect();
    block_on(store.close()).unwrap();
    let mut staging = staging::<E>(&path);
    let staged = block_on(staging.stage(Previous::Remove)).unwrap();
    block_on(staged.put(key("counted"), "staged")).unwrap();
    block_on(staging.switch()).unwrap();
    let store = open::<E>(&path).unwrap();
    for (n, outcome) in (0..).zip(outcomes) {
        assert_eq!(block_on(store.apply(batch(n))).unwrap(), outcome);
    }
    assert_eq!(entry(&*store, &key("counted")).unwrap().value(), b"staged");
    assert!(block_on(store.apply(batch(300))).unwrap().is_committed());
    block_on(store.check(&|_| {})).unwrap();
}

fn replaced_store_is_kept_whole_where_that_was_asked_for<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled::<E>(&path, 100);
    let mut switching = staging::<E>(&path);
    let staged = block_on(switching.stage(Previous::Keep)).unwrap();
    fill(&*staged, 0..30, 30);
    let kept = block_on(switching.switch()).unwrap().unwrap();
    assert_eq!(kept, path.join("PREVIOUS"));
    assert_eq!((count::<E>(&path), count::<E>(&kept)), (30, 100));
    let mut again = staging::<E>(&path);
    let error = block_on(again.stage(Previous::Keep)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    drop(again);
    assert_eq!((count::<E>(&path), count::<E>(&kept)), (30, 100));
}

fn nobody_gets_in_between_the_close_and_the_switch<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled::<E>(&path, 100);
    let mut staging = staging::<E>(&path);
    refused::<E>(&path, ErrorKind::Unavailable);
    let staged = block_on(staging.stage(Previous::Remove)).unwrap();
    // Both are closed long before the switch.
    block_on(staged.close()).unwrap();
    block_on(staging.live().close()).unwrap();
    assert!(refused::<E>(&path, ErrorKind::Unavailable).contains("open elsewhere"));
    drop(staging);
    assert_eq!(count::<E>(&path), 100);
}

fn lock_of_a_closed_store_is_held_on<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled::<E>(&path, 1);
    let engine = E::config(&path).open_engine().unwrap();
    let lock = engine.hold().unwrap();
    engine.close().unwrap();
    refused::<E>(&path, ErrorKind::Unavailable);
    drop(lock);
    assert_eq!(count::<E>(&path), 1);
}

fn staging_that_is_dropped_leaves_the_store_as_it_was<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled::<E>(&path, 100);
    let before = names(&path);
    let mut staging = staging::<E>(&path);
    let staged = block_on(staging.stage(Previous::Remove)).unwrap();
    fill(&*staged, 0..500, 100);
    drop(staged);
    drop(staging);
    assert_eq!(names(&path), before);
    assert_eq!(count::<E>(&path), 100);
}

fn staging_that_was_cut_short_is_no_obstacle<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled::<E>(&path, 100);
    let before = names(&path);
    // As a kill leaves it: half a store, and files that are none.
    let left = path.join("RESTORING");
    filled::<E>(&left, 10);
    fs::create_dir(left.join("probe.1")).unwrap();
    fs::remove_file(left.join("STEAD")).unwrap();
    let untouched = contents(&left);
    assert_eq!(count::<E>(&path), 100);
    assert!(contents(&left) == untouched, "opening the store touched it");
    let mut staging = staging::<E>(&path);
    let staged = block_on(staging.stage(Previous::Remove)).unwrap();
    fill(&*staged, 0..7, 7);
    block_on(staging.switch()).unwrap();
    assert_eq!(names(&path), before);
    assert_eq!(count::<E>(&path), 7);
}

/// At the instant of the exchange there are none.
fn store_without_records_of_its_close_is_opened_as_after_a_crash<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled::<E>(&path, 100);
    for record in Config::<E>::RECORDS {
        fs::remove_file(path.join(record)).unwrap();
    }
    assert_eq!(count::<E>(&path), 100);
    assert!(
        Config::<E>::RECORDS
            .iter()
            .all(|record| path.join(record).exists())
    );
}

fn store_that_is_read_only_is_not_switched<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled::<E>(&path, 10);
    let url = format!("{}:{}?read_only=true", E::NAME, path.display());
    let mut staging = block_on(Staging::<Config<E>>::open(url.parse().unwrap())).unwrap();
    let error = block_on(staging.stage(Previous::Remove)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}
