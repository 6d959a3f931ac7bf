//! Checkpoints that somebody asks for.

use std::sync::Arc;

use futures_util::future::join_all;
use stead_backup::{BackupKind, CheckpointAnswer, Schedule};
use stead_core::ErrorKind;
use tokio::time::sleep;

use crate::world::{HOUR, MINUTE, SECOND, World, every, plain};

#[tokio::test(start_paused = true)]
async fn a_demand_is_answered_with_what_was_made() {
    let world = World::new().await;
    let coordinator = world.start(plain(Schedule::OnDemand));
    sleep(HOUR).await;
    assert!(world.backups().await.is_empty());
    let first = coordinator.checkpoint_now().await.unwrap();
    world.put("more", "1").await;
    let second = coordinator.checkpoint_now().await.unwrap();
    assert_eq!(
        (first.kind, second.kind),
        (BackupKind::Full, BackupKind::Incremental)
    );
    assert_eq!(second.base, Some(first.id));
    assert_eq!(second.counts.entries, 1);
    let third = coordinator.full_checkpoint_now().await.unwrap();
    assert_eq!(third.kind, BackupKind::Full);
    assert_eq!(
        world.told(),
        ["made full first", "made incremental", "made full asked"]
    );
    assert_eq!(coordinator.stats().checkpoints(), 3);
}

#[tokio::test(start_paused = true)]
async fn those_who_ask_together_share_one() {
    let world = World::new().await;
    *world.store.takes.lock().unwrap() = MINUTE;
    let coordinator = Arc::new(world.start(plain(Schedule::OnDemand)));
    let ask = || {
        let coordinator = Arc::clone(&coordinator);
        tokio::spawn(async move { coordinator.checkpoint_now().await.unwrap().id })
    };
    let first: Vec<_> = (0..10).map(|_| ask()).collect();
    sleep(30 * SECOND).await;
    // The one under way does not count for those who ask now: it may not hold what they wrote.
    let second: Vec<_> = (0..10).map(|_| ask()).collect();
    let first = join_all(first).await;
    let second = join_all(second).await;
    let ids = |answers: Vec<Result<stead_backup::BackupId, _>>| -> Vec<_> {
        answers.into_iter().map(Result::unwrap).collect()
    };
    let (mut first, mut second): (Vec<_>, Vec<_>) = (ids(first), ids(second));
    first.dedup();
    second.dedup();
    assert_eq!((first.len(), second.len()), (1, 1));
    assert!(first[0] < second[0]);
    assert_eq!(world.backups().await.len(), 2);
    assert_eq!(coordinator.stats().skipped, 18);
}

#[tokio::test(start_paused = true)]
async fn within_the_minimum_interval_the_answer_says_so() {
    let world = World::new().await;
    let mut options = plain(Schedule::OnDemand);
    options.min_interval = 10 * MINUTE;
    let coordinator = world.start(options);
    let CheckpointAnswer::Made(first) = coordinator.checkpoint_unless_recent().await.unwrap() else {
        panic!("there was none");
    };
    sleep(4 * MINUTE).await;
    let CheckpointAnswer::TooSoon { newest, wait } = coordinator.checkpoint_unless_recent().await.unwrap()
    else {
        panic!("too early");
    };
    assert_eq!(newest, first);
    assert_eq!(wait.as_secs(), 360);
    assert_eq!(coordinator.stats().skipped, 1);
    // Who needs one has one.
    let second = coordinator.checkpoint_now().await.unwrap();
    assert!(second.id > first.id);
    sleep(10 * MINUTE).await;
    let third = coordinator.checkpoint_unless_recent().await.unwrap();
    assert!(matches!(third, CheckpointAnswer::Made(_)));
    drop(coordinator);

    // And for a new process.
    let mut options = plain(Schedule::OnDemand);
    options.min_interval = 10 * MINUTE;
    let coordinator = world.start(options);
    sleep(MINUTE).await;
    let soon = coordinator.checkpoint_unless_recent().await.unwrap();
    assert_eq!(soon.into_newest().id, third.into_newest().id);
}

#[tokio::test(start_paused = true)]
async fn a_demand_puts_the_tick_off() {
    let world = World::new().await;
    let coordinator = world.start(every(HOUR));
    sleep(40 * MINUTE).await;
    coordinator.checkpoint_now().await.unwrap();
    sleep(50 * MINUTE).await;
    assert_eq!(coordinator.stats().checkpoints(), 2);
    sleep(11 * MINUTE).await;
    assert_eq!(coordinator.stats().checkpoints(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_demand_that_fails_has_its_error_and_no_more() {
    let world = World::new().await;
    let coordinator = Arc::new(world.start(plain(Schedule::OnDemand)));
    world.store.fails.store(true, std::sync::atomic::Ordering::SeqCst);
    let answers = join_all((0..3).map(|_| coordinator.checkpoint_now())).await;
    for answer in answers {
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(
            error.to_string().starts_with("backup: the store does not answer"),
            "{error}"
        );
    }
    sleep(HOUR).await;
    assert_eq!(world.told(), ["failed unavailable no more"]);
    assert_eq!(coordinator.stats().failures, 1);
    world
        .store
        .fails
        .store(false, std::sync::atomic::Ordering::SeqCst);
    coordinator.checkpoint_now().await.unwrap();
}
