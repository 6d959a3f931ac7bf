//! Backups of a store in memory, and what they give back.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use stead_backup::{
    BackupKind, BackupManager, BackupType, CreateOptions, Deadlines, Repository, RestoreOptions,
    RestorePoint, VerifyDepth, VerifyOptions,
};
use stead_core::{
    Backend, BackendExt, ErrorKind, Expect, KeyRange, Outcome, Partition, SystemClock, SystemRandom,
    Timestamp, WriteBatch,
};
use stead_memory::{MemoryBackend, MemoryOptions};
use support::{Bench, NOW, content, key, put, put_until};

async fn full(bench: &Bench) -> stead_backup::BackupMetadata {
    bench
        .manager
        .create(&CreateOptions::new(BackupType::Full))
        .await
        .unwrap()
}

async fn next(bench: &Bench) -> stead_backup::BackupMetadata {
    let options = CreateOptions::new(BackupType::IncrementalFromNewest);
    bench.manager.create(&options).await.unwrap()
}

async fn restored(bench: &Bench, point: RestorePoint) -> Arc<dyn Backend> {
    let target = bench.empty();
    let options = RestoreOptions::new(point);
    bench
        .repository
        .restore(&target, &options, &*bench.clock)
        .await
        .unwrap();
    target
}

#[tokio::test]
async fn a_chain_gives_each_of_its_states() {
    let bench = Bench::new().await;
    let mut states = Vec::new();
    for number in 0..300 {
        put(
            &bench.store,
            "a",
            &format!("k{number:03}"),
            &format!("first {number}"),
        )
        .await;
    }
    states.push((full(&bench).await, content(&*bench.store).await));
    put(&bench.store, "a", "k007", "second").await;
    bench.store.delete(key("a", "k008")).await.unwrap();
    put_until(
        &bench.store,
        "b",
        "soon",
        "x",
        Timestamp::from_millis(NOW.as_millis() + 50),
    )
    .await;
    states.push((next(&bench).await, content(&*bench.store).await));
    bench.clock.advance_millis(100);
    put(&bench.store, "a", "k008", "again").await;
    states.push((next(&bench).await, content(&*bench.store).await));
    states.push((next(&bench).await, content(&*bench.store).await));

    for (metadata, state) in &states {
        let target = restored(&bench, RestorePoint::Backup(metadata.id)).await;
        let mut state = state.clone();
        state.retain(|_, (_, deadline)| {
            deadline.is_none_or(|deadline| deadline.as_millis() > NOW.as_millis() + 100)
        });
        assert_eq!(content(&*target).await, state, "{}", metadata.id);
    }
    let kinds: Vec<_> = states.iter().map(|(metadata, _)| metadata.kind).collect();
    let wanted = [
        BackupKind::Full,
        BackupKind::Incremental,
        BackupKind::Incremental,
        BackupKind::Incremental,
    ];
    assert_eq!(kinds, wanted);
    assert_eq!(states[1].0.counts.entries, 2);
    assert_eq!(states[1].0.counts.deleted, 1);
    // The sweeper may not have come by yet: the deadline itself says that the entry is gone.
    assert!(states[2].0.counts.expired <= 1);
    assert_eq!(states[3].0.counts.entries, 0);
    assert_eq!(states[2].0.base, Some(states[1].0.id));
    for depth in [VerifyDepth::Structure, VerifyDepth::Bytes] {
        let report = bench.repository.verify(&VerifyOptions::new(depth)).await.unwrap();
        assert_eq!(report.backups, 4);
        assert_eq!(report.unused_chunks, 0);
    }
}

#[tokio::test]
async fn a_differential_stands_on_the_full_one() {
    let bench = Bench::new().await;
    put(&bench.store, "a", "one", "1").await;
    let base = full(&bench).await;
    put(&bench.store, "a", "two", "2").await;
    next(&bench).await;
    put(&bench.store, "a", "three", "3").await;
    let options = CreateOptions::new(BackupType::Differential).with_tag("nightly");
    let differential = bench.manager.create(&options).await.unwrap();
    assert_eq!(
        (differential.kind, differential.base),
        (BackupKind::Differential, Some(base.id))
    );
    assert_eq!(differential.counts.entries, 2);
    assert_eq!(differential.tags, ["nightly"]);
    let target = restored(&bench, RestorePoint::Latest).await;
    assert_eq!(content(&*target).await, content(&*bench.store).await);
}

