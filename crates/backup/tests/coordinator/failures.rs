//! What a checkpoint that fails leads to.

use std::fs::{self, File};
use std::sync::atomic::Ordering;

use stead_backup::{BackupManager, BackupType, CheckpointCoordinator, CheckpointOptions};
use stead_core::ErrorKind;
use tokio::time::sleep;

use crate::support::{Bench, put};
use crate::world::{DAY, HOUR, MINUTE, SECOND, World, every, until};

#[tokio::test(start_paused = true)]
async fn a_failed_tick_is_tried_again_with_growing_waits() {
    let world = World::new().await;
    let coordinator = world.start(every(HOUR));
    sleep(MINUTE).await;
    world.store.fails.store(true, Ordering::SeqCst);
    sleep(4 * HOUR).await;
    let stats = coordinator.stats();
    // Nine waits up to five minutes, and then of 2.5 to 5 minutes each for three hours.
    assert!((40..90).contains(&stats.failures), "{}", stats.failures);
    assert_eq!(stats.failures_in_row, stats.failures);
    assert_eq!(stats.last_error, Some(ErrorKind::Unavailable));
    assert_eq!(stats.checkpoints(), 1);
    world.store.fails.store(false, Ordering::SeqCst);
    sleep(6 * MINUTE).await;
    let stats = coordinator.stats();
    assert_eq!((stats.checkpoints(), stats.failures_in_row), (2, 0));
    // And the schedule goes on.
    sleep(2 * HOUR).await;
    assert_eq!(coordinator.stats().checkpoints(), 4);
    assert_eq!(world.told()[1], "failed unavailable again");
}

#[tokio::test(start_paused = true)]
async fn a_short_interval_does_not_outrun_the_waits() {
    let world = World::new().await;
    world.store.fails.store(true, Ordering::SeqCst);
    let coordinator = world.start(every(SECOND));
    sleep(HOUR).await;
    assert!(
        coordinator.stats().failures < 40,
        "{}",
        coordinator.stats().failures
    );
}

#[tokio::test(start_paused = true)]
async fn another_writer_is_waited_for() {
    let world = World::new().await;
    let lock = File::open(world.bench.path().join("FORMAT")).unwrap();
    lock.lock().unwrap();
    let coordinator = world.start(every(HOUR));
    sleep(MINUTE).await;
    let stats = coordinator.stats();
    assert_eq!(
        (stats.checkpoints(), stats.last_error),
        (0, Some(ErrorKind::Conflict))
    );
    lock.unlock().unwrap();
    until(&coordinator, |stats| stats.full == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_does_not_end_the_schedule() {
    let world = World::new().await;
    let coordinator = world.start(every(HOUR));
    sleep(MINUTE).await;
    world.store.panics.store(true, Ordering::SeqCst);
    sleep(HOUR).await;
    assert_eq!(coordinator.stats().last_error, Some(ErrorKind::Internal));
    world.store.panics.store(false, Ordering::SeqCst);
    sleep(HOUR).await;
    assert!(coordinator.stats().incremental >= 1);
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_does_not_end_the_schedule() {
    let world = World::new().await;
    let options = every(HOUR).with_observer(|_| panic!("an observer that panics"));
    let coordinator = CheckpointCoordinator::start(world.manager(), options).unwrap();
    sleep(2 * HOUR + MINUTE).await;
    assert_eq!(coordinator.stats().checkpoints(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_was_away_is_found_again() {
    let world = World::new().await;
    let path = world.bench.path().join("chunks");
    let away = world.bench.path().with_extension("away");
    let coordinator = world.start(every(HOUR));
    sleep(MINUTE).await;
    fs::rename(world.bench.path(), &away).unwrap();
    sleep(2 * HOUR).await;
    let stats = coordinator.stats();
    assert_eq!(stats.checkpoints(), 1);
    assert!(stats.failures > 3);
    assert!(!path.exists(), "nothing is made where there is no repository");
    fs::rename(&away, world.bench.path()).unwrap();
    sleep(10 * MINUTE).await;
    assert_eq!(coordinator.stats().incremental, 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_read_at_first_is_read_later() {
    let world = World::new().await;
    world.manager().create_backup(BackupType::Full).await.unwrap();
    let away = world.bench.path().with_extension("away");
    fs::rename(world.bench.path(), &away).unwrap();
    let coordinator = world.start(every(DAY));
    sleep(MINUTE).await;
    assert_eq!(coordinator.stats().checkpoints(), 0);
    fs::rename(&away, world.bench.path()).unwrap();
    until(&coordinator, |stats| stats.incremental == 1).await;
    assert_eq!(world.kinds().await, "fi");
}

/// As after a restore into a new store: what changed since the newest backup is not to be had from this one.
#[tokio::test(start_paused = true)]
async fn another_store_begins_with_a_full_one() {
    let world = World::new().await;
    let other = Bench::new().await;
    put(&other.store, "b", "k", "v").await;
    let foreign = BackupManager::new(world.bench.repository.clone(), other.store.clone())
        .with_clock(world.clock.clone());
    foreign.create_backup(BackupType::Full).await.unwrap();
    let coordinator = world.start(every(MINUTE));
    sleep(150 * SECOND).await;
    drop(coordinator);
    assert_eq!(world.told(), ["made full refused", "made incremental"]);
}

#[tokio::test(start_paused = true)]
async fn outside_of_a_runtime_it_is_refused() {
    let world = World::new().await;
    let manager = world.manager();
    let refused =
        std::thread::spawn(move || CheckpointCoordinator::start(manager, CheckpointOptions::default()));
    assert_eq!(refused.join().unwrap().unwrap_err().kind(), ErrorKind::Invalid);
}
