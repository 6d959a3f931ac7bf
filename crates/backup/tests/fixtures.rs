//! The released format stays readable: a repository that format 1 wrote is opened on every run.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/pruned.rs"]
mod pruned;
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use stead_backup::{
    BackupKind, BackupManager, BackupMetadata, BackupType, CreateOptions, Repository, RestoreOptions,
    RestorePoint, VerifyOptions,
};
use stead_core::{
    Backend, Clock, Expiry, Key, ManualClock, Partition, Revision, SeededRandom, Timestamp, WriteBatch,
};
use stead_memory::{MemoryBackend, MemoryOptions};
use support::{NOW, content};

const LATER: Timestamp = Timestamp::from_millis(1_900_000_000_000);
const SOON: Timestamp = Timestamp::from_millis(NOW.as_millis() + 1_000);

/// The state that a backup gives.
type State = BTreeMap<Key, (Vec<u8>, Option<Timestamp>)>;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// The same repository, as it was written before backups kept marks of the store's last changes, and after.
const FIXTURES: [&str; 2] = ["format1", "format1-history"];

fn key(path: impl AsRef<[u8]>) -> Key {
    Key::new(&Partition::new("agent:1").unwrap(), path).unwrap()
}

fn binary() -> Key {
    Key::new(&Partition::new([b'a', 0xff, 1]).unwrap(), [0, 0xff, b'/']).unwrap()
}

