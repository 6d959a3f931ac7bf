//! Copies from one store to another.

use serde_json::Value;

use crate::support::{Bench, Ended, command, json_lines};

/// The URL of the store that is copied to.
fn elsewhere(bench: &Bench) -> String {
    format!("redb:{}", bench.path("other").display())
}

fn on(bench: &Bench, url: &str, arguments: &[&str]) -> Ended {
    Ended::of(&mut command(url, &bench.path(""), arguments))
}

fn copy(bench: &Bench, more: &[&str]) -> Ended {
    let to = elsewhere(bench);
    let arguments = [&["copy", "--from", bench.url(), "--to", &to], more].concat();
    on(bench, "redb:./nowhere", &arguments)
}

#[test]
fn what_is_there_is_there_twice() {
    let bench = Bench::filled();
    bench
        .run(&["set", "user:ada", "secret", "x", "--class", "standard"])
        .done();
    let said = copy(&bench, &[]).done();
    assert_eq!(
        said,
        "3 entries in 3 partitions are equal in both stores, as of revision 3\n"
    );
    let copied = on(&bench, &elsewhere(&bench), &["export"]).done();
    assert_eq!(copied, bench.run(&["export"]).done());
    on(&bench, &elsewhere(&bench), &["check"]).done();
    assert_eq!(
        on(&bench, &elsewhere(&bench), &["scopes"]).done().lines().count(),
        3
    );
    // Revisions go on behind those of the source.
    let next = on(&bench, &elsewhere(&bench), &["set", "--json", "global", "k", "1"]).done();
    assert!(json_lines(&next)[0]["revision"].as_u64().unwrap() > 3);
}

#[test]
fn programs_read_what_was_done() {
    let bench = Bench::filled();
    let said: Value = serde_json::from_str(&copy(&bench, &["--json"]).done()).unwrap();
    assert_eq!(
        (&said["entries"], &said["copied"]),
        (&Value::from(2), &Value::from(2))
    );
    assert_eq!(
        (&said["resumed"], &said["following"]),
        (&Value::from(false), &Value::from(false))
    );
    assert_eq!(said["content_sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn a_store_that_holds_something_is_refused_unless_merged_into() {
    let bench = Bench::filled();
    on(&bench, &elsewhere(&bench), &["set", "global", "first", "old"]).done();
    on(&bench, &elsewhere(&bench), &["set", "global", "own", "kept"]).done();
    let before = on(&bench, &elsewhere(&bench), &["export"]).done();
    copy(&bench, &[]).failed(2, &["not empty", "merge"]);
    assert_eq!(on(&bench, &elsewhere(&bench), &["export"]).done(), before);
    copy(&bench, &["--merge"]).done();
    assert_eq!(
        on(&bench, &elsewhere(&bench), &["get", "global", "own"]).done(),
        "\"kept\"\n"
    );
    assert_eq!(
        on(&bench, &elsewhere(&bench), &["get", "global", "first"]).done(),
        "1\n"
    );
}

#[test]
fn wrong_stores_are_refused_and_none_is_made() {
    let bench = Bench::filled();
    let round_about = format!("redb:{}/./?cache=8MiB", bench.path("store").display());
    let ended = on(
        &bench,
        bench.url(),
        &["copy", "--from", bench.url(), "--to", &round_about],
    );
    ended.failed(2, &["same store"]);
    let missing = format!("redb:{}", bench.path("missing").display());
    let to = elsewhere(&bench);
    on(&bench, bench.url(), &["copy", "--from", &missing, "--to", &to]).failed(1, &["there is no store"]);
    on(
        &bench,
        bench.url(),
        &["copy", "--from", bench.url(), "--to", "redb:x?cahce=1"],
    )
    .failed(2, &["cahce"]);
    on(&bench, bench.url(), &["copy", "--from", bench.url()]).failed(2, &["--to"]);
    for name in ["missing", "other", "x"] {
        assert!(!bench.path(name).exists(), "{name}");
    }
}

#[cfg(unix)]
#[test]
fn following_ends_with_success_and_the_next_copy_ends_it() {
    use std::io::{BufRead, BufReader};

    let bench = Bench::filled();
    let to = elsewhere(&bench);
    let mut child = bench.spawn(&["copy", "--from", bench.url(), "--to", &to, "--follow"]);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.starts_with("2 entries"), "{line}");
    crate::signals::interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // It is not done: another source is refused.
    let other = format!("redb:{}", bench.path("third").display());
    on(&bench, &other, &["set", "global", "k", "1"]).done();
    on(&bench, &other, &["copy", "--from", &other, "--to", &to])
        .failed(2, &["unfinished copy of another store"]);
    bench.run(&["set", "global", "later", "2"]).done();
    let said = copy(&bench, &["--json"]).done();
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&said["resumed"], &said["caught_up"]),
        (&Value::from(true), &Value::from(1))
    );
    assert_eq!(on(&bench, &to, &["get", "global", "later"]).done(), "2\n");
}
