//! How a coordinator ends.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use stead_backup::{BackupKind, Schedule};
use stead_core::ErrorKind;
use tokio::time::sleep;

use crate::world::{HOUR, MINUTE, SECOND, World, every, plain};

#[tokio::test(start_paused = true)]
async fn a_shutdown_makes_a_final_checkpoint() {
    let world = World::new().await;
    let mut options = every(HOUR);
    options.full_every = MINUTE;
    let coordinator = world.start(options);
    sleep(10 * MINUTE).await;
    world.put("last", "words").await;
    let last = coordinator.shutdown().await.unwrap().unwrap();
    assert_eq!(last.counts.entries, 1);
    // A full one would be due, and can wait.
    assert_eq!(last.kind, BackupKind::Incremental);
    assert_eq!(world.backups().await.last().unwrap().id, last.id);

    assert_eq!(coordinator.shutdown().await.unwrap(), None);
    let error = coordinator.checkpoint_now().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    sleep(5 * HOUR).await;
    assert_eq!(world.backups().await.len(), 2);
    assert_eq!(coordinator.stats().checkpoints(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_what_is_under_way() {
    let world = World::new().await;
    *world.store.takes.lock().unwrap() = MINUTE;
    let coordinator = Arc::new(world.start(plain(Schedule::OnDemand)));
    let ask = || {
        let coordinator = Arc::clone(&coordinator);
        tokio::spawn(async move { coordinator.checkpoint_now().await })
    };
    let under_way = ask();
    sleep(30 * SECOND).await;
    let asked = ask();
    sleep(SECOND).await;
    let last = coordinator.shutdown().await.unwrap().unwrap();
    let (under_way, asked) = (under_way.await.unwrap().unwrap(), asked.await.unwrap().unwrap());
    assert!(under_way.id < last.id);
    // The final one is what was asked for.
    assert_eq!(asked.id, last.id);
    assert_eq!(world.backups().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_without_a_final_checkpoint_makes_none() {
    let world = World::new().await;
    let mut options = every(HOUR);
    options.final_checkpoint = None;
    let coordinator = world.start(options);
    sleep(MINUTE).await;
    world.put("last", "words").await;
    assert_eq!(coordinator.shutdown().await.unwrap(), None);
    assert_eq!(world.backups().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_it_ends_everything() {
    let world = World::new().await;
    *world.store.takes.lock().unwrap() = MINUTE;
    let coordinator = world.start(every(HOUR));
    sleep(30 * SECOND).await;
    drop(coordinator);
    sleep(5 * HOUR).await;
    assert!(world.backups().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_final_checkpoint_waits_for_another_writer_for_a_while() {
    let world = World::new().await;
    let coordinator = world.start(every(HOUR));
    sleep(MINUTE).await;
    let lock = File::open(world.bench.path().join("FORMAT")).unwrap();
    lock.lock().unwrap();
    let waiting = tokio::spawn(async move { coordinator.shutdown().await });
    sleep(10 * SECOND).await;
    lock.unlock().unwrap();
    assert!(waiting.await.unwrap().unwrap().is_some());
    assert_eq!(world.backups().await.len(), 2);

    let coordinator = world.start(every(HOUR));
    lock.lock().unwrap();
    let error = coordinator.shutdown().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(coordinator.stats().failures > 3);
    lock.unlock().unwrap();

    // What will not get better is not waited for.
    let coordinator = world.start(every(HOUR));
    world.store.panics.store(true, Ordering::SeqCst);
    assert_eq!(
        coordinator.shutdown().await.unwrap_err().kind(),
        ErrorKind::Internal
    );
    assert_eq!(coordinator.stats().failures, 1);
}