/// What the store gets before each of the first two backups.
fn batches() -> [Vec<WriteBatch>; 2] {
    let batch = WriteBatch::new;
    let long = key([b'k'; Key::MAX_PATH_BYTES]);
    let before_the_first = vec![
        batch()
            .put(key("plan"), r#"{"state":"idle"}"#)
            .put(key("gone"), "soon"),
        batch().put(key(""), "").put(binary(), vec![0, 0xff, b'\n']),
        batch()
            .put_with(key("timed"), "t", Expiry::At(LATER))
            .put(key("touched"), "same"),
        batch().put_with(key("expiring"), "e", Expiry::At(SOON)),
        batch().put(long, vec![b'v'; 2_000]),
    ];
    let before_the_second = vec![
        batch().put(key("plan"), r#"{"state":"busy"}"#),
        batch().delete(key("gone")).delete(key("expiring")),
        batch()
            .touch(key("touched"), Expiry::At(LATER))
            .put(key("new"), "näher"),
    ];
    [before_the_first, before_the_second]
}

/// Makes the repository of the fixture: a full backup, an increment on it, one of nothing, and a differential one. The states
/// that they give.
async fn make(path: &Path) -> Vec<State> {
    let clock = Arc::new(ManualClock::at(NOW));
    let random = Arc::new(SeededRandom::new(1));
    // What has expired goes when it is written over, and not at a moment that a thread chooses.
    let never = Duration::from_secs(86_400);
    let options = MemoryOptions::default()
        .with_clock(clock.clone())
        .with_sweep_interval(never);
    let store: Arc<dyn Backend> = Arc::new(MemoryBackend::new(options));
    let repository = Repository::init(path.to_str().unwrap(), &*clock, &*random)
        .await
        .unwrap();
    let manager = BackupManager::new(repository.clone(), Arc::clone(&store))
        .with_clock(clock.clone())
        .with_random(random);
    let mut states = Vec::new();
    let mut backup = async |kind, batches: Vec<WriteBatch>| {
        for batch in batches {
            store.apply(batch).await.unwrap().committed().unwrap();
        }
        states.push(content(&*store).await);
        let mut options = CreateOptions::new(kind);
        if options.kind == BackupType::Full {
            options = options.with_tag("first").with_tag("v1.0");
        }
        manager.create(&options).await.unwrap().id
    };

    let [first, second] = batches();
    let base_backup_id = backup(BackupType::Full, first).await;
    clock.set(SOON);
    backup(BackupType::Incremental { base_backup_id }, second).await;
    clock.advance_millis(500);
    backup(BackupType::IncrementalFromNewest, Vec::new()).await;
    let third = WriteBatch::new().put(key("plan"), r#"{"state":"done"}"#);
    backup(BackupType::Differential, vec![third]).await;
    let clock: Arc<dyn Clock> = clock;
    repository
        .note_verified(&[base_backup_id], "bytes", &clock)
        .await
        .unwrap();
    states
}

async fn listed(path: &Path) -> Vec<BackupMetadata> {
    Repository::open(path.to_str().unwrap())
        .await
        .unwrap()
        .backups()
        .await
        .unwrap()
}

/// The states that a repository gives.
async fn restored(path: &Path) -> Vec<State> {
    let repository = Repository::open(path.to_str().unwrap()).await.unwrap();
    let mut states = Vec::new();
    for backup in repository.backups().await.unwrap() {
        let clock = Arc::new(ManualClock::at(backup.taken));
        let target: Arc<dyn Backend> = support::memory(&clock);
        let options = RestoreOptions::new(RestorePoint::Backup(backup.id));
        repository.restore(&target, &options, &*clock).await.unwrap();
        states.push(content(&*target).await);
    }
    states
}

#[tokio::test]
async fn the_fixtures_of_format_1_are_listed_and_verified() {
    for name in FIXTURES {
        is_listed_and_verified(&fixture(name)).await;
    }
}

async fn is_listed_and_verified(fixture: &Path) {
    let repository = Repository::open(fixture.to_str().unwrap()).await.unwrap();
    assert_eq!(repository.id(), "910a2dec89025cc1beeb8da1658eec67");
    let backups = repository.backups().await.unwrap();
    let ids: Vec<String> = backups.iter().map(|backup| backup.id.to_string()).collect();
    assert_eq!(ids, ["1-fb32555e", "2-ee42c90b", "3-d101b5b9", "4-90150280"]);
    let kinds: Vec<BackupKind> = backups.iter().map(|backup| backup.kind).collect();
    let incremental = BackupKind::Incremental;
    assert_eq!(
        kinds,
        [
            BackupKind::Full,
            incremental,
            incremental,
            BackupKind::Differential
        ]
    );
    let bases: Vec<_> = backups.iter().map(|backup| backup.base).collect();
    assert_eq!(
        bases,
        [
            None,
            Some(backups[0].id),
            Some(backups[1].id),
            Some(backups[0].id)
        ]
    );
    let taken: Vec<u64> = backups
        .iter()
        .map(|backup| backup.taken.as_millis() - NOW.as_millis())
        .collect();
    assert_eq!(taken, [0, 1_000, 1_500, 1_500]);
    let revisions: Vec<Revision> = backups.iter().map(|backup| backup.revision).collect();
    assert_eq!(revisions, [5, 8, 8, 9].map(Revision::new));
    let counted: Vec<_> = backups
        .iter()
        .map(|backup| {
            (
                backup.counts.entries,
                backup.counts.deleted,
                backup.counts.expired,
            )
        })
        .collect();
    assert_eq!(counted, [(8, 0, 0), (3, 1, 1), (0, 0, 0), (3, 1, 1)]);
    assert_eq!(backups[0].tags, ["first", "v1.0"]);
    assert_eq!(backups[0].backend, "memory");
    let verified: Vec<bool> = backups.iter().map(|backup| backup.verified).collect();
    assert_eq!(verified, [true, false, false, false]);
    let report = repository.verify(&VerifyOptions::default()).await.unwrap();
    assert_eq!((report.backups, report.unused_chunks), (4, 0));
}

#[tokio::test]
async fn the_fixtures_of_format_1_restore_to_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let states = make(dir.path()).await;
    for name in FIXTURES {
        assert_eq!(restored(&fixture(name)).await, states);
    }
    assert_eq!(restored(dir.path()).await, states);
}

/// What is compressed may come out in other bytes one day, and stays as readable: everything else is as it was.
#[tokio::test]
async fn what_is_written_today_says_what_the_fixture_says() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path()).await;
    let today = listed(dir.path()).await;
    for name in FIXTURES {
        let fixture = listed(&fixture(name)).await;
        assert_eq!(today.len(), fixture.len());
        for (today, then) in today.iter().cloned().zip(fixture) {
            let mut today = today;
            today.record = then.record;
            today.counts.stored_bytes = then.counts.stored_bytes;
            today.counts.new_bytes = then.counts.new_bytes;
            assert_eq!(today, then);
        }
    }
}

