//! Every flipped bit, every truncation, every file that is missing, swapped or put twice is found: by a verification, and
//! by a restore before its first write.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use stead_backup::{BackupType, Repository, RestoreOptions, RestorePoint, VerifyOptions};
use stead_core::{BackendExt, ErrorKind, Result};
use support::{Bench, content, key, put};

/// A small repository of a full backup and an increment.
async fn repository() -> Bench {
    let bench = Bench::new().await;
    for number in 0..40 {
        put(
            &bench.store,
            "agent",
            &format!("note/{number}"),
            &format!("value {number}"),
        )
        .await;
    }
    bench.manager.create_backup(BackupType::Full).await.unwrap();
    put(&bench.store, "agent", "note/7", "changed").await;
    bench.store.delete(key("agent", "note/8")).await.unwrap();
    bench
        .manager
        .create_backup(BackupType::IncrementalFromNewest)
        .await
        .unwrap();
    bench
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

async fn verify(bench: &Bench) -> Result<()> {
    let repository = Repository::open(bench.path().to_str().unwrap()).await?;
    repository.verify(&VerifyOptions::default()).await.map(drop)
}

/// Verifies and restores, both of which have to fail, and the restore before it wrote anything.
async fn found(bench: &Bench, what: &str) {
    assert!(verify(bench).await.is_err(), "verify did not find {what}");
    let target = bench.empty();
    let restored = async {
        let repository = Repository::open(bench.path().to_str().unwrap()).await?;
        let options = RestoreOptions::new(RestorePoint::Latest);
        repository.restore(&target, &options, &*bench.clock).await
    };
    let error = restored.await.expect_err(what);
    // Without FORMAT there is no repository to be damaged.
    assert!(
        error.kind() == ErrorKind::Corrupt || what.contains("FORMAT"),
        "{what}: {error}"
    );
    assert!(content(&*target).await.is_empty(), "{what}");
    assert_eq!(target.stats().await.unwrap().commits, 0, "{what}");
}

#[tokio::test]
async fn every_flipped_bit_is_found() {
    let bench = repository().await;
    verify(&bench).await.unwrap();
    for path in files(bench.path()) {
        let good = fs::read(&path).unwrap();
        for position in 0..good.len() {
            // All eight bits of every byte in turn would be the same eight times over: each byte has one flipped here.
            let mut bad = good.clone();
            bad[position] ^= 1 << (position % 8);
            fs::write(&path, &bad).unwrap();
            found(&bench, &format!("byte {position} of {}", path.display())).await;
        }
        fs::write(&path, &good).unwrap();
    }
    verify(&bench).await.unwrap();
}

#[tokio::test]
async fn every_truncation_is_found() {
    let bench = repository().await;
    for path in files(bench.path()) {
        let good = fs::read(&path).unwrap();
        for length in 0..good.len() {
            fs::write(&path, &good[..length]).unwrap();
            found(&bench, &format!("{} cut to {length}", path.display())).await;
        }
        fs::write(&path, &good).unwrap();
    }
    verify(&bench).await.unwrap();
}

#[tokio::test]
async fn every_file_that_is_missing_is_found() {
    let bench = repository().await;
    for path in files(bench.path()) {
        let good = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        found(&bench, &format!("{} missing", path.display())).await;
        fs::write(&path, &good).unwrap();
    }
}

#[tokio::test]
async fn every_file_in_the_place_of_another_is_found() {
    let bench = repository().await;
    let all = files(bench.path());
    for one in &all {
        for other in &all {
            let (first, second) = (fs::read(one).unwrap(), fs::read(other).unwrap());
            if first == second {
                continue;
            }
            fs::write(one, &second).unwrap();
            found(
                &bench,
                &format!("{} in the place of {}", other.display(), one.display()),
            )
            .await;
            fs::write(other, &first).unwrap();
            found(
                &bench,
                &format!("{} and {} swapped", other.display(), one.display()),
            )
            .await;
            fs::write(one, &first).unwrap();
            fs::write(other, &second).unwrap();
        }
    }
    verify(&bench).await.unwrap();
}

#[tokio::test]
async fn a_file_that_does_not_belong_is_found() {
    let bench = repository().await;
    for path in files(bench.path()) {
        let copy = path.with_extension("copy");
        fs::copy(&path, &copy).unwrap();
        assert!(verify(&bench).await.is_err(), "{}", copy.display());
        fs::remove_file(&copy).unwrap();
    }
}

/// Folders, and pipes that nobody writes to.
#[cfg(unix)]
#[tokio::test]
async fn what_is_no_file_is_a_file_that_is_missing() {
    let bench = repository().await;
    for path in files(bench.path()) {
        let good = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        found(&bench, &format!("{} a folder", path.display())).await;
        fs::remove_dir(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        found(&bench, &format!("{} a pipe", path.display())).await;
        fs::remove_file(&path).unwrap();
        fs::write(&path, &good).unwrap();
    }
    verify(&bench).await.unwrap();
}
