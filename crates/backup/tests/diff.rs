//! What is different between two backups, against a model of two maps.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use stead_backup::{BackupId, BackupManager, BackupType, Diff, Difference, DifferenceKind, Repository};
use stead_core::{
    Backend, BackendExt, Clock, Entry, ErrorKind, Expiry, Key, KeyRange, Partition, ReadExt, Scan, Ttl,
    WriteBatch,
};
use support::{Bench, key, put};

type State = BTreeMap<Key, Entry>;
/// A key, what there was, and what there is.
type Found = (Key, Option<Entry>, Option<Entry>);

/// What a store holds.
async fn state(store: &Arc<dyn Backend>) -> State {
    let items = store.collect(&Scan::new(KeyRange::all())).await.unwrap();
    items
        .into_iter()
        .map(|item| (item.key, item.entry.unwrap()))
        .collect()
}

/// What a diff has to give, and how many entries have another revision alone.
fn model(before: &State, after: &State, range: &KeyRange) -> (Vec<Found>, u64) {
    let mut keys: Vec<&Key> = before
        .keys()
        .chain(after.keys())
        .filter(|key| range.contains(key))
        .collect();
    keys.sort();
    keys.dedup();
    let (mut found, mut rewritten) = (Vec::new(), 0);
    for key in keys {
        match (before.get(key), after.get(key)) {
            (Some(one), Some(other))
                if one.value() == other.value() && one.deadline() == other.deadline() =>
            {
                rewritten += u64::from(one.revision() != other.revision());
            }
            (one, other) => found.push((key.clone(), one.cloned(), other.cloned())),
        }
    }
    (found, rewritten)
}

async fn all(mut diff: Diff<'_>) -> (Vec<Difference>, u64) {
    let mut found = Vec::new();
    while let Some(difference) = diff.next().await.unwrap() {
        found.push(difference);
    }
    (found, diff.rewritten())
}

fn flat(found: Vec<Difference>) -> Vec<Found> {
    found
        .into_iter()
        .map(|one| (one.key, one.before, one.after))
        .collect()
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8),
    PutFor(u8, u8, u64),
    Delete(u8),
    Wait(u64),
    Backup(Kind),
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Full,
    Increment,
    Differential,
    /// On one of those that there are.
    On(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..24_u8, 0..3_u8).prop_map(|(key, value)| Step::Put(key, value)),
        3 => (0..24_u8, 0..3_u8, 1..400_u64).prop_map(|(key, value, ms)| Step::PutFor(key, value, ms)),
        3 => (0..24_u8).prop_map(Step::Delete),
        1 => (1..200_u64).prop_map(Step::Wait),
        2 => prop_oneof![
            Just(Kind::Full),
            Just(Kind::Increment),
            Just(Kind::Differential),
            any::<u8>().prop_map(Kind::On),
        ].prop_map(Step::Backup),
    ]
}

fn place(number: u8) -> Key {
    key(["a", "b", "c"][usize::from(number % 3)], &format!("k{number:02}"))
}

/// Does the steps, and gives the state at each backup.
async fn history(bench: &Bench, steps: &[Step]) -> Vec<(BackupId, State)> {
    let mut states: Vec<(BackupId, State)> = Vec::new();
    for step in steps {
        match step {
            Step::Put(number, value) => {
                bench.store.put(place(*number), vec![*value]).await.unwrap();
            }
            Step::PutFor(number, value, ms) => {
                let expiry = Expiry::At(
                    bench
                        .clock
                        .now()
                        .checked_add(Ttl::from_millis(*ms).unwrap())
                        .unwrap(),
                );
                bench
                    .store
                    .put_with(place(*number), vec![*value], expiry)
                    .await
                    .unwrap();
            }
            Step::Delete(number) => {
                bench.store.delete(place(*number)).await.unwrap();
            }
            Step::Wait(ms) => bench.clock.advance_millis(*ms),
            Step::Backup(kind) => {
                let kind = match kind {
                    Kind::Full => BackupType::Full,
                    Kind::Increment => BackupType::IncrementalFromNewest,
                    Kind::Differential => BackupType::Differential,
                    Kind::On(which) => match states.get(usize::from(*which) % states.len().max(1)) {
                        Some((id, _)) => BackupType::Incremental { base_backup_id: *id },
                        None => BackupType::Full,
                    },
                };
                let id = bench.manager.create_backup(kind).await.unwrap();
                states.push((id, state(&bench.store).await));
            }
        }
    }
    states
}