/// The marks in the records of a repository, as they are written.
fn histories(path: &Path) -> Vec<String> {
    let record = |number: u64| std::fs::read_to_string(path.join(format!("log/{number:012}"))).unwrap();
    let marks = |record: String| {
        let (_, behind) = record.split_once(r#""history":"#)?;
        Some(behind.split_inclusive(']').next()?.to_owned())
    };
    (1..=4).filter_map(|number| marks(record(number))).collect()
}

/// Marks that come out otherwise would make a full backup of every increment on a backup of before.
#[tokio::test]
async fn marks_of_the_last_changes_are_those_of_the_fixture() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path()).await;
    let [none, marks] = FIXTURES.map(|name| histories(&fixture(name)));
    assert_eq!((none.len(), marks.len()), (0, 4));
    assert!(marks.iter().all(|marks| marks.contains(r#""changes":"#)));
    assert_eq!(histories(dir.path()), marks);
}

/// The other fixture: what prunes leave of a repository, and a store that orders its revisions within partitions.
#[tokio::test]
async fn the_pruned_fixture_of_format_1_is_listed_verified_and_restored() {
    let repository = Repository::open(pruned::fixture().to_str().unwrap())
        .await
        .unwrap();
    let backups = repository.backups().await.unwrap();
    let shown: Vec<String> = backups
        .iter()
        .map(|backup| {
            format!(
                "{} {} {} {:?}",
                backup.id.sequence(),
                backup.kind,
                backup.backend,
                backup.tags
            )
        })
        .collect();
    assert_eq!(shown, pruned::LISTED);
    let verified: Vec<bool> = backups.iter().map(|backup| backup.verified).collect();
    assert_eq!(verified, [false, true, false, false]);
    let report = repository.verify(&VerifyOptions::default()).await.unwrap();
    assert_eq!(report.backups, 4);
    assert!(report.unused_chunks >= 3, "the trash of the fixture is gone");
    let folder = std::fs::read_dir(pruned::fixture().join("log")).unwrap();
    let mut log: Vec<_> = folder.map(|entry| entry.unwrap().file_name()).collect();
    log.sort();
    assert_eq!(log.first().unwrap(), "000000000003", "the first records are gone");

    let dir = tempfile::tempdir().unwrap();
    let states = pruned::make(dir.path()).await;
    assert_eq!(restored(&pruned::fixture()).await, states);
    assert_eq!(restored(dir.path()).await, states);
    let today = listed(dir.path()).await;
    for (today, then) in today.into_iter().zip(backups) {
        let mut today = today;
        today.record = then.record;
        today.counts.stored_bytes = then.counts.stored_bytes;
        today.counts.new_bytes = then.counts.new_bytes;
        assert_eq!(today, then);
    }
}

#[tokio::test]
#[ignore = "writes the fixture; run it by name for a new format"]
async fn write_pruned_fixture() {
    assert!(
        !pruned::fixture().exists(),
        "a released fixture is never written again"
    );
    pruned::make(&pruned::fixture()).await;
}

/// Only ever needed for a new format, in a directory of its own.
#[tokio::test]
#[ignore = "writes the fixture; run it by name for a new format"]
async fn write_fixture() {
    let newest = fixture(FIXTURES[FIXTURES.len() - 1]);
    assert!(!newest.exists(), "a released fixture is never written again");
    make(&newest).await;
}
