//! What goes wrong around a repository: a typed error, and nothing has changed.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use stead_backup::{BackupManager, BackupType, Repository, VerifyOptions};
use stead_conformance::small_disk;
use stead_core::{Clock, Error, ErrorKind, Random as _, SeededRandom, SystemRandom, WriteBatch};
use support::{Bench, key, put};

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// All files below a directory, and what they hold.
fn files(folder: &Path) -> Files {
    let mut found = Files::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => waiting.push(path),
                false => {
                    let bytes = fs::read(&path).unwrap();
                    found.insert(path, bytes);
                }
            }
        }
    }
    found
}

async fn init(path: &Path, bench: &Bench) -> Result<Repository, Error> {
    Repository::init(path.to_str().unwrap(), &*bench.clock, &SystemRandom).await
}

/// A store with something in it, a full backup of it, and a change since.
async fn backed_up() -> Bench {
    let bench = Bench::new().await;
    put(&bench.store, "agent", "plan", "first").await;
    bench.manager.create_backup(BackupType::Full).await.unwrap();
    put(&bench.store, "agent", "plan", "second").await;
    bench
}

/// Puts `mebibytes` that nothing makes shorter into the store.
async fn fill(bench: &Bench, mebibytes: usize) {
    let random = SeededRandom::new(3);
    for number in 0..mebibytes * 16 {
        let value: Vec<u8> = (0..8192).flat_map(|_| random.next_u64().to_le_bytes()).collect();
        let batch = WriteBatch::new().put(key("agent", &format!("much/{number:05}")), value);
        bench.store.apply(batch).await.unwrap().committed().unwrap();
    }
}

#[tokio::test]
async fn a_place_that_is_no_repository_is_named_and_left_alone() {
    let bench = backed_up().await;
    let base = tempfile::tempdir().unwrap();
    let of = |name: &str| base.path().join(name);
    fs::create_dir(of("empty")).unwrap();
    fs::create_dir(of("used")).unwrap();
    fs::write(of("used/notes.txt"), "mine").unwrap();
    fs::write(of("file"), "mine").unwrap();
    fs::create_dir(of("other")).unwrap();
    fs::write(of("other/FORMAT"), "jpeg\n").unwrap();
    let before = files(base.path());
    for (name, opened) in [
        ("missing", ErrorKind::Invalid),
        ("missing/deeper", ErrorKind::Invalid),
        ("empty", ErrorKind::Invalid),
        ("used", ErrorKind::Invalid),
        ("file", ErrorKind::Invalid),
        ("file/below", ErrorKind::Invalid),
        ("other", ErrorKind::Corrupt),
    ] {
        let error = Repository::open(of(name).to_str().unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), opened, "{name}: {error}");
    }
    for name in ["used", "file", "file/below", "other"] {
        let error = init(&of(name), &bench).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name}: {error}");
    }
    for url in ["", "s4://bucket", "file://elsewhere/a", "file:///a?x=1"] {
        let error = Repository::open(url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{url}: {error}");
    }
    assert_eq!(files(base.path()), before);
    assert!(!of("missing").exists());
}

#[tokio::test]
async fn no_repository_is_made_within_another() {
    let bench = backed_up().await;
    let before = files(bench.path());
    for name in ["", "chunks", "log/within", "a/b/c"] {
        let error = init(&bench.path().join(name), &bench).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name}: {error}");
        let shown = error.to_string();
        assert!(
            shown.contains("within another repository") || shown.contains("a repository here already"),
            "{shown}"
        );
    }
    assert_eq!(files(bench.path()), before);
    bench.repository.verify(&VerifyOptions::default()).await.unwrap();
}

#[tokio::test]
async fn an_increment_on_a_base_without_its_chunk_is_refused() {
    for truncate in [false, true] {
        let bench = backed_up().await;
        for (path, bytes) in files(&bench.path().join("chunks")) {
            match truncate {
                true => fs::write(&path, &bytes[..bytes.len() / 2]).unwrap(),
                false => fs::remove_file(&path).unwrap(),
            }
        }
        let before = files(bench.path());
        let made = bench
            .manager
            .create_backup(BackupType::IncrementalFromNewest)
            .await;
        let error = made.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("base=1-"), "{error}");
        assert_eq!(files(bench.path()), before);
        // A full backup is what it asks for.
        bench.manager.create_backup(BackupType::Full).await.unwrap();
    }
}

