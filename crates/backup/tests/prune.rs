//! Forgetting backups and removing what only they needed.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stead_backup::{
    BackupId, BackupManager, BackupType, CreateOptions, PruneOptions, PruneReport, Repository,
    RestoreOptions, RestorePoint, RetentionPolicy, VerifyOptions,
};
use stead_core::{Clock, ErrorKind, Random as _, SeededRandom, SystemRandom, Timestamp, WriteBatch};
use support::{Bench, content, key, put};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Objects are as old as the file system says: the clock of these tests goes on from there.
#[expect(clippy::disallowed_methods, reason = "files have the time of the system")]
fn to_the_present(bench: &Bench) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    bench.clock.set(Timestamp::from_millis(
        u64::try_from(now.as_millis()).unwrap() + 1000,
    ));
}

async fn prune(bench: &Bench, keep: usize, dry_run: bool) -> PruneReport {
    let policy = RetentionPolicy::CountBasedPolicy { max_backups: keep };
    let mut options = PruneOptions::new(policy);
    options.dry_run = dry_run;
    let clock: Arc<dyn Clock> = bench.clock.clone();
    bench.repository.prune(&options, &clock).await.unwrap()
}

async fn ids(bench: &Bench) -> Vec<BackupId> {
    let backups = bench.repository.backups().await.unwrap();
    backups.iter().map(|backup| backup.id).collect()
}

fn files(bench: &Bench, folder: &str) -> BTreeSet<String> {
    fn walk(path: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, found),
                false => {
                    found.insert(path.file_name().unwrap().to_str().unwrap().to_owned());
                }
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(&bench.path().join(folder), &mut found);
    found
}

/// Three full backups of different stores.
async fn three() -> Bench {
    let bench = Bench::new().await;
    to_the_present(&bench);
    for number in 0..3 {
        put(&bench.store, "a", "k", &format!("value {number}")).await;
        bench.manager.create_backup(BackupType::Full).await.unwrap();
    }
    bench
}

/// That the newest backup gives what the store holds.
async fn restores_what_the_store_holds(bench: &Bench) {
    let target = bench.empty();
    let options = RestoreOptions::new(RestorePoint::Latest);
    bench
        .repository
        .restore(&target, &options, &*bench.clock)
        .await
        .unwrap();
    assert_eq!(content(&*target).await, content(&*bench.store).await);
}

#[tokio::test]
async fn what_is_forgotten_is_removed_after_its_grace() {
    let bench = three().await;
    let all = ids(&bench).await;
    let chunks = files(&bench, "chunks").len();
    let would = prune(&bench, 1, true).await;
    assert_eq!(ids(&bench).await, all);
    let did = prune(&bench, 1, false).await;
    assert_eq!(would, did);
    assert_eq!(did.forgotten, all[..2]);
    assert_eq!(ids(&bench).await, all[2..]);
    assert_eq!((did.removed_chunks, did.waiting_chunks), (0, 4));
    assert_eq!(files(&bench, "chunks").len(), chunks);

    bench
        .clock
        .advance_millis(u64::try_from(DAY.as_millis()).unwrap());
    let swept = prune(&bench, 1, false).await;
    assert_eq!((swept.removed_chunks, swept.waiting_chunks), (4, 0));
    assert_eq!(files(&bench, "chunks").len(), chunks - 4);
    // Records 1 and 2 of the backups and 4 of the prune are gone; 5 is that of the sweep.
    let log: Vec<String> = files(&bench, "log").into_iter().collect();
    assert_eq!(log, ["000000000003", "000000000005"]);
    bench.repository.verify(&VerifyOptions::default()).await.unwrap();

    // Nothing is left to do, and nothing is written.
    let again = prune(&bench, 1, false).await;
    assert_eq!((again.removed_chunks, again.waiting_chunks), (0, 0));
    assert_eq!(files(&bench, "log").len(), 2);
    restores_what_the_store_holds(&bench).await;
}

#[tokio::test]
async fn gaps_of_several_sweeps_are_told_from_lost_records() {
    let bench = three().await;
    for number in 3..9 {
        put(&bench.store, "a", "k", &format!("value {number}")).await;
        bench.manager.create_backup(BackupType::Full).await.unwrap();
        prune(&bench, 2, false).await;
        bench
            .clock
            .advance_millis(u64::try_from(DAY.as_millis()).unwrap());
    }
    prune(&bench, 2, false).await;
    bench.repository.verify(&VerifyOptions::default()).await.unwrap();
    assert_eq!(ids(&bench).await.len(), 2);
    for name in files(&bench, "log") {
        let path = bench.path().join("log").join(&name);
        let good = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(
            bench.repository.verify(&VerifyOptions::default()).await.is_err(),
            "{name}"
        );
        std::fs::write(&path, good).unwrap();
    }
    bench.repository.verify(&VerifyOptions::default()).await.unwrap();
}

#[tokio::test]
async fn a_sweep_that_was_killed_is_gone_on_with() {
    let bench = three().await;
    prune(&bench, 1, false).await;
    bench
        .clock
        .advance_millis(u64::try_from(DAY.as_millis()).unwrap());
    let before: Vec<_> = ["log", "chunks"]
        .iter()
        .flat_map(|folder| {
            files(&bench, folder).into_iter().map(|name| match *folder {
                "log" => bench.path().join("log").join(name),
                _ => bench.path().join("chunks").join(&name[..2]).join(name),
            })
        })
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    prune(&bench, 1, false).await;
    // As if the sweep had been killed behind its record: all that it removed is there again.
    for (path, bytes) in &before {
        if !path.exists() {
            std::fs::write(path, bytes).unwrap();
        }
    }
    bench.repository.verify(&VerifyOptions::default()).await.unwrap();
    assert_eq!(ids(&bench).await.len(), 1);
    bench
        .clock
        .advance_millis(2 * u64::try_from(DAY.as_millis()).unwrap());
    prune(&bench, 1, false).await;
    assert_eq!(files(&bench, "chunks").len(), 2);
    bench.repository.verify(&VerifyOptions::default()).await.unwrap();
}

