//! When checkpoints are made, and of which kind.

use stead_backup::{BackupType, CheckpointOptions, Schedule};
use stead_core::{Clock as _, ErrorKind};
use tokio::time::sleep;

use crate::support::content;
use crate::world::{DAY, HOUR, MINUTE, SECOND, World, every, plain};

#[tokio::test(start_paused = true)]
async fn every_interval_makes_one() {
    let world = World::new().await;
    let coordinator = world.start(every(5 * MINUTE));
    for number in 0..60 {
        world.put(&format!("k{number}"), "v").await;
        sleep(MINUTE).await;
    }
    sleep(SECOND).await;
    let stats = coordinator.stats();
    assert_eq!((stats.full, stats.incremental), (1, 12));
    assert_eq!((stats.failures, stats.skipped), (0, 0));
    assert_eq!(world.kinds().await, "fiiiiiiiiiiii");
    // The last tick is of a second ago.
    let backups = world.backups().await;
    assert_eq!(stats.last_checkpoint, backups.last().map(|backup| backup.id));
    assert_eq!(
        stats.next_due.unwrap().as_millis(),
        backups[12].taken.as_millis() + 300_000
    );
    let sum = |of: fn(&stead_backup::BackupMetadata) -> u64| backups.iter().map(of).sum::<u64>();
    assert_eq!(stats.logical_bytes, sum(|backup| backup.counts.logical_bytes));
    assert_eq!(stats.stored_bytes, sum(|backup| backup.counts.stored_bytes));
    assert_eq!(stats.new_bytes, sum(|backup| backup.counts.new_bytes));
    assert!(stats.new_bytes > 0);
}

#[tokio::test(start_paused = true)]
async fn cron_makes_one_at_its_times() {
    let world = World::new().await;
    let coordinator = world.start(plain(Schedule::cron("0 */6 * * *").unwrap()));
    sleep(3 * DAY).await;
    drop(coordinator);
    let backups = world.backups().await;
    // The first one, where there is none, and four a day.
    assert_eq!(backups.len(), 13);
    for backup in &backups[1..] {
        let since = backup.taken.as_millis() % (6 * 3_600_000);
        assert!(since < 1_000, "{since}");
    }
}

#[tokio::test(start_paused = true)]
async fn fulls_come_by_number_and_by_age() {
    let world = World::new().await;
    let mut options = every(HOUR);
    options.full_every_checkpoints = 4;
    let coordinator = world.start(options);
    sleep(9 * HOUR + MINUTE).await;
    drop(coordinator);
    assert_eq!(world.kinds().await, "fiiifiiifi");
    assert_eq!(
        world.told()[..5],
        [
            "made full first",
            "made incremental",
            "made incremental",
            "made incremental",
            "made full scheduled"
        ]
    );

    let world = World::new().await;
    let mut options = every(HOUR);
    options.full_every = 3 * HOUR;
    let coordinator = world.start(options);
    sleep(6 * HOUR + MINUTE).await;
    drop(coordinator);
    assert_eq!(world.kinds().await, "fiifiif");

    // Who begins anew counts what there is.
    let mut options = every(HOUR);
    options.full_every_checkpoints = 3;
    let coordinator = world.start(options);
    sleep(2 * HOUR + MINUTE).await;
    drop(coordinator);
    assert_eq!(world.kinds().await, "fiifiifii");
}