#[tokio::test]
async fn an_increment_on_a_base_that_is_not_there_is_refused() {
    let bench = backed_up().await;
    let before = files(bench.path());
    let base_backup_id = "1-00000000".parse().unwrap();
    let made = bench
        .manager
        .create_backup(BackupType::Incremental { base_backup_id })
        .await;
    assert_eq!(made.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(files(bench.path()), before);
}

/// The advice after damage is to take a full backup: it must not stand on the damaged chunk.
#[tokio::test]
async fn a_full_backup_writes_a_damaged_chunk_anew() {
    let bench = backed_up().await;
    put(&bench.store, "agent", "plan", "first").await;
    bench.manager.create_backup(BackupType::Full).await.unwrap();
    let whole = files(&bench.path().join("chunks"));
    for (path, bytes) in &whole {
        let mut damaged = bytes.clone();
        *damaged.last_mut().unwrap() ^= 1;
        fs::write(path, damaged).unwrap();
    }
    let verified = bench.repository.verify(&VerifyOptions::default()).await;
    assert_eq!(verified.unwrap_err().kind(), ErrorKind::Corrupt);
    bench.manager.create_backup(BackupType::Full).await.unwrap();
    let newest = files(&bench.path().join("chunks"));
    assert!(
        newest.len() == whole.len(),
        "the same entries are in the same chunks"
    );
    let mended = newest.iter().filter(|(path, bytes)| whole[*path] == **bytes);
    assert!(mended.count() >= 2);
}

/// Runs `harm` once the backup has begun to read the store.
async fn create_while(bench: &Bench, harm: impl Fn() + Send + Sync + 'static) -> Error {
    let once = std::sync::Once::new();
    let manager = BackupManager::new(bench.repository.clone(), Arc::clone(&bench.store))
        .with_clock(bench.clock.clone())
        .with_observer(move |_| once.call_once(&harm));
    manager.create_backup(BackupType::Full).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_removed_while_a_backup_runs_does_not_come_back() {
    let bench = backed_up().await;
    fill(&bench, 4).await;
    let away = tempfile::tempdir().unwrap();
    let (path, to) = (bench.path().to_owned(), away.path().join("repo"));
    let error = create_while(&bench, move || fs::rename(&path, &to).unwrap()).await;
    // Where it is missed depends on what was under way.
    let kinds = [ErrorKind::Invalid, ErrorKind::Unavailable];
    assert!(kinds.contains(&error.kind()), "{error}");
    assert_eq!(files(bench.path()), Files::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_replaced_while_a_backup_runs_gets_nothing() {
    let bench = backed_up().await;
    let other = tempfile::tempdir().unwrap();
    init(other.path(), &bench).await.unwrap();
    let before: Vec<Vec<u8>> = files(other.path()).into_values().collect();
    let away = tempfile::tempdir().unwrap();
    let (place, to) = (bench.path().to_owned(), away.path().join("repo"));
    let from = other.path().to_owned();
    let error = create_while(&bench, move || {
        fs::rename(&place, &to).unwrap();
        fs::rename(&from, &place).unwrap();
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let after: Vec<Vec<u8>> = files(bench.path()).into_values().collect();
    assert_eq!(after, before);
    let repository = Repository::open(bench.path().to_str().unwrap()).await.unwrap();
    assert_eq!(repository.backups().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_vanishes_while_a_backup_runs_is_missed() {
    let bench = backed_up().await;
    let record = bench.path().join("log/000000000001");
    let error = create_while(&bench, move || fs::remove_file(&record).unwrap()).await;
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(!bench.path().join("log/000000000002").exists());
}

/// A backup of `store` on the small disk.
async fn in_place(bench: &Bench) -> (PathBuf, BackupManager) {
    let path = small_disk::path().join("repo");
    let repository = init(&path, bench).await.unwrap();
    let manager = BackupManager::new(repository, Arc::clone(&bench.store)).with_clock(bench.clock.clone());
    manager.create_backup(BackupType::Full).await.unwrap();
    (path, manager)
}

#[test]
fn a_full_disk_leaves_what_was_there() {
    small_disk::run_test("on_a_full_disk", 8);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by a_full_disk_leaves_what_was_there, on a disk of its own"]
async fn on_a_full_disk() {
    let bench = backed_up().await;
    let (path, manager) = in_place(&bench).await;
    let before = files(&path);
    fill(&bench, 16).await;
    for kind in [BackupType::Full, BackupType::IncrementalFromNewest] {
        let error = manager.create_backup(kind).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Full, "{error}");
        assert!(files(&path) == before, "something was left behind");
    }
    // Where only the end does not fit, the record or its head, nothing is left either.
    put(&bench.store, "agent", "plan", "third").await;
    let ballast = path.with_file_name("ballast");
    let clock: Arc<dyn Clock> = bench.clock.clone();
    let mut full = 0;
    for free_kib in 0..12 {
        fs::write(&ballast, vec![1; 16 << 20]).unwrap_err();
        let written = fs::metadata(&ballast).unwrap().len();
        let file = fs::File::options().write(true).open(&ballast).unwrap();
        file.set_len(written.saturating_sub(free_kib * 4096)).unwrap();
        let backups = manager.repository().backups().await.unwrap();
        let id = backups[0].id;
        let known = files(&path);
        match manager.repository().note_verified(&[id], "bytes", &clock).await {
            Ok(()) => break,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Full, "{error}");
                assert!(
                    files(&path) == known,
                    "with {free_kib} pages: something was left behind"
                );
                full += 1;
            }
        }
    }
    assert!(full > 0, "the disk was never full");
    fs::remove_file(&ballast).unwrap();
    manager
        .repository()
        .verify(&VerifyOptions::default())
        .await
        .unwrap();
}

#[test]
fn a_repository_that_cannot_be_written_to_is_read() {
    small_disk::run_test("on_a_disk_to_read", 8);
}

#[tokio::test]
#[ignore = "run by a_repository_that_cannot_be_written_to_is_read, on a disk of its own"]
async fn on_a_disk_to_read() {
    let bench = backed_up().await;
    let (path, manager) = in_place(&bench).await;
    let mounted = Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(path.parent().unwrap())
        .status()
        .unwrap();
    assert!(mounted.success());
    let before = files(&path);
    let error = manager.create_backup(BackupType::Full).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let error = init(&path.with_file_name("new"), &bench).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert_eq!(files(&path), before);
    manager
        .repository()
        .verify(&VerifyOptions::default())
        .await
        .unwrap();
}