#[tokio::test]
async fn what_a_kept_backup_needs_stays() {
    let bench = three().await;
    put(&bench.store, "a", "more", "x").await;
    bench
        .manager
        .create_backup(BackupType::IncrementalFromNewest)
        .await
        .unwrap();
    let all = ids(&bench).await;
    let report = prune(&bench, 1, false).await;
    assert_eq!(report.forgotten, all[..2]);
    assert_eq!(ids(&bench).await, all[2..]);
    // A chunk that a forgotten backup shares with a new one is not removed with it.
    put(&bench.store, "a", "k", "value 0").await;
    let key = key("a", "more");
    stead_core::BackendExt::delete(&*bench.store, key).await.unwrap();
    bench
        .clock
        .advance_millis(u64::try_from(DAY.as_millis()).unwrap());
    bench.manager.create_backup(BackupType::Full).await.unwrap();
    prune(&bench, 10, false).await;
    bench.repository.verify(&VerifyOptions::default()).await.unwrap();
}

/// What is damaged can be got rid of: a full backup makes what it needs of that anew, and the rest is forgotten.
#[tokio::test]
async fn a_damaged_backup_can_be_forgotten() {
    let bench = three().await;
    for chunk in files(&bench, "chunks") {
        let path = bench.path().join("chunks").join(&chunk[..2]).join(&chunk);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    let whole = bench.manager.create_backup(BackupType::Full).await.unwrap();
    let clock: Arc<dyn Clock> = bench.clock.clone();
    // One that is kept does not say any more what it needs: nothing is removed then.
    let options = PruneOptions::new(RetentionPolicy::CountBasedPolicy { max_backups: 3 });
    let error = bench.repository.prune(&options, &clock).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(ids(&bench).await.len(), 4);
    let did = prune(&bench, 1, false).await;
    assert_eq!(ids(&bench).await, [whole]);
    assert_eq!((did.removed_chunks, did.waiting_chunks), (0, 4));
    bench
        .clock
        .advance_millis(u64::try_from(DAY.as_millis()).unwrap());
    let swept = prune(&bench, 1, false).await;
    assert_eq!((swept.removed_chunks, swept.waiting_chunks), (4, 0));
    bench.repository.verify(&VerifyOptions::default()).await.unwrap();
    restores_what_the_store_holds(&bench).await;
}

/// Values that nothing makes shorter, in `parts` of one MiB, of which each is a few chunks.
async fn put_parts(bench: &Bench, parts: &[&str], seed: u64) {
    let random = SeededRandom::new(seed);
    for part in parts {
        for number in 0..16 {
            let value: Vec<u8> = (0..8192).flat_map(|_| random.next_u64().to_le_bytes()).collect();
            let batch = WriteBatch::new().put(key(part, &format!("{number:02}")), value);
            bench.store.apply(batch).await.unwrap().committed().unwrap();
        }
    }
}

#[tokio::test]
async fn a_limit_of_bytes_holds_for_chunks_that_backups_share() {
    let bench = Bench::new().await;
    to_the_present(&bench);
    // What the later two backups take together is seen where there are no others.
    let other = tempfile::tempdir().unwrap();
    let place = other.path().join("backups");
    let clock: Arc<dyn Clock> = bench.clock.clone();
    let repository = Repository::init(place.to_str().unwrap(), &*clock, &SystemRandom).await;
    let others = BackupManager::new(repository.unwrap(), Arc::clone(&bench.store)).with_clock(clock.clone());
    let full = CreateOptions::new(BackupType::Full);
    let parts = ["a", "b", "c", "d"];
    put_parts(&bench, &parts, 1).await;
    bench.manager.create_backup(BackupType::Full).await.unwrap();
    put_parts(&bench, &parts[3..], 2).await;
    let second = bench.manager.create(&full).await.unwrap();
    others.create_backup(BackupType::Full).await.unwrap();
    put_parts(&bench, &parts[..1], 3).await;
    let third = bench.manager.create(&full).await.unwrap();
    others.create_backup(BackupType::Full).await.unwrap();
    // Of what the second needs, most was added by the first.
    assert!(second.counts.new_bytes < second.counts.stored_bytes / 2);
    let both = bytes_below(&place.join("chunks"));
    assert!(both > third.counts.stored_bytes + second.counts.new_bytes);
    to_the_present(&bench);
    let prune = async |max_bytes| {
        let mut options = PruneOptions::new(RetentionPolicy::SizeBasedPolicy { max_bytes });
        options.grace = Duration::ZERO;
        bench.repository.prune(&options, &clock).await.unwrap();
        ids(&bench).await
    };
    // What one prune forgets the next one removes.
    let on_disk = || bytes_below(&bench.path().join("chunks"));
    prune(both).await;
    assert_eq!(prune(both).await, [second.id, third.id]);
    assert_eq!(on_disk(), both);
    prune(both - 1).await;
    assert_eq!(prune(both - 1).await, [third.id]);
    assert_eq!(on_disk(), third.counts.stored_bytes);
}

fn bytes_below(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let bytes = entries.map(|entry| match entry.path().is_dir() {
        true => bytes_below(&entry.path()),
        false => entry.metadata().unwrap().len(),
    });
    bytes.sum()
}
