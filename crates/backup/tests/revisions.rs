//! Revisions of restored stores, and which store a revision is of.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use stead_backup::{BackupId, BackupManager, BackupType, RestoreOptions, RestorePoint, RestoreReport};
use stead_core::{Backend, ErrorKind, Result, Revision};
use support::{Bench, content, put};

async fn backup(bench: &Bench, store: &Arc<dyn Backend>) -> BackupId {
    let manager =
        BackupManager::new(bench.repository.clone(), Arc::clone(store)).with_clock(bench.clock.clone());
    manager.create_backup(BackupType::Full).await.unwrap()
}

async fn restored(bench: &Bench, store: &Arc<dyn Backend>, point: RestorePoint) -> Result<RestoreReport> {
    let options = RestoreOptions::new(point);
    bench.repository.restore(store, &options, &*bench.clock).await
}

async fn revision(store: &Arc<dyn Backend>) -> Revision {
    store.stats().await.unwrap().revision
}

#[tokio::test]
async fn a_store_that_is_lost_again_does_not_get_the_same_revisions_again() {
    let bench = Bench::new().await;
    put(&bench.store, "a", "k", "v").await;
    backup(&bench, &bench.store).await;
    let first = bench.empty();
    let report = restored(&bench, &first, RestorePoint::Latest).await.unwrap();
    assert_eq!(report.revision, revision(&first).await);
    for number in 0..100 {
        put(&first, "a", "k", &format!("read by somebody {number}")).await;
    }
    bench.clock.advance_millis(1000);
    let second = bench.empty();
    restored(&bench, &second, RestorePoint::Latest).await.unwrap();
    assert!(revision(&second).await > revision(&first).await);
}

#[tokio::test]
async fn an_older_backup_gets_revisions_above_those_of_the_newest() {
    let bench = Bench::new().await;
    put(&bench.store, "a", "k", "old").await;
    let old = backup(&bench, &bench.store).await;
    let raised = bench.empty();
    // As if the clock had stood still, or gone back: what the repository knows is enough.
    restored(&bench, &raised, RestorePoint::Latest).await.unwrap();
    put(&raised, "a", "k", "newer").await;
    backup(&bench, &raised).await;
    bench.clock.set(support::NOW);
    let target = bench.empty();
    restored(&bench, &target, RestorePoint::Backup(old))
        .await
        .unwrap();
    assert!(revision(&target).await > revision(&raised).await);
}

#[tokio::test]
async fn a_revision_that_two_stores_had_is_refused_by_the_names_of_their_backups() {
    let bench = Bench::new().await;
    let other = bench.empty();
    for number in 0..3 {
        put(&bench.store, "a", &format!("mine {number}"), "v").await;
        put(&other, "a", &format!("other {number}"), "v").await;
    }
    let (one, two) = (backup(&bench, &other).await, backup(&bench, &bench.store).await);
    let target = bench.empty();
    let point = RestorePoint::Revision(revision(&other).await);
    let error = restored(&bench, &target, point).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let named: Vec<_> = error.context().map(|(_, value)| value.to_owned()).collect();
    assert_eq!(named[..2], [one.to_string(), two.to_string()]);
    assert!(content(&*target).await.is_empty());
    restored(&bench, &target, RestorePoint::Backup(two))
        .await
        .unwrap();
    assert_eq!(content(&*target).await, content(&*bench.store).await);
}