#[tokio::test]
async fn the_same_entries_take_no_room_twice() {
    let bench = Bench::new().await;
    for number in 0..2000 {
        put(&bench.store, "a", &format!("{number}"), &"x".repeat(number)).await;
    }
    let first = full(&bench).await;
    let second = full(&bench).await;
    assert_eq!(first.counts.new_bytes, first.counts.stored_bytes);
    assert_eq!(second.counts.new_bytes, 0);
    assert_eq!(second.state, first.state);
}

#[tokio::test]
async fn revisions_go_on_far_behind_those_of_before() {
    let bench = Bench::new().await;
    put(&bench.store, "a", "counter", "1").await;
    full(&bench).await;
    let later = bench.store.put(key("a", "counter"), "2").await.unwrap();
    let target = restored(&bench, RestorePoint::Latest).await;
    let restored = target.get(&key("a", "counter")).await.unwrap().unwrap();
    assert_eq!(restored.value(), b"1");
    assert!(restored.revision() > later);
    let stale = target
        .compare_and_set(key("a", "counter"), Expect::At(later), "3")
        .await
        .unwrap();
    assert!(matches!(stale, Outcome::Rejected(_)));
}

#[tokio::test]
async fn a_store_that_holds_something_is_replaced_in_one_step_and_only_when_asked() {
    let bench = Bench::new().await;
    for number in 0..100 {
        put(&bench.store, "a", &format!("{number}"), "old").await;
    }
    let state = content(&*bench.store).await;
    full(&bench).await;
    put(&bench.store, "a", "5", "new").await;
    put(&bench.store, "a", "more", "new").await;
    bench.store.delete(key("a", "6")).await.unwrap();
    let changed = content(&*bench.store).await;
    let mut options = RestoreOptions::new(RestorePoint::Latest);
    let refused = bench
        .repository
        .restore(&bench.store, &options, &*bench.clock)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    options.replace = true;
    options.dry_run = true;
    let mut would = bench
        .repository
        .restore(&bench.store, &options, &*bench.clock)
        .await
        .unwrap();
    assert_eq!(content(&*bench.store).await, changed);
    options.dry_run = false;
    let before = bench.store.stats().await.unwrap().commits;
    let did = bench
        .repository
        .restore(&bench.store, &options, &*bench.clock)
        .await
        .unwrap();
    assert!(did.revision >= would.revision);
    assert_eq!(did.revision, bench.store.stats().await.unwrap().revision);
    would.revision = did.revision;
    assert_eq!(would, did);
    assert_eq!((did.entries, did.added, did.changed, did.removed), (100, 1, 1, 1));
    assert_eq!(content(&*bench.store).await, state);
    assert_eq!(bench.store.stats().await.unwrap().commits, before + 1);
}

#[tokio::test]
async fn one_scope_is_restored_and_the_others_stay() {
    let bench = Bench::new().await;
    put(&bench.store, "a", "k", "old").await;
    put(&bench.store, "b", "k", "old").await;
    full(&bench).await;
    put(&bench.store, "a", "k", "new").await;
    put(&bench.store, "b", "k", "new").await;
    let mut options = RestoreOptions::new(RestorePoint::Latest);
    options.range = KeyRange::partition(&Partition::new("a").unwrap());
    options.replace = true;
    let report = bench
        .repository
        .restore(&bench.store, &options, &*bench.clock)
        .await
        .unwrap();
    assert_eq!((report.entries, report.changed), (1, 1));
    let state = content(&*bench.store).await;
    assert_eq!(state[&key("a", "k")].0, b"old");
    assert_eq!(state[&key("b", "k")].0, b"new");
}