#[tokio::test(start_paused = true)]
async fn ticks_missed_by_a_pause_or_a_jump_are_one() {
    for schedule in [Schedule::Every(HOUR), Schedule::cron("0 * * * *").unwrap()] {
        let world = World::new().await;
        let coordinator = world.start(plain(schedule));
        sleep(MINUTE).await;
        assert_eq!(coordinator.stats().checkpoints(), 1);
        world.clock.jump(365 * DAY);
        // It is noticed within half a minute.
        sleep(MINUTE).await;
        let stats = coordinator.stats();
        assert_eq!((stats.checkpoints(), stats.failures), (2, 0));
        assert_eq!(stats.skipped, 1_000);
        sleep(2 * HOUR).await;
        assert_eq!(coordinator.stats().checkpoints(), 4);
        // And back again.
        world.clock.jump_back(365 * DAY);
        sleep(MINUTE).await;
        assert_eq!(coordinator.stats().checkpoints(), 4);
        sleep(3 * HOUR).await;
        assert_eq!(coordinator.stats().checkpoints(), 7);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_checkpoint_overlaps_none() {
    let world = World::new().await;
    *world.store.takes.lock().unwrap() = 150 * SECOND;
    let coordinator = world.start(every(MINUTE));
    sleep(HOUR + MINUTE).await;
    let stats = coordinator.stats();
    // One behind the other, and two ticks go by during each.
    assert_eq!(stats.checkpoints(), 24);
    assert!(stats.skipped >= 23, "{}", stats.skipped);
    assert!(stats.last_duration >= 150 * SECOND && stats.last_duration < 151 * SECOND);
    assert!(stats.longest_duration >= stats.last_duration);
    assert!(stats.total_duration >= 24 * 150 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_new_process_goes_on_where_the_last_one_was() {
    let world = World::new().await;
    let coordinator = world.start(every(HOUR));
    sleep(MINUTE).await;
    drop(coordinator);
    assert_eq!(world.kinds().await, "f");

    let coordinator = world.start(every(HOUR));
    sleep(58 * MINUTE).await;
    assert_eq!(coordinator.stats().checkpoints(), 0);
    sleep(2 * MINUTE).await;
    assert_eq!(coordinator.stats().incremental, 1);
    drop(coordinator);

    // A tick went by while nobody was there.
    sleep(5 * HOUR).await;
    let coordinator = world.start(every(HOUR));
    sleep(MINUTE).await;
    assert_eq!(coordinator.stats().incremental, 1);
    assert_eq!(world.kinds().await, "fii");
}

#[tokio::test(start_paused = true)]
async fn a_backup_from_the_future_does_not_stop_the_schedule() {
    let world = World::new().await;
    world.clock.jump(365 * DAY);
    world.manager().create_backup(BackupType::Full).await.unwrap();
    world.clock.jump_back(365 * DAY);
    let coordinator = world.start(every(HOUR));
    sleep(HOUR + MINUTE).await;
    assert_eq!(coordinator.stats().checkpoints(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_tick_within_the_minimum_interval_waits() {
    let world = World::new().await;
    let mut options = plain(Schedule::cron("0 * * * *").unwrap());
    options.min_interval = 10 * MINUTE;
    // NOW is 8:00:00 of its day.
    let coordinator = world.start(options);
    sleep(HOUR - MINUTE).await;
    world.put("k", "before").await;
    coordinator.checkpoint_now().await.unwrap();
    world.put("k", "behind").await;
    sleep(5 * MINUTE).await;
    assert_eq!(world.backups().await.len(), 2);
    sleep(5 * MINUTE + SECOND).await;
    let backups = world.backups().await;
    assert_eq!(backups.len(), 3);
    assert_eq!(backups[1].taken.until(backups[2].taken).as_secs(), 600);
    assert_eq!(backups[2].counts.entries, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_made_can_be_restored() {
    let world = World::new().await;
    let coordinator = world.start(every(MINUTE));
    for number in 0..10 {
        world.put(&format!("k{}", number % 4), &number.to_string()).await;
        sleep(MINUTE).await;
    }
    coordinator.shutdown().await.unwrap();
    let target = world.bench.empty();
    let options = stead_backup::RestoreOptions::new(stead_backup::RestorePoint::Latest);
    world
        .bench
        .repository
        .restore(&target, &options, &*world.clock)
        .await
        .unwrap();
    assert_eq!(content(&*target).await, content(&*world.bench.store).await);
}

#[tokio::test(start_paused = true)]
async fn options_that_cannot_be_are_refused() {
    let world = World::new().await;
    let wrong: [fn(&mut CheckpointOptions); 6] = [
        |options| options.schedule = Schedule::Every(std::time::Duration::ZERO),
        |options| options.min_interval = DAY,
        |options| options.full_every_checkpoints = 0,
        |options| options.full_every = std::time::Duration::ZERO,
        |options| options.tags = vec!["no tag".to_owned()],
        |options| options.retry_first = std::time::Duration::ZERO,
    ];
    for change in wrong {
        let mut options = CheckpointOptions::default();
        change(&mut options);
        let refused = stead_backup::CheckpointCoordinator::start(world.manager(), options);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert!(world.clock.now() >= crate::support::NOW);
    assert!(world.backups().await.is_empty());
}
