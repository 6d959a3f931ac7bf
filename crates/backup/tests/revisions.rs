//! Revisions of restored stores, and which store a revision is of.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use stead_backup::{
    BackupId, BackupKind, BackupManager, BackupMetadata, BackupType, CreateOptions, RestoreOptions,
    RestorePoint, RestoreReport, RestoreWay,
};
use stead_core::{
    Backend, BackendExt as _, ErrorKind, Expect, KeyRange, Result, Revision, WatchEvent, WatchSpec,
    WriteBatch,
};
use support::{Bench, content, key, put};

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

/// A store in a directory, which can be copied while it is closed.
struct Copied {
    bench: Bench,
    home: tempfile::TempDir,
}

impl Copied {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let bench = Bench::new().await;
        Copied { bench, home }
    }

    async fn write(&self, store: &str, entries: &[(&str, &str)]) {
        let store = self.open(store).await;
        for (key, value) in entries {
            put(&store, "a", key, value).await;
        }
        store.close().await.unwrap();
    }

    async fn open(&self, store: &str) -> Arc<dyn Backend> {
        let url = format!("redb:{}", self.home.path().join(store).display());
        stead_redb::open_url(url.parse().unwrap()).await.unwrap()
    }

    fn copy(&self, from: &str, to: &str) {
        let (from, to) = (self.home.path().join(from), self.home.path().join(to));
        let _ = std::fs::remove_dir_all(&to);
        std::fs::create_dir(&to).unwrap();
        for file in std::fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }

    /// Backs up the store, and compares what comes back.
    async fn back_up(&self, store: &str) -> BackupMetadata {
        let live = self.open(store).await;
        let manager = BackupManager::new(self.bench.repository.clone(), Arc::clone(&live));
        let made = manager
            .create(&CreateOptions::new(BackupType::IncrementalFromNewest))
            .await;
        let target = self.bench.empty();
        restored(&self.bench, &target, RestorePoint::Latest)
            .await
            .unwrap();
        assert_eq!(content(&*target).await, content(&*live).await);
        drop(manager);
        live.close().await.unwrap();
        made.unwrap()
    }
}

fn was_forced(made: &BackupMetadata) -> bool {
    let another = made
        .forced
        .as_deref()
        .is_some_and(|why| why.contains("put back to an older state"));
    assert_eq!(another, made.kind == BackupKind::Full, "{made:?}");
    another
}

#[tokio::test]
async fn a_store_that_was_put_back_gets_a_full_backup() {
    // Other keys, and the same keys with other values, one of them again and again.
    let ways: [[&[(&str, &str)]; 2]; 3] = [
        [&[("x", "1")], &[("y", "1"), ("z", "1")]],
        [&[("x", "1")], &[("x", "2"), ("y", "1")]],
        [
            &[("k", "1"), ("k", "2"), ("k", "3")],
            &[("k", "4"), ("k", "5"), ("k", "6"), ("y", "1")],
        ],
    ];
    for [then, now] in ways {
        let stores = Copied::new().await;
        stores.write("live", &[("k", "0"), ("l", "0")]).await;
        stores.back_up("live").await;
        stores.copy("live", "old");
        stores.write("live", then).await;
        assert!(!was_forced(&stores.back_up("live").await));
        stores.copy("old", "live");
        stores.write("live", now).await;
        assert!(was_forced(&stores.back_up("live").await), "{now:?}");
        stores.write("live", &[("more", "1")]).await;
        assert!(!was_forced(&stores.back_up("live").await));
    }
}

#[tokio::test]
async fn a_copy_of_a_store_and_the_store_do_not_stand_on_each_other() {
    let stores = Copied::new().await;
    stores.write("live", &[("k", "0")]).await;
    stores.back_up("live").await;
    stores.copy("live", "copy");
    stores.write("copy", &[("of the copy", "1")]).await;
    assert!(!was_forced(&stores.back_up("copy").await));
    stores.write("live", &[("of the store", "1")]).await;
    assert!(was_forced(&stores.back_up("live").await));
}

#[tokio::test]
async fn a_store_that_only_went_on_gets_increments() {
    let stores = Copied::new().await;
    stores.write("live", &[("k", "0")]).await;
    stores.back_up("live").await;
    // Fewer changes than there are marks, and more; what was marked is overwritten and deleted.
    for changes in [1, 5, 40, 300, 2] {
        let keys: Vec<_> = (0..changes).map(|number| format!("k{}", number % 50)).collect();
        let entries: Vec<_> = keys.iter().map(|key| (key.as_str(), "changed")).collect();
        stores.write("live", &entries).await;
        let store = stores.open("live").await;
        store.delete(key("a", "k3")).await.unwrap();
        store.close().await.unwrap();
        assert!(!was_forced(&stores.back_up("live").await), "{changes}");
    }
}

/// What a restore leaves as it is may be written to by whoever read it; all else may not, and watchers have to begin anew.
#[tokio::test]
async fn what_was_read_before_a_restore_in_one_batch_is_stale_where_it_changed() {
    let bench = Bench::new().await;
    put(&bench.store, "a", "same", "v").await;
    put(&bench.store, "a", "changed", "then").await;
    backup(&bench, &bench.store).await;
    put(&bench.store, "a", "changed", "now").await;
    put(&bench.store, "a", "added", "now").await;
    let read = async |path| {
        bench
            .store
            .get(&key("a", path))
            .await
            .unwrap()
            .unwrap()
            .revision()
    };
    let [same, changed, added] = [read("same").await, read("changed").await, read("added").await];
    let before = revision(&bench.store).await;
    let mut options = RestoreOptions::new(RestorePoint::Latest);
    options.replace = true;
    let report = bench
        .repository
        .restore(&bench.store, &options, &*bench.clock)
        .await;
    let report = report.unwrap();
    assert_eq!(
        (report.way, report.changed, report.removed),
        (RestoreWay::Batch, 1, 1)
    );
    let writes = async |path, revision| {
        let write = WriteBatch::new()
            .expect(key("a", path), Expect::At(revision))
            .put(key("a", path), "by somebody");
        bench.store.apply(write).await.unwrap().is_committed()
    };
    assert!(!writes("changed", changed).await);
    assert!(!writes("added", added).await);
    assert!(writes("same", same).await);

    let spec = WatchSpec::new(KeyRange::all()).after(before);
    let mut watcher = bench.store.watch(&spec).unwrap();
    let told = watcher.next().await.unwrap();
    assert!(matches!(told, WatchEvent::Compacted { .. }), "{told:?}");
}
