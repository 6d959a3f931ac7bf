//! Trial restores, and what follows the damage that they find.

use std::fs::{self, File};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stead_backup::{
    CheckpointOptions, CheckpointRetention, RetentionPolicy, Schedule, TrialOptions, TrialStore,
    VerifyOptions,
};
use stead_core::{Error, ErrorKind};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::support::memory;
use crate::world::{DAY, HOUR, MINUTE, SECOND, World, damage, until};

fn hourly() -> CheckpointOptions {
    CheckpointOptions::new(Schedule::Every(HOUR))
}

#[tokio::test(start_paused = true)]
async fn the_newest_is_tried_once_a_day_unless_told_otherwise() {
    let world = World::new().await;
    let coordinator = world.start(hourly());
    sleep(MINUTE).await;
    let stats = coordinator.stats();
    assert_eq!((stats.trials_passed, stats.trials_failed), (1, 0));
    assert!(world.backups().await[0].verified);
    assert!(stats.newest_verified_age.unwrap() >= 59 * SECOND);
    sleep(23 * HOUR).await;
    assert_eq!(coordinator.stats().trials_passed, 1);
    assert!(coordinator.stats().newest_verified_age.unwrap() > 23 * HOUR);
    sleep(2 * HOUR).await;
    let stats = coordinator.stats();
    assert_eq!(stats.trials_passed, 2);
    assert!(stats.newest_verified_age.unwrap() < 3 * HOUR);
    let verified = world.backups().await.iter().rposition(|backup| backup.verified);
    assert!(verified.unwrap() >= 23, "{verified:?}");
    drop(coordinator);

    // A new process knows what was tried.
    let coordinator = world.start(hourly());
    sleep(2 * HOUR).await;
    assert_eq!(coordinator.stats().trials_passed, 0);
    assert!(coordinator.stats().newest_verified.is_some());
}

#[tokio::test(start_paused = true)]
async fn trials_come_by_number_too() {
    let world = World::new().await;
    let mut options = hourly();
    let mut trials = TrialOptions::default();
    trials.every = None;
    trials.every_checkpoints = Some(3);
    options.trials = Some(trials);
    let coordinator = world.start(options);
    sleep(8 * HOUR + MINUTE).await;
    assert_eq!(coordinator.stats().checkpoints(), 9);
    assert_eq!(coordinator.stats().trials_passed, 3);
}