#[tokio::test]
async fn what_does_not_fit_into_one_batch_is_refused_and_changes_nothing() {
    let bench = Bench::new().await;
    let number = 40_000;
    for start in (0..number).step_by(1000) {
        let mut batch = WriteBatch::new();
        for number in start..start + 1000 {
            batch = batch.put(key("a", &number.to_string()), "old");
        }
        bench.store.apply(batch).await.unwrap().committed().unwrap();
    }
    full(&bench).await;
    bench.store.clear(&KeyRange::all()).await.unwrap();
    put(&bench.store, "a", "only", "this").await;
    let mut options = RestoreOptions::new(RestorePoint::Latest);
    options.replace = true;
    let refused = bench
        .repository
        .restore(&bench.store, &options, &*bench.clock)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    assert_eq!(content(&*bench.store).await.len(), 1);
}

#[tokio::test]
async fn deadlines_are_kept_put_off_or_dropped() {
    let bench = Bench::new().await;
    let at = |millis: u64| Timestamp::from_millis(NOW.as_millis() + millis);
    put_until(&bench.store, "a", "short", "1", at(1000)).await;
    put_until(&bench.store, "a", "long", "2", at(9000)).await;
    put(&bench.store, "a", "none", "3").await;
    full(&bench).await;
    bench.clock.advance_millis(2000);
    let with = async |rule: Deadlines| {
        let target = bench.empty();
        let mut options = RestoreOptions::new(RestorePoint::Latest);
        options.deadlines = rule;
        let report = bench
            .repository
            .restore(&target, &options, &*bench.clock)
            .await
            .unwrap();
        let state = content(&*target).await;
        let of = |path: &str| state.get(&key("a", path)).map(|(_, deadline)| *deadline);
        (report.expired, of("short"), of("long"), of("none"))
    };
    assert_eq!(
        with(Deadlines::Keep).await,
        (1, None, Some(Some(at(9000))), Some(None))
    );
    let extended = (0, Some(Some(at(3000))), Some(Some(at(11_000))), Some(None));
    assert_eq!(with(Deadlines::Extend).await, extended);
    assert_eq!(
        with(Deadlines::Drop).await,
        (0, Some(None), Some(None), Some(None))
    );
}

#[tokio::test]
async fn what_was_gone_when_the_backup_was_taken_stays_gone() {
    let bench = Bench::new().await;
    put_until(
        &bench.store,
        "a",
        "short",
        "1",
        Timestamp::from_millis(NOW.as_millis() + 10),
    )
    .await;
    put(&bench.store, "a", "none", "2").await;
    full(&bench).await;
    bench.clock.advance_millis(20);
    put(&bench.store, "a", "more", "3").await;
    next(&bench).await;
    let target = bench.empty();
    let mut options = RestoreOptions::new(RestorePoint::Latest);
    options.deadlines = Deadlines::Drop;
    bench
        .repository
        .restore(&target, &options, &*bench.clock)
        .await
        .unwrap();
    assert_eq!(content(&*target).await, content(&*bench.store).await);
}

