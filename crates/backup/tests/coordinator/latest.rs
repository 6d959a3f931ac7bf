//! Restoring the newest backup that is whole.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use stead_backup::{BackupId, BackupType, LatestReport, RestoreOptions, RestorePoint};
use stead_core::{Backend, ErrorKind, Result};

use crate::support::content;
use crate::world::{MINUTE, Moody, World, damage, plain};

/// Three backups, and the chunks that each added.
async fn story(world: &World) -> Vec<(BackupId, Vec<PathBuf>)> {
    let mut before = BTreeSet::new();
    let mut made = Vec::new();
    for number in 0..3 {
        world.put(&format!("k{number}"), "v").await;
        let id = world
            .manager()
            .create_backup(BackupType::IncrementalFromNewest)
            .await
            .unwrap();
        let now: BTreeSet<PathBuf> = world.chunks().into_iter().collect();
        made.push((id, now.difference(&before).cloned().collect()));
        before = now;
        world.clock.jump(MINUTE);
    }
    made
}

fn latest() -> RestoreOptions {
    RestoreOptions::new(RestorePoint::Latest)
}

async fn restore_latest(
    world: &World,
    target: &Arc<dyn Backend>,
    options: &RestoreOptions,
) -> Result<LatestReport> {
    let repository = &world.bench.repository;
    repository.restore_latest(target, options, &*world.clock).await
}

#[tokio::test(start_paused = true)]
async fn a_whole_newest_one_is_restored() {
    let world = World::new().await;
    let made = story(&world).await;
    let target = world.bench.empty();
    let report = restore_latest(&world, &target, &latest()).await.unwrap();
    assert_eq!(report.restored.backup, made[2].0);
    assert!(report.passed_over.is_empty());
    assert_eq!(content(&*target).await, content(&*world.bench.store).await);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_newest_one_is_passed_over_and_named() {
    for harm in [
        damage as fn(&std::path::Path),
        |path| fs::remove_file(path).unwrap(),
        |path| fs::write(path, "").unwrap(),
    ] {
        let world = World::new().await;
        let made = story(&world).await;
        harm(&made[2].1[0]);
        let target = world.bench.empty();
        let report = restore_latest(&world, &target, &latest()).await.unwrap();
        assert_eq!(report.restored.backup, made[1].0);
        let passed: Vec<_> = report.passed_over.iter().map(|passed| passed.backup).collect();
        assert_eq!(passed, [made[2].0]);
        assert_eq!(report.passed_over[0].error.kind(), ErrorKind::Corrupt);
        assert_eq!(content(&*target).await.len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn all_that_stand_on_a_damaged_one_are_passed_over() {
    let world = World::new().await;
    let made = story(&world).await;
    damage(&made[1].1[0]);
    let coordinator = world.start(plain(stead_backup::Schedule::OnDemand));
    let target = world.bench.empty();
    let report = coordinator.restore_latest(&target, &latest()).await.unwrap();
    assert_eq!(report.restored.backup, made[0].0);
    let passed: Vec<_> = report.passed_over.iter().map(|passed| passed.backup).collect();
    assert_eq!(passed, [made[2].0, made[1].0]);
    assert_eq!(coordinator.stats().restore_failures, 0);

    damage(&made[0].1[0]);
    let target = world.bench.empty();
    let error = coordinator.restore_latest(&target, &latest()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error.to_string().contains(&format!("newest={}", made[2].0)),
        "{error}"
    );
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(coordinator.stats().restore_failures, 1);
    assert_eq!(target.stats().await.unwrap().commits, 0);
}

/// The record of a backup in the log.
fn record(world: &World, number: u64) -> PathBuf {
    world.bench.path().join(format!("log/{number:012}"))
}

#[tokio::test(start_paused = true)]
async fn a_damaged_log_gives_what_is_left_of_it() {
    for (harmed, restored) in [("log/000000000003", 1), ("log/000000000002", 0), ("HEAD", 2)] {
        let world = World::new().await;
        let made = story(&world).await;
        damage(&world.bench.path().join(harmed));
        assert_eq!(
            world.bench.repository.backups().await.unwrap_err().kind(),
            ErrorKind::Corrupt
        );
        let target = world.bench.empty();
        let report = restore_latest(&world, &target, &latest()).await;
        let report = report.unwrap();
        assert_eq!(report.restored.backup, made[restored].0, "{harmed}");
        assert_eq!(report.log_damage.unwrap().kind(), ErrorKind::Corrupt);
        // Of the third, the link to the second is gone.
        assert_eq!(report.passed_over.len(), usize::from(restored == 0), "{harmed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_of_which_nothing_is_left_is_an_error() {
    let world = World::new().await;
    story(&world).await;
    for number in 1..=3 {
        damage(&record(&world, number));
    }
    let target = world.bench.empty();
    let error = restore_latest(&world, &target, &latest()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(target.stats().await.unwrap().commits, 0);
}

#[tokio::test(start_paused = true)]
async fn a_time_bounds_it_and_a_backup_does_not() {
    let world = World::new().await;
    let made = story(&world).await;
    let backups = world.backups().await;
    let target = world.bench.empty();
    let mut options = RestoreOptions::new(RestorePoint::Time(backups[1].taken));
    let report = restore_latest(&world, &target, &options).await.unwrap();
    assert_eq!(report.restored.backup, made[1].0);
    options.point = RestorePoint::Backup(made[0].0);
    let error = restore_latest(&world, &target, &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    // A target that holds something is not the backup's fault.
    let error = restore_latest(&world, &target, &latest()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn without_a_backup_it_says_so() {
    let world = World::new().await;
    let target = world.bench.empty();
    let error = restore_latest(&world, &target, &latest()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_keeps_nothing_is_no_damage_of_the_backup() {
    let world = World::new().await;
    story(&world).await;
    let liar = Moody::new(world.bench.empty());
    liar.lies.store(true, Ordering::SeqCst);
    let target: Arc<dyn Backend> = Arc::new(liar);
    let latest = restore_latest(&world, &target, &latest()).await;
    let error = latest.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().starts_with("the target does not hold"), "{error}");
}