#[tokio::test(start_paused = true)]
async fn a_trial_restores_into_the_store_that_is_given() {
    let world = World::new().await;
    let opened = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (given, clock) = (Arc::clone(&opened), world.bench.clock.clone());
    let guard = Arc::new(());
    let held = Arc::downgrade(&guard);
    let mut options = hourly();
    options.trials = Some(TrialOptions::default().with_store(move || {
        let store = memory(&clock);
        given.lock().unwrap().push(Arc::clone(&store));
        let guard = Arc::clone(&guard);
        async move { Ok(TrialStore::new(store).with_guard(guard)) }
    }));
    let coordinator = world.start(options);
    sleep(MINUTE).await;
    assert_eq!(world.told(), ["made full first", "trial passed restore"]);
    let stores = std::mem::take(&mut *opened.lock().unwrap());
    assert_eq!(stores.len(), 1);
    // It was closed, and what belongs to it dropped.
    assert_eq!(stores[0].stats().await.unwrap_err().kind(), ErrorKind::Closed);
    drop(coordinator);
    sleep(SECOND).await;
    assert_eq!(held.strong_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn damage_makes_a_full_checkpoint_that_is_tried() {
    let world = World::new().await;
    for number in 0..50 {
        world.put(&format!("k{number}"), &format!("value {number}")).await;
    }
    let mut options = hourly();
    options.retention = Some(CheckpointRetention::new(RetentionPolicy::CountBasedPolicy {
        max_backups: 1,
    }));
    let coordinator = world.start(options);
    sleep(20 * HOUR).await;
    assert_eq!(coordinator.stats().trials_passed, 1);
    // All that there is: the increments and the full one.
    world.chunks().iter().for_each(|chunk| damage(chunk));
    world.told();
    sleep(5 * HOUR).await;
    let told: Vec<String> = world
        .told()
        .into_iter()
        .filter(|told| !told.starts_with("kept") && !told.starts_with("retention"))
        .collect();
    let found = told
        .iter()
        .position(|told| told == "trial failed corrupt")
        .unwrap();
    assert_eq!(
        told[found + 1..][..2],
        ["made full damaged", "trial passed bytes"],
        "{told:?}"
    );
    assert!(
        told[..found].iter().all(|told| told == "made incremental"),
        "{told:?}"
    );
    let stats = coordinator.stats();
    assert_eq!((stats.trials_passed, stats.trials_failed), (2, 1));
    assert_eq!(stats.last_trial_error, Some(ErrorKind::Corrupt));
    let full = world
        .backups()
        .await
        .into_iter()
        .rfind(|backup| backup.base.is_none())
        .unwrap();
    assert!(full.verified);
    assert_eq!(stats.newest_verified.unwrap().0, full.id);
    // What the full one needs was written anew, although it was there.
    world
        .bench
        .repository
        .trial(
            stead_backup::RestorePoint::Backup(full.id),
            None,
            &*world.clock,
            None,
        )
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_forgotten_while_nothing_is_known_to_be_whole() {
    let world = World::new().await;
    let mut options = hourly();
    let mut retention = CheckpointRetention::new(RetentionPolicy::CountBasedPolicy { max_backups: 1 });
    retention.every = SECOND;
    options.retention = Some(retention);
    options.full_every_checkpoints = 2;
    let whole = Arc::new(AtomicBool::new(true));
    let (found, clock) = (Arc::clone(&whole), world.bench.clock.clone());
    let mut trials = TrialOptions::default().with_store(move || {
        let store = memory(&clock);
        let found = found.load(Ordering::SeqCst);
        async move {
            match found {
                true => Ok(TrialStore::new(store)),
                false => Err(Error::corrupt("planted")),
            }
        }
    });
    trials.every = Some(HOUR);
    options.trials = Some(trials);
    let coordinator = world.start(options);
    sleep(4 * HOUR + MINUTE).await;
    let before = coordinator.stats();
    assert!(before.forgotten > 0);
    whole.store(false, Ordering::SeqCst);
    sleep(6 * HOUR).await;
    let doubted = coordinator.stats();
    // The last time at most was before the first failure.
    assert!(doubted.forgotten <= before.forgotten + 2, "{doubted:?}");
    assert!(doubted.checkpoints() > before.checkpoints() + 5);
    assert_eq!(doubted.newest_verified, None);
    // Damage that stays is looked at again and again, with pauses.
    assert!((20..200).contains(&doubted.trials_failed), "{doubted:?}");
    assert!(doubted.full < 210, "{doubted:?}");
    whole.store(true, Ordering::SeqCst);
    sleep(2 * HOUR).await;
    assert!(coordinator.stats().forgotten > doubted.forgotten + 5);
    assert_eq!(world.backups().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_cannot_be_made_is_no_damage() {
    let world = World::new().await;
    let filled = Arc::clone(&world.bench.store);
    let mut options = hourly();
    options.trials = Some(TrialOptions::default().with_store(move || {
        let filled = Arc::clone(&filled);
        async move { Ok(TrialStore::new(filled)) }
    }));
    let coordinator = world.start(options);
    sleep(10 * SECOND).await;
    let stats = coordinator.stats();
    assert!(stats.trials_failed >= 1);
    assert_ne!(stats.last_trial_error, Some(ErrorKind::Corrupt));
    assert_eq!(world.kinds().await, "f");
}

#[tokio::test(start_paused = true)]
async fn what_passed_is_noted_once_nobody_else_writes() {
    let world = World::new().await;
    let (locked, target) = (Arc::new(Notify::new()), world.bench.empty());
    let (begins, mut options) = (Arc::clone(&locked), hourly());
    options.trials = Some(TrialOptions::default().with_store(move || {
        let (begins, target) = (Arc::clone(&begins), Arc::clone(&target));
        async move {
            begins.notified().await;
            Ok(TrialStore::new(target))
        }
    }));
    let coordinator = world.start(options);
    // The trial begins when the checkpoint is there; it does not need the lock, and its note does.
    let path = world.bench.path().join("FORMAT");
    while world.backups().await.is_empty() {
        tokio::task::yield_now().await;
    }
    let lock = File::open(path).unwrap();
    while lock.try_lock().is_err() {
        tokio::task::yield_now().await;
    }
    locked.notify_one();
    until(&coordinator, |stats| stats.trials_passed == 1).await;
    assert!(!world.backups().await[0].verified);
    lock.unlock().unwrap();
    sleep(HOUR).await;
    assert!(world.backups().await[0].verified);
}

#[tokio::test(start_paused = true)]
async fn a_missing_chunk_is_found_and_made_again() {
    let world = World::new().await;
    let _coordinator = world.start(hourly());
    sleep(MINUTE).await;
    for chunk in world.chunks() {
        fs::remove_file(chunk).unwrap();
    }
    // The next increment finds that it has nothing to stand on.
    sleep(DAY + 2 * HOUR).await;
    let told = world.told();
    assert_eq!(
        told[..3],
        ["made full first", "trial passed bytes", "made full refused"],
        "{told:?}"
    );
    world
        .bench
        .repository
        .verify(&VerifyOptions::default())
        .await
        .unwrap();
}
