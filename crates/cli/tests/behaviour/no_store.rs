//! Commands that fail where no store is yet. They leave none behind.

use crate::support::{Bench, Ended, command};

/// Runs a command that must not make a store.
fn makes_nothing(arguments: &[&str], stdin: &str) -> Ended {
    let bench = Bench::new();
    bench.file("broken.json", "{\"a\": ");
    let ended = bench.run_with(arguments, stdin);
    assert!(!bench.path("store").exists(), "{arguments:?} made a store");
    ended
}

#[test]
fn what_is_not_there_is_neither_deleted_nor_touched() {
    for arguments in [
        &["delete", "global", "k"][..],
        &["delete", "global", "k", "--if-revision", "1"],
        &["touch", "global", "k", "--forever"],
    ] {
        makes_nothing(arguments, "").failed(1, &["there is no store", "hint: "]);
    }
}

#[test]
fn a_value_is_read_before_a_store_is_made() {
    for (arguments, word) in [
        (&["set", "global", "k", "{\"a\": "][..], "with --string"),
        (&["set", "global", "k", "@nosuch"], "cannot read the file"),
        (&["set", "global", "k", "@broken.json"], "with --string"),
        (&["set", "global", "k", "-"], "with --string"),
        (&["set", "global", "", "1"], "key"),
        (&["set", "global", "k", "1", "--class", "sensitive"], "encrypt"),
    ] {
        makes_nothing(arguments, "[1,").failed(2, &[word]);
    }
}

#[test]
fn a_file_is_opened_before_a_store_is_made() {
    for arguments in [
        &["import", "nosuch.jsonl"][..],
        &["import", "nosuch.jsonl", "--atomic"],
    ] {
        makes_nothing(arguments, "").failed(2, &["cannot read the file", "file=nosuch.jsonl"]);
    }
}

#[test]
fn options_are_read_before_a_store_is_looked_for() {
    let bench = Bench::new();
    for (options, words) in [
        ("cahce=1", &["option=cahce", "did_you_mean=cache"][..]),
        ("durability=soon", &["option=durability", "value=soon"]),
        ("cache", &["name=value"]),
    ] {
        let url = format!("{}?{options}", bench.url());
        for arguments in [
            &["get", "global", "k"][..],
            &["list", "global"],
            &["export"],
            &["check"],
        ] {
            Ended::of(&mut command(&url, &bench.path(""), arguments)).failed(2, words);
        }
        assert!(!bench.path("store").exists());
    }
}
