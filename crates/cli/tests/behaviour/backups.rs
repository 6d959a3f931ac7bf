//! Backups that are damaged, or in places where they cannot be.

use std::fs;

use crate::schedule::{chunks, ids, with_repository};
use crate::support::{Ended, command, json_lines};

#[test]
fn an_older_backup_is_restored_where_that_is_asked_for() {
    let (bench, repository) = with_repository();
    let backup = ["backup", "--repo", &repository, "create", "--full"];
    bench.run(&backup).done();
    let older = chunks(&bench.path("repo").join("chunks"));
    bench.run(&["set", "global", "more", "1"]).done();
    bench.run(&backup).done();
    let ids = ids(&bench, &repository);
    for chunk in chunks(&bench.path("repo").join("chunks")) {
        if !older.contains(&chunk) {
            fs::write(&chunk, "no chunk").unwrap();
        }
    }
    let restore = ["backup", "--repo", &repository, "restore", "--replace"];
    bench
        .run(&restore)
        .failed(5, &["another length", &ids[1], "--or-older"]);
    assert_eq!(bench.run(&["get", "global", "more"]).done(), "1\n");
    let said = bench.run(&[&restore[..], &["--or-older"]].concat()).done();
    let passed_over = format!("{} is damaged and was passed over", ids[1]);
    assert!(said.contains(&passed_over), "{said}");
    assert!(
        said.contains(&format!("entries of {} were restored", ids[0])),
        "{said}"
    );
    bench.run(&["get", "global", "more"]).failed(1, &["no value"]);
}

#[test]
fn stores_and_repositories_do_not_lie_in_each_other() {
    let (bench, repository) = with_repository();
    bench.run(&["backup", "--repo", &repository, "create"]).done();
    let inside = format!("redb:{}", bench.path("repo").join("log").join("new").display());
    let into_it: [&[&str]; 3] = [
        &["backup", "--repo", &repository, "drill", "--into", &inside],
        &["copy", "--from", bench.url(), "--to", &inside],
        &["backup", "--repo", &repository, "restore"],
    ];
    for arguments in into_it {
        let url = if arguments.contains(&"restore") {
            &inside
        } else {
            bench.url()
        };
        let ended = Ended::of(&mut command(url, &bench.path("."), arguments));
        ended.failed(2, &["among the files of a repository"]);
    }
    for name in ["RESTORING", "PREVIOUS"] {
        let repository = bench.path("store").join(name).display().to_string();
        let refused = bench.run(&["backup", "--repo", &repository, "init"]);
        refused.failed(2, &["among the files of a store"]);
    }
    bench.run(&["backup", "--repo", &repository, "verify"]).done();
    bench.run(&["check"]).done();
}

#[test]
fn what_cannot_be_noted_was_verified_all_the_same() {
    let (bench, repository) = with_repository();
    bench.run(&["backup", "--repo", &repository, "create"]).done();
    let lock = fs::File::open(bench.path("repo").join("FORMAT")).unwrap();
    lock.lock().unwrap();
    for command in ["verify", "drill"] {
        let said = bench.run(&["backup", "--repo", &repository, command]).done();
        assert!(said.contains("not noted in the repository"), "{said}");
    }
    drop(lock);
    let said = bench
        .run(&["backup", "--repo", &repository, "verify", "--json"])
        .done();
    assert_eq!(json_lines(&said)[0]["noted"], true);
}