#[tokio::test]
async fn a_point_in_time_is_found_by_its_time_and_its_revision() {
    let bench = Bench::new().await;
    put(&bench.store, "a", "k", "1").await;
    full(&bench).await;
    bench.clock.advance_millis(1000);
    let second = bench.store.put(key("a", "k"), "2").await.unwrap();
    let other = bench.store.put(key("a", "other"), "2").await.unwrap();
    next(&bench).await;
    bench.clock.advance_millis(1000);
    bench.store.put(key("a", "k"), "3").await.unwrap();
    let fourth = bench.store.put(key("a", "k"), "4").await.unwrap();
    next(&bench).await;
    let value = async |point| {
        let target = bench.empty();
        let options = RestoreOptions::new(point);
        bench.repository.restore(&target, &options, &*bench.clock).await?;
        let value = async |path| {
            target
                .get(&key("a", path))
                .await
                .unwrap()
                .map(|entry| entry.value().to_vec())
        };
        Ok::<_, stead_core::Error>((value("k").await.unwrap(), value("other").await.is_some()))
    };
    let early = RestorePoint::Time(Timestamp::from_millis(NOW.as_millis() + 999));
    assert_eq!(value(early).await.unwrap(), (b"1".to_vec(), false));
    let before = RestorePoint::Time(Timestamp::from_millis(NOW.as_millis() - 1));
    assert_eq!(value(before).await.unwrap_err().kind(), ErrorKind::Invalid);
    // In the middle of the first increment, at its end, and in the middle of two changes of one key.
    assert_eq!(
        value(RestorePoint::Revision(second)).await.unwrap(),
        (b"2".to_vec(), false)
    );
    assert_eq!(
        value(RestorePoint::Revision(other)).await.unwrap(),
        (b"2".to_vec(), true)
    );
    let between = stead_core::Revision::new(fourth.get() - 1);
    assert_eq!(
        value(RestorePoint::Revision(between)).await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    let ahead = stead_core::Revision::new(fourth.get() + 1);
    assert_eq!(
        value(RestorePoint::Revision(ahead)).await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
}

#[tokio::test]
async fn a_log_that_does_not_reach_back_forces_a_full_backup_and_says_so() {
    let bench = Bench::new().await;
    let store: Arc<dyn Backend> = Arc::new(MemoryBackend::new(
        MemoryOptions::default().with_change_retention(2),
    ));
    let manager = BackupManager::new(bench.repository.clone(), Arc::clone(&store));
    put(&store, "a", "0", "x").await;
    manager.create_backup(BackupType::Full).await.unwrap();
    for number in 0..5 {
        put(&store, "a", &number.to_string(), "y").await;
    }
    let forced = manager
        .create(&CreateOptions::new(BackupType::IncrementalFromNewest))
        .await
        .unwrap();
    assert_eq!(forced.kind, BackupKind::Full);
    assert!(forced.forced.unwrap().contains("log of changes"));
}

#[tokio::test]
async fn an_increment_of_another_store_is_refused() {
    let bench = Bench::new().await;
    put(&bench.store, "a", "k", "1").await;
    let base = full(&bench).await;
    let other = bench.empty();
    put(&other, "a", "k", "1").await;
    put(&other, "a", "k", "2").await;
    let manager = BackupManager::new(bench.repository.clone(), other);
    let options = CreateOptions::new(BackupType::Incremental {
        base_backup_id: base.id,
    });
    let refused = manager.create(&options).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert_eq!(bench.repository.backups().await.unwrap().len(), 1);
}

#[tokio::test]
async fn two_writers_at_once_are_told_apart() {
    let bench = Bench::new().await;
    put(&bench.store, "a", "k", "1").await;
    let both = tokio::join!(
        bench.manager.create_backup(BackupType::Full),
        bench.manager.create_backup(BackupType::Full),
    );
    let refused: Vec<_> = [both.0, both.1].into_iter().filter_map(Result::err).collect();
    assert!(refused.iter().all(|error| error.kind() == ErrorKind::Conflict));
    assert_eq!(bench.repository.backups().await.unwrap().len(), 2 - refused.len());
    bench.repository.verify(&VerifyOptions::default()).await.unwrap();
}

#[tokio::test]
async fn places_that_are_none_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let url = dir.path().to_str().unwrap();
    let open = async |url: &str| Repository::open(url).await.unwrap_err().kind();
    assert_eq!(open(url).await, ErrorKind::Invalid);
    assert_eq!(
        open(dir.path().join("none").to_str().unwrap()).await,
        ErrorKind::Invalid
    );
    std::fs::write(dir.path().join("file"), "x").unwrap();
    let refused = Repository::init(url, &SystemClock, &SystemRandom)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    std::fs::remove_file(dir.path().join("file")).unwrap();
    Repository::init(url, &SystemClock, &SystemRandom).await.unwrap();
    let again = Repository::init(url, &SystemClock, &SystemRandom)
        .await
        .unwrap_err();
    assert!(again.message().contains("already"), "{again}");
    std::fs::write(
        dir.path().join("FORMAT"),
        r#"{"format":"stead-backup","version":2,"new":true}"#.to_owned() + "\n",
    )
    .unwrap();
    let newer = Repository::open(url).await.unwrap_err();
    assert!(newer.message().contains("newer version"), "{newer}");
}
