//! Backups on a schedule, and drills.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

#[cfg(unix)]
use crate::signals::{interrupt, stderr_of};
use crate::support::{Bench, json_lines};

pub(crate) fn with_repository() -> (Bench, String) {
    let bench = Bench::filled();
    let repository = bench.path("repo").to_str().unwrap().to_owned();
    bench.run(&["backup", "--repo", &repository, "init"]).done();
    (bench, repository)
}

pub(crate) fn ids(bench: &Bench, repository: &str) -> Vec<String> {
    let listed = bench
        .run(&["backup", "--repo", repository, "list", "--json"])
        .done();
    json_lines(&listed)
        .iter()
        .map(|backup| backup["id"].as_str().unwrap().to_owned())
        .collect()
}

pub(crate) fn chunks(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { chunks(&path) } else { vec![path] })
        .collect()
}

#[cfg(unix)]
#[test]
fn a_schedule_ends_with_a_last_backup() {
    let (bench, repository) = with_repository();
    let arguments = [
        "backup",
        "--repo",
        &repository,
        "run",
        "--json",
        "--every",
        "1h",
        "--tag",
        "planned",
    ];
    let mut child = bench.spawn(&arguments);
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || json_lines(&stdout.next().unwrap().unwrap()).remove(0);
    // At once, for there is none, and it is tried.
    let first = next();
    assert_eq!(
        (&first["event"], &first["kind"]),
        (&"made".into(), &"full".into())
    );
    assert_eq!(first["full_reason"], "first");
    assert_eq!(first["entries"], 2);
    let tried = next();
    assert_eq!(
        (&tried["event"], &tried["backup"]),
        (&"trial_passed".into(), &first["id"])
    );
    assert_eq!(tried["depth"], "restore");
    interrupt(&child);
    let last = next();
    assert_eq!(
        (&last["event"], &last["kind"]),
        (&"made".into(), &"incremental".into())
    );
    assert!(stdout.next().is_none());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(stderr_of(child), "");
    assert_eq!(ids(&bench, &repository).len(), 2);
    let tagged = bench.run(&[
        "backup",
        "--repo",
        &repository,
        "list",
        "--tag",
        "planned",
        "--json",
    ]);
    assert_eq!(json_lines(&tagged.done()).len(), 2);
    // The store was closed.
    bench.run(&["set", "global", "k", "2"]).done();
}

#[cfg(unix)]
#[test]
fn a_schedule_forgets_and_makes_no_last_backup_where_none_is_wanted() {
    let (bench, repository) = with_repository();
    let arguments = [
        "backup",
        "--repo",
        &repository,
        "run",
        "--every",
        "20ms",
        "--full-every-backups",
        "1",
        "--keep-last",
        "2",
        "--trials",
        "none",
        "--no-final",
    ];
    let mut child = bench.spawn(&arguments);
    let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    let lines: Vec<String> = stdout.map(Result::unwrap).take(4).collect();
    assert!(
        lines.iter().all(|line| line.contains(" made: full (")),
        "{lines:?}"
    );
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_drill_of_a_damaged_backup_fails() {
    let (bench, repository) = with_repository();
    let backup = ["backup", "--repo", &repository, "create"];
    bench.run(&backup).done();
    bench.run(&["set", "global", "more", "1"]).done();
    bench.run(&backup).done();
    let ids = ids(&bench, &repository);
    for chunk in chunks(&bench.path("repo").join("chunks")) {
        let mut bytes = fs::read(&chunk).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&chunk, bytes).unwrap();
    }
    let target = format!("redb:{}", bench.path("drilled").display());
    for id in &ids {
        let drill = [
            "backup",
            "--repo",
            &repository,
            "drill",
            "--id",
            id,
            "--into",
            &target,
        ];
        // Both stand on the first.
        bench.run(&drill).failed(5, &["damaged", &ids[0]]);
    }
    let verified = bench
        .run(&["backup", "--repo", &repository, "list", "--json"])
        .done();
    assert!(
        json_lines(&verified)
            .iter()
            .all(|backup| backup["verified"] == false)
    );
}

#[test]
fn a_drill_leaves_no_temporary_store() {
    let (bench, repository) = with_repository();
    bench.run(&["backup", "--repo", &repository, "create"]).done();
    let temporary = bench.path("temporary");
    fs::create_dir(&temporary).unwrap();
    let mut drill = bench.command(&["backup", "--repo", &repository, "drill"]);
    let drilled = crate::support::Ended::of(drill.env("TMPDIR", &temporary)).done();
    assert!(
        drilled.contains("can be restored: 2 entries of 1 backups"),
        "{drilled}"
    );
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
}