async fn compare_all(steps: Vec<Step>) {
    let bench = Bench::new().await;
    let states = history(&bench, &steps).await;
    let partition = Partition::new("b").unwrap();
    let ranges = [
        KeyRange::all(),
        KeyRange::partition(&partition),
        KeyRange::prefix(&partition, "k1").unwrap(),
    ];
    for (before, held) in &states {
        for (after, holds) in &states {
            for range in &ranges {
                let diff = bench.repository.diff(before, after, range).await.unwrap();
                let (found, rewritten) = all(diff).await;
                assert_eq!(
                    (flat(found), rewritten),
                    model(held, holds, range),
                    "{before} {after}"
                );
            }
        }
        let holds = state(&bench.store).await;
        for range in &ranges {
            let capabilities = bench.store.capabilities();
            let diff = bench
                .repository
                .diff_store(before, &*bench.store, capabilities, range)
                .await
                .unwrap();
            let (found, rewritten) = all(diff).await;
            assert_eq!(
                (flat(found), rewritten),
                model(held, &holds, range),
                "{before} and the store"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_two_backups_differ_as_their_states_do(steps in vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(compare_all(steps));
    }
}

/// As many entries as fill several chunks, of bytes that do not compress.
async fn wide(store: &Arc<dyn Backend>, entries: u32) {
    let mut mixed = 1_u64;
    for start in (0..entries).step_by(500) {
        let mut batch = WriteBatch::new();
        for number in start..start + 500 {
            let value: Vec<u8> = (0..100)
                .flat_map(|_| {
                    mixed = mixed
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    mixed.to_be_bytes()
                })
                .collect();
            batch = batch.put(key("a", &format!("k{number:06}")), value);
        }
        store.apply(batch).await.unwrap().committed().unwrap();
    }
}

/// The chunks of the repository.
fn chunks(bench: &Bench) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for folder in fs::read_dir(bench.path().join("chunks")).unwrap() {
        for chunk in fs::read_dir(folder.unwrap().path()).unwrap() {
            found.push(chunk.unwrap().path());
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn full_backups_are_compared_by_the_chunks_that_differ() {
    let bench = Bench::new().await;
    wide(&bench.store, 10_000).await;
    let before = bench.manager.create_backup(BackupType::Full).await.unwrap();
    let first = chunks(&bench);
    put(&bench.store, "a", "k005000", "changed").await;
    bench.store.delete(key("a", "k005001")).await.unwrap();
    put(&bench.store, "a", "k005001a", "new").await;
    let after = bench.manager.create_backup(BackupType::Full).await.unwrap();
    let second: Vec<_> = chunks(&bench)
        .into_iter()
        .filter(|chunk| !first.contains(chunk))
        .collect();
    // The records of the one that changed, and the index.
    assert!(
        first.len() > 6 && second.len() == 2,
        "{} {}",
        first.len(),
        second.len()
    );

    let mut kinds = Vec::new();
    // What is not read may be gone.
    let mut needed = 0;
    for chunk in &first {
        let bytes = fs::read(chunk).unwrap();
        fs::remove_file(chunk).unwrap();
        let diff = bench
            .repository
            .diff(&before, &after, &KeyRange::all())
            .await
            .unwrap();
        let found = read(diff).await;
        match found {
            Ok(found) => kinds = found.iter().map(Difference::kind).collect(),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt);
                let name = chunk.file_name().unwrap().to_str().unwrap();
                assert!(error.to_string().contains(name), "{error}");
                needed += 1;
            }
        }
        fs::write(chunk, bytes).unwrap();
    }
    // The index, and the chunk of records that changed.
    assert_eq!(needed, 2);
    assert_eq!(
        kinds,
        [
            DifferenceKind::Changed,
            DifferenceKind::Removed,
            DifferenceKind::Added
        ]
    );
    let back = read(
        bench
            .repository
            .diff(&after, &before, &KeyRange::all())
            .await
            .unwrap(),
    )
    .await
    .unwrap();
    let kinds: Vec<_> = back.iter().map(Difference::kind).collect();
    assert_eq!(
        kinds,
        [
            DifferenceKind::Changed,
            DifferenceKind::Added,
            DifferenceKind::Removed
        ]
    );
}

async fn read(mut diff: Diff<'_>) -> stead_core::Result<Vec<Difference>> {
    let mut found = Vec::new();
    while let Some(difference) = diff.next().await? {
        found.push(difference);
    }
    Ok(found)
}

#[tokio::test]
async fn damage_of_what_is_read_is_named() {
    let bench = Bench::new().await;
    put(&bench.store, "a", "one", "1").await;
    let before = bench.manager.create_backup(BackupType::Full).await.unwrap();
    put(&bench.store, "a", "two", "2").await;
    let after = bench
        .manager
        .create_backup(BackupType::IncrementalFromNewest)
        .await
        .unwrap();
    let chunks = chunks(&bench);
    assert_eq!(chunks.len(), 4);
    for chunk in chunks {
        let good = fs::read(&chunk).unwrap();
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 1;
        fs::write(&chunk, bad).unwrap();
        let diff = bench
            .repository
            .diff(&before, &after, &KeyRange::all())
            .await
            .unwrap();
        let error = read(diff).await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Corrupt, "diff"));
        let name = chunk.file_name().unwrap().to_str().unwrap();
        assert!(error.to_string().contains(name), "{error}");
        fs::write(&chunk, good).unwrap();
    }
}

#[tokio::test]
async fn backups_that_are_not_there_are_refused() {
    let bench = Bench::new().await;
    let there = bench.manager.create_backup(BackupType::Full).await.unwrap();
    let none: BackupId = "7-00000000".parse().unwrap();
    for (before, after) in [(&there, &none), (&none, &there), (&none, &none)] {
        let refused = bench
            .repository
            .diff(before, after, &KeyRange::all())
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert!(refused.to_string().contains("7-00000000"), "{refused}");
    }
}

#[tokio::test]
async fn backups_of_two_stores_are_compared_by_what_they_hold() {
    let bench = Bench::new().await;
    put(&bench.store, "a", "one", "1").await;
    put(&bench.store, "a", "two", "2").await;
    let before = bench.manager.create_backup(BackupType::Full).await.unwrap();
    let other = bench.empty();
    put(&other, "a", "two", "2").await;
    put(&other, "b", "three", "3").await;
    let manager =
        BackupManager::new(bench.repository.clone(), Arc::clone(&other)).with_clock(bench.clock.clone());
    let after = manager.create_backup(BackupType::Full).await.unwrap();
    let diff = bench
        .repository
        .diff(&before, &after, &KeyRange::all())
        .await
        .unwrap();
    let (found, rewritten) = all(diff).await;
    let found: Vec<_> = found.into_iter().map(|one| (one.kind(), one.key)).collect();
    let wanted = [
        (DifferenceKind::Removed, key("a", "one")),
        (DifferenceKind::Added, key("b", "three")),
    ];
    assert_eq!(found, wanted);
    // The other store wrote it at another revision.
    assert_eq!(rewritten, 1);
    let repository = Repository::open(bench.path().to_str().unwrap()).await.unwrap();
    let same = repository.diff(&after, &after, &KeyRange::all()).await.unwrap();
    assert_eq!(all(same).await, (Vec::new(), 0));
}
