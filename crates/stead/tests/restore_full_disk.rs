//! Restores that find no room.
#![cfg(all(feature = "backup", feature = "memory", feature = "redb", target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use stead::backup::{
    BackupManager, BackupType, Repository, RestoreOptions, RestorePoint, RestoreReport, check_finished,
};
use stead::core::{
    Backend, Key, KeyRange, Partition, Random as _, ReadExt as _, Scan, SeededRandom, SystemClock,
    SystemRandom, WriteBatch,
};
use stead::{ErrorKind, Result};
use stead_conformance::small_disk;

const ENGINES: &[&str] = &[
    "redb",
    #[cfg(feature = "fjall")]
    "fjall",
    #[cfg(feature = "rocksdb")]
    "rocksdb",
    #[cfg(feature = "sled")]
    "sled",
];

fn key(number: usize) -> Key {
    Key::new(&Partition::new("agent").unwrap(), format!("k{number:05}")).unwrap()
}

/// Writes values of 1 KiB that nothing makes shorter.
async fn write(store: &dyn Backend, numbers: std::ops::Range<usize>) {
    let random = SeededRandom::new(numbers.start as u64);
    for chunk in numbers.collect::<Vec<_>>().chunks(512) {
        let batch = chunk.iter().fold(WriteBatch::new(), |batch, number| {
            let value: Vec<u8> = (0..128).flat_map(|_| random.next_u64().to_le_bytes()).collect();
            batch.put(key(*number), value)
        });
        store.apply(batch).await.unwrap().committed().unwrap();
    }
}

/// A repository in memory of the machine, with a backup of 64 MiB.
async fn repository() -> (tempfile::TempDir, Repository) {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("backups");
    let repository = Repository::init(place.to_str().unwrap(), &SystemClock, &SystemRandom)
        .await
        .unwrap();
    let store = stead::open("memory:").await.unwrap();
    write(&*store, 0..64 << 10).await;
    let manager = BackupManager::new(repository.clone(), store);
    manager.create_backup(BackupType::Full).await.unwrap();
    (dir, repository)
}

async fn restore(url: &str, repository: &Repository, replace: bool) -> Result<RestoreReport> {
    let mut options = RestoreOptions::new(RestorePoint::Latest);
    options.replace = replace;
    stead::restore(url, repository, &options, &SystemClock).await
}

#[test]
fn a_full_disk_cuts_a_restore_short_and_leaves_a_store_that_is_replaced() {
    small_disk::run_test("on_a_full_disk", 48);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by a_full_disk_cuts_a_restore_short_and_leaves_a_store_that_is_replaced, on a disk of its own"]
async fn on_a_full_disk() {
    let (_dir, repository) = repository().await;
    for engine in ENGINES {
        let path = small_disk::path().join(engine);
        let url = format!("{engine}:{}", path.display());
        let error = restore(&url, &repository, false).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Full, "{engine}: {error}");
        assert!(error.to_string().contains("holds a part"), "{engine}: {error}");
        std::fs::remove_dir_all(&path).unwrap();

        let store = stead::open(&url).await.unwrap();
        write(&*store, 0..1000).await;
        let everything = Scan::new(KeyRange::all());
        let before = store.collect(&everything).await.unwrap();
        store.close().await.unwrap();
        let error = restore(&url, &repository, true).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Full, "{engine}: {error}");
        assert!(
            error.to_string().contains("nothing has changed"),
            "{engine}: {error}"
        );
        let store: Arc<dyn Backend> = stead::open(&url).await.unwrap();
        check_finished(&*store).await.unwrap();
        let after = store.collect(&everything).await.unwrap();
        assert_eq!(after.len(), 1000, "{engine}");
        for (one, other) in before.iter().zip(&after) {
            let (one, other) = (one.entry.as_ref().unwrap(), other.entry.as_ref().unwrap());
            assert_eq!(
                (one.value(), one.revision()),
                (other.value(), other.revision()),
                "{engine}"
            );
        }
        store.close().await.unwrap();
        std::fs::remove_dir_all(&path).unwrap();
    }
}
