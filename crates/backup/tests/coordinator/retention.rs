//! Forgetting behind checkpoints.

use std::fs::File;

use stead_backup::{CheckpointRetention, RetentionPolicy};
use stead_core::ErrorKind;
use tokio::time::sleep;

use crate::world::{DAY, HOUR, MINUTE, World, every};

fn last(max_backups: usize) -> CheckpointRetention {
    CheckpointRetention::new(RetentionPolicy::CountBasedPolicy { max_backups })
}

#[tokio::test(start_paused = true)]
async fn what_the_policy_does_not_keep_is_forgotten_and_removed_later() {
    let world = World::new().await;
    let mut options = every(HOUR);
    options.full_every_checkpoints = 4;
    options.retention = Some(last(4));
    let coordinator = world.start(options);
    for hour in 0..40 {
        world.put("k", &format!("{hour}")).await;
        sleep(HOUR).await;
    }
    let backups = world.backups().await;
    // The last four, and what they stand on.
    assert!((4..=7).contains(&backups.len()), "{}", backups.len());
    let stats = coordinator.stats();
    assert_eq!(stats.forgotten, stats.checkpoints() - backups.len() as u64);
    assert_eq!(stats.retention_failures, 0);
    // What was forgotten a day ago is gone.
    assert!(stats.removed_bytes > 0);
    drop(coordinator);
    world
        .bench
        .repository
        .verify(&stead_backup::VerifyOptions::default())
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn it_is_looked_at_once_an_hour_at_most() {
    let world = World::new().await;
    let mut options = every(10 * MINUTE);
    options.full_every_checkpoints = 1;
    options.retention = Some(last(1));
    let coordinator = world.start(options);
    sleep(DAY + MINUTE).await;
    drop(coordinator);
    let looks = world
        .told()
        .iter()
        .filter(|told| told.starts_with("kept"))
        .count();
    assert_eq!(looks, 25);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_counted_and_tried_behind_the_next_checkpoint() {
    let world = World::new().await;
    let mut options = every(HOUR);
    options.retention = Some(last(1));
    let file = world.bench.path().join("FORMAT");
    let told = std::sync::Arc::clone(&world.told);
    let lock = std::sync::Arc::new(std::sync::Mutex::new(None));
    let held = std::sync::Arc::clone(&lock);
    // Another writer comes as soon as the first checkpoint is there.
    let options = options.with_observer(move |event| {
        told.lock().unwrap().push(format!("{event:?}"));
        if matches!(event, stead_backup::CheckpointEvent::Made { .. }) && told.lock().unwrap().len() == 1 {
            let file = File::open(&file).unwrap();
            file.lock().unwrap();
            *held.lock().unwrap() = Some(file);
        }
    });
    let coordinator = stead_backup::CheckpointCoordinator::start(world.manager(), options).unwrap();
    sleep(MINUTE).await;
    let stats = coordinator.stats();
    assert_eq!((stats.checkpoints(), stats.retention_failures), (1, 1));
    assert_eq!(stats.last_error, Some(ErrorKind::Conflict));
    assert_eq!(stats.failures, 0);
    lock.lock().unwrap().take();
    sleep(HOUR).await;
    assert!(world.told().iter().any(|told| told.starts_with("Retained")));
}
