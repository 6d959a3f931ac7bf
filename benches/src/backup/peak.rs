//! Memory that a backup takes beyond the store, in a process of its own each: what one gave back would be found by the next.

use std::path::Path;
use std::process::Command;

use stead_backup::{BackupType, Repository, RestoreOptions, RestorePoint, VerifyOptions};
use stead_core::SystemClock;

use super::place::{Place, runtime};
use super::{data, memory};
use crate::process;
use crate::report::Report;

/// Set for the child process: what to do, how many entries, of how many bytes, and where the repository is.
const CHILD: &str = "STEAD_BENCH_BACKUP";
const GOAL_MEBIBYTES: f64 = 128.0;
const WIDE_BYTES: usize = 64 << 10;

pub(super) fn run(report: &mut Report, entries: usize) {
    report.section("memory: the most that a backup takes beyond the store");
    let sizes = [
        (entries / 10, data::VALUE_BYTES),
        (entries, data::VALUE_BYTES),
        (entries / 1_000, WIDE_BYTES),
        (entries / 100, WIDE_BYTES),
    ];
    for (entries, bytes) in sizes {
        let runtime = runtime();
        let place = Place::new(&runtime);
        let child = |task: &str| of_child(task, entries, bytes, place.dir.path());
        let [store, create] = child("create")[..] else {
            panic!("the child prints two numbers");
        };
        let verify = child("verify")[0];
        // The store that a restore fills is as large as one that was loaded.
        let restore = child("restore")[0] - store;
        for (what, peak) in [("create", create), ("verify", verify), ("restore", restore)] {
            report.limit(
                &format!("{what}, {entries} entries of {bytes} bytes"),
                peak / f64::from(1 << 20),
                "MiB",
                GOAL_MEBIBYTES,
            );
        }
    }
}

fn of_child(task: &str, entries: usize, bytes: usize, repository: &Path) -> Vec<f64> {
    let program = std::env::current_exe().expect("this program has a path");
    let child = Command::new(program)
        .env(
            CHILD,
            format!("{task} {entries} {bytes} {}", repository.display()),
        )
        .output()
        .expect("this program starts again");
    assert!(child.status.success(), "{child:?}");
    let printed = String::from_utf8_lossy(&child.stdout);
    let numbers = printed
        .split_whitespace()
        .map(|word| word.parse().expect("a number of bytes"));
    numbers.collect()
}

/// In a child process: measures, prints the numbers and says that there is nothing else to do.
pub(crate) fn ran_as_child() -> bool {
    let Ok(asked) = std::env::var(CHILD) else {
        return false;
    };
    let words: Vec<&str> = asked.splitn(4, ' ').collect();
    let [task, entries, bytes, url] = words[..] else {
        panic!("{CHILD} names a task, two numbers and a place");
    };
    let [entries, bytes] = [entries, bytes].map(|word| word.parse().expect("a number"));
    match task {
        "create" => create(entries, bytes, url),
        "verify" => verify(url),
        _ => restore(url),
    }
    true
}

/// Prints what the store takes, and the most that a backup of it takes beyond that.
fn create(entries: usize, bytes: usize, url: &str) {
    let runtime = runtime();
    let empty = process::resident_bytes();
    let store = memory();
    data::load(&store, entries, bytes);
    let before = process::resident_bytes();
    process::forget_peak();
    let manager = stead_backup::BackupManager::new(open(&runtime, url), store);
    runtime
        .block_on(manager.create_backup(BackupType::Full))
        .expect("a backup");
    println!(
        "{} {}",
        before.saturating_sub(empty),
        process::peak_bytes().saturating_sub(before)
    );
}

fn verify(url: &str) {
    let runtime = runtime();
    let repository = open(&runtime, url);
    let before = process::resident_bytes();
    process::forget_peak();
    runtime
        .block_on(repository.verify(&VerifyOptions::default()))
        .expect("it is whole");
    println!("{}", process::peak_bytes().saturating_sub(before));
}

/// Prints the most that a restore takes, the store that it fills included.
fn restore(url: &str) {
    let runtime = runtime();
    let repository = open(&runtime, url);
    let before = process::resident_bytes();
    process::forget_peak();
    let target = memory();
    let options = RestoreOptions::new(RestorePoint::Latest);
    runtime
        .block_on(repository.restore(&target, &options, &SystemClock))
        .expect("it is restored");
    println!("{}", process::peak_bytes().saturating_sub(before));
}

fn open(runtime: &tokio::runtime::Runtime, url: &str) -> Repository {
    runtime.block_on(Repository::open(url)).expect("a repository")
}
