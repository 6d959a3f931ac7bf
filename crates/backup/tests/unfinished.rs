//! Targets of restores that were cut short.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use stead_backup::{
    BackupId, BackupType, KeyFilter, RestoreOptions, RestorePoint, RestoreReport, check_finished,
};
use stead_core::{Backend, BackendExt as _, Error, ErrorKind, Key, KeyRange, Partition, Result};
use support::{Bench, content, key, put};

/// A backup of some entries, and a target in which a restore of it was killed after some of them.
async fn cut_short() -> (Bench, Arc<dyn Backend>, BackupId) {
    let bench = Bench::new().await;
    for number in 0..20 {
        put(&bench.store, "a", &format!("k{number:02}"), "v").await;
    }
    let id = bench.manager.create_backup(BackupType::Full).await.unwrap();
    let target = bench.empty();
    let mark = format!(
        "stead-restore 1\nrepository {}\nbackup {id}\n",
        bench.repository.id()
    );
    let partition = Partition::new("\x01stead.restore").unwrap();
    target
        .put(Key::new(&partition, "unfinished").unwrap(), mark)
        .await
        .unwrap();
    for number in 0..7 {
        put(&target, "a", &format!("k{number:02}"), "v").await;
    }
    (bench, target, id)
}

async fn restored(
    bench: &Bench,
    target: &Arc<dyn Backend>,
    options: &RestoreOptions,
) -> Result<RestoreReport> {
    bench.repository.restore(target, options, &*bench.clock).await
}

fn names(error: &Error, id: &BackupId) -> bool {
    error
        .context()
        .any(|(name, value)| name == "backup" && value == id.to_string())
}

#[tokio::test]
async fn a_restore_that_was_cut_short_begins_anew() {
    let (bench, target, id) = cut_short().await;
    let error = check_finished(&*target).await.unwrap_err();
    assert!(
        error.kind() == ErrorKind::Invalid && names(&error, &id),
        "{error}"
    );
    let mut options = RestoreOptions::new(RestorePoint::Latest);
    options.dry_run = true;
    assert_eq!(restored(&bench, &target, &options).await.unwrap().added, 20);
    options.dry_run = false;
    assert_eq!(restored(&bench, &target, &options).await.unwrap().added, 20);
    assert_eq!(content(&*target).await, content(&*bench.store).await);
    check_finished(&*target).await.unwrap();
}

#[tokio::test]
async fn what_was_written_to_a_part_of_a_backup_is_kept_unless_it_is_to_be_replaced() {
    for (path, value) in [("k03", "changed"), ("k03x", "new"), ("z", "new")] {
        let (bench, target, _) = cut_short().await;
        put(&target, "a", path, value).await;
        let mut options = RestoreOptions::new(RestorePoint::Latest);
        for dry_run in [true, false] {
            options.dry_run = dry_run;
            let error = restored(&bench, &target, &options).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(error.message().contains("written to"), "{error}");
        }
        let held = stead_core::Read::get(&*target, &key("a", path))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(held.value(), value.as_bytes());
        options.replace = true;
        restored(&bench, &target, &options).await.unwrap();
        assert_eq!(content(&*target).await, content(&*bench.store).await);
    }
}

#[tokio::test]
async fn another_backup_is_not_restored_into_a_part_of_one() {
    let (bench, target, id) = cut_short().await;
    put(&bench.store, "a", "more", "v").await;
    bench.manager.create_backup(BackupType::Full).await.unwrap();
    let options = RestoreOptions::new(RestorePoint::Latest);
    let error = restored(&bench, &target, &options).await.unwrap_err();
    assert!(
        error.kind() == ErrorKind::Invalid && names(&error, &id),
        "{error}"
    );
    let options = RestoreOptions::new(RestorePoint::Backup(id));
    restored(&bench, &target, &options).await.unwrap();
}

/// A store that is to be replaced as a whole may hold a part of any backup; one of which something is to stay may not.
#[tokio::test]
async fn a_part_of_a_backup_is_replaced_as_a_whole_or_not_at_all() {
    let (bench, target, id) = cut_short().await;
    put(&bench.store, "b", "more", "v").await;
    bench.manager.create_backup(BackupType::Full).await.unwrap();
    put(&target, "mine", "k", "kept").await;
    let before = content(&*target).await;
    let mut options = RestoreOptions::new(RestorePoint::Backup(id));
    options.replace = true;
    options.range = KeyRange::partition(&Partition::new("a").unwrap());
    let mut filtered = options.clone();
    filtered.range = KeyRange::all();
    filtered.filter = Some(KeyFilter::new(|key| key.partition_bytes() == b"a"));
    for (point, mut options) in [
        (RestorePoint::Backup(id), options),
        (RestorePoint::Backup(id), filtered.clone()),
        (RestorePoint::Latest, filtered),
    ] {
        options.point = point;
        let error = restored(&bench, &target, &options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert_eq!(content(&*target).await, before, "nothing is removed");
    }
    let mut options = RestoreOptions::new(RestorePoint::Latest);
    options.replace = true;
    restored(&bench, &target, &options).await.unwrap();
    assert_eq!(content(&*target).await, content(&*bench.store).await);
}
