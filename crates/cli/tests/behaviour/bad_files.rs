//! Files to import that are not what they should be.

use std::fmt::Write;

use serde_json::json;
use stead::core::{Random, SeededRandom};

use crate::support::Bench;

/// Lines of which number 7,000 is broken, as `broken` says.
fn lines_with(broken: &str) -> String {
    let mut text = String::new();
    for line in 1..=10_000 {
        if line == 7_000 {
            writeln!(text, "{broken}").unwrap();
        } else {
            let entry = json!({"scope": "global", "key": format!("line/{line:05}"), "value": line});
            writeln!(text, "{entry}").unwrap();
        }
    }
    text
}

#[test]
fn a_file_broken_in_line_7_000_leaves_the_lines_before_it() {
    for broken in [
        r#"{"scope":"global","key":"line/07000","value":"#,
        "nonsense",
        "[1, 2]",
        r#"{"scope":"global","key":"line/07000","value":1,"deadline_ms":18446744073709551615}"#,
        r#"{"scope":"global","key":"line/07000","value":1,"ttl":"18446744073709551614ms"}"#,
        r#"{"scope":"nowhere","key":"line/07000","value":1}"#,
        "{\"scope\":\"global\",\"key\":\"line/07000\",\"value\":\"\u{fffd}",
    ] {
        let bench = Bench::new();
        let path = bench.file("broken.jsonl", lines_with(broken));
        bench
            .run(&["import", &path])
            .failed(2, &["line=7000", "imported_entries=6999"]);
        assert_eq!(bench.run(&["count", "global"]).done(), "6999\n");
        let last = bench
            .run(&["list", "global", "--reverse", "--limit", "1", "--keys-only"])
            .done();
        assert_eq!(last, "line/06999\n");
        bench.run(&["check"]).done();
    }
}

#[test]
fn blank_lines_count() {
    let bench = Bench::new();
    let path = bench.file(
        "blank.jsonl",
        "\n  \n{\"scope\":\"global\",\"key\":\"k\",\"value\":1}\n\nnonsense\n",
    );
    bench
        .run(&["import", &path])
        .failed(2, &["line=5", "imported_entries=1"]);
}

#[test]
fn an_atomic_import_takes_all_or_none() {
    let bench = Bench::filled();
    let path = bench.file("broken.jsonl", lines_with("nonsense"));
    bench.unchanged_by(|bench| {
        bench
            .run(&["import", &path, "--atomic"])
            .failed(2, &["line=7000", "imported_entries=0"]);
    });
    let (_, before) = bench.everything();
    let good = json!({"scope": "global", "key": "line/07000", "value": 1}).to_string();
    let path = bench.file("good.jsonl", lines_with(&good));
    assert_eq!(
        bench.run(&["import", &path, "--atomic"]).done(),
        "10000 entries\n"
    );
    let (_, after) = bench.everything();
    assert_eq!(after, before + 1, "an atomic import is one commit");
    assert_eq!(bench.run(&["count", "global"]).done(), "10001\n");
}

#[test]
fn an_atomic_import_that_does_not_fit_writes_nothing() {
    let bench = Bench::filled();
    let many: String = (0..70_000)
        .map(|n| format!("{{\"scope\":\"global\",\"key\":\"{n}\",\"value\":0}}\n"))
        .collect();
    let many = bench.file("many.jsonl", many);
    // Text that does not shrink when it is compressed.
    let noise = SeededRandom::new(7);
    let large: String = (0..12 << 20)
        .map(|_| char::from(b' ' + u8::try_from(noise.next_u64() % 95).unwrap()))
        .filter(|c| *c != '"' && *c != '\\')
        .collect();
    let large: String = (0..9)
        .map(|n| format!("{{\"scope\":\"global\",\"key\":\"{n}\",\"value\":\"{large}\"}}\n"))
        .collect();
    let large = bench.file("large.jsonl", large);
    bench.unchanged_by(|bench| {
        bench.run(&["import", &many, "--atomic"]).failed(
            2,
            &[
                "does not fit into one atomic batch",
                "line=65537",
                "limit_lines=65536",
            ],
        );
        bench
            .run(&["import", &large, "--atomic"])
            .failed(2, &["does not fit into one atomic batch", "limit_bytes=67108864"]);
    });
    assert_eq!(bench.run(&["import", &many]).done(), "70000 entries\n");
}

#[test]
fn random_bytes_are_no_lines() {
    let bench = Bench::filled();
    let bytes: Vec<u8> = (0..100_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    let path = bench.file("random.jsonl", bytes);
    bench.unchanged_by(|bench| {
        bench
            .run(&["import", &path])
            .failed(2, &["line=1", "imported_entries=0"]);
        bench
            .run(&["import", bench.path("store").to_str().unwrap()])
            .failed(2, &[]);
    });
}

#[cfg(unix)]
#[test]
fn an_export_never_takes_the_place_of_a_store() {
    let bench = Bench::filled();
    bench.unchanged_by(|bench| {
        for name in [
            "store/state.redb",
            "store/STEAD",
            "store/new.jsonl",
            "./store/../store/x",
        ] {
            bench
                .run(&["export", name])
                .failed(2, &["among those of a store", "hint: name one elsewhere"]);
        }
    });
    let mut files: Vec<_> = std::fs::read_dir(bench.path("store"))
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    files.sort();
    assert_eq!(files, ["LOCK", "STEAD", "state.redb"]);
}

#[test]
fn settings_that_are_no_text() {
    let bench = Bench::new();
    bench.file("stead.toml", b"store = \"redb:\xFF\"");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stead"));
    command
        .args(["get", "global", "k"])
        .env_remove("STEAD_STORE")
        .current_dir(bench.path(""));
    crate::support::Ended::of(&mut command).failed(2, &["not UTF-8", "file=stead.toml"]);
}

#[test]
fn a_name_that_is_given_twice() {
    let bench = Bench::filled();
    bench.unchanged_by(|bench| {
        let line = r#"{"scope":"global","key":"k","value":1,"value":2}"#;
        bench
            .run_with(&["import", "-"], line)
            .failed(2, &["same name twice", "line=1"]);
        let op = r#"{"op":"set","scope":"global","key":"a","key":"b","value":1}"#;
        bench
            .run_with(&["apply"], op)
            .failed(2, &["some lines were refused"]);
        bench
            .run(&["set", "global", "k", r#"{"a":1,"a":2}"#])
            .failed(2, &["same name twice"]);
    });
}

#[test]
fn export_takes_the_place_of_files_only_and_keeps_their_mode() {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    let bench = Bench::filled();
    let private = bench.file("private.jsonl", "old");
    fs::set_permissions(&private, Permissions::from_mode(0o600)).unwrap();
    bench.run(&["export", &private]).done();
    assert_eq!(
        fs::metadata(&private).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_ne!(fs::read_to_string(&private).unwrap(), "old");

    let target = bench.file("target.jsonl", "untouched");
    let link = bench.path("link.jsonl");
    symlink(&target, &link).unwrap();
    bench
        .run(&["export", link.to_str().unwrap()])
        .failed(2, &["not a regular file"]);
    assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}
