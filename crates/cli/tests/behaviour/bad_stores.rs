//! Stores that cannot be opened. Each is left as it is, to the byte.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use crate::support::{Bench, Ended, command};

fn on(bench: &Bench, path: &Path, arguments: &[&str]) -> Ended {
    let url = format!("redb:{}", path.display());
    Ended::of(&mut command(&url, &bench.path(""), arguments))
}

/// What people try first.
const READ: &[&str] = &["get", "global", "first"];
const WRITE: &[&str] = &["set", "global", "first", "2"];
const CHECK: &[&str] = &["check"];

#[test]
fn a_path_that_is_a_file() {
    let bench = Bench::new();
    let path = bench.file("notes.txt", "mine");
    for arguments in [READ, WRITE, CHECK] {
        on(&bench, Path::new(&path), arguments)
            .failed(2, &["is a file", "notes.txt", "hint: give a directory"]);
    }
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}

#[test]
fn a_directory_with_other_files() {
    let bench = Bench::new();
    bench.file("thesis.txt", "mine");
    for arguments in [READ, WRITE] {
        on(&bench, &bench.path(""), arguments).failed(2, &["other files", "found=thesis.txt"]);
    }
    assert_eq!(fs::read_dir(bench.path("")).unwrap().count(), 1);
}

/// Not even the superuser may make directories there.
#[cfg(target_os = "linux")]
#[test]
fn a_path_that_may_not_be_written() {
    let bench = Bench::new();
    on(&bench, Path::new("/sys/stead"), WRITE).failed(4, &["path=/sys/stead", "hint: "]);
}

#[test]
fn a_store_that_another_process_has_open() {
    let bench = Bench::filled();
    let mut holder = bench.spawn(&["apply"]);
    // It has the store once it has answered.
    let mut stdin = holder.stdin.take().unwrap();
    writeln!(stdin, r#"{{"op":"set","scope":"global","key":"held","value":1}}"#).unwrap();
    let mut answer = String::new();
    BufReader::new(holder.stdout.take().unwrap())
        .read_line(&mut answer)
        .unwrap();
    for arguments in [READ, WRITE, CHECK, &["export"][..], &["watch", "global"]] {
        bench.run(arguments).failed(
            4,
            &[
                "open elsewhere, in another process",
                "locked_file=",
                "LOCK",
                "hint: close it there",
            ],
        );
    }
    drop(stdin);
    assert!(holder.wait().unwrap().success());
    assert_eq!(bench.run(READ).done(), "1\n");
}

#[test]
fn a_store_that_is_open_for_reading_only() {
    let bench = Bench::filled();
    let lines = bench.file("lines.jsonl", r#"{"scope":"global","key":"k","value":1}"#);
    let url = format!("{}?read_only=true", bench.url());
    bench.unchanged_by(|bench| {
        for arguments in [
            WRITE,
            &["delete", "global", "first"],
            &["touch", "global", "first", "--forever"],
            &["incr", "global", "first"],
            &["import", &lines],
        ] {
            Ended::of(&mut command(&url, &bench.path(""), arguments)).failed(2, &["open for reading only"]);
        }
    });
}

#[test]
fn a_newer_format() {
    let bench = Bench::filled();
    let marker = bench.path("store").join("STEAD");
    let text = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, text.replace("layout 1", "layout 2")).unwrap();
    let data = fs::read(bench.data_file()).unwrap();
    for arguments in [READ, WRITE, CHECK] {
        bench
            .run(arguments)
            .failed(5, &["newer format", "layout=2", "hint: use a newer version"]);
    }
    assert_eq!(fs::read(bench.data_file()).unwrap(), data);
    fs::write(&marker, text).unwrap();
    assert_eq!(bench.run(READ).done(), "1\n");
}

#[test]
fn a_truncated_file() {
    let bench = Bench::filled();
    let whole = fs::read(bench.data_file()).unwrap();
    let lengths = [
        0,
        1,
        9,
        100,
        4_095,
        4_096,
        whole.len() / 2,
        whole.len() - 4_096,
        whole.len() - 1,
    ];
    for length in lengths {
        fs::write(bench.data_file(), &whole[..length]).unwrap();
        for arguments in [READ, WRITE, CHECK] {
            bench.run(arguments).failed(5, &["state.redb"]);
            assert_eq!(
                fs::read(bench.data_file()).unwrap(),
                whole[..length],
                "{arguments:?} changed a file of {length} bytes"
            );
        }
    }
    fs::write(bench.data_file(), &whole).unwrap();
    assert_eq!(bench.run(READ).done(), "1\n");
}

#[test]
fn a_file_of_random_bytes() {
    let bench = Bench::filled();
    let length = fs::metadata(bench.data_file()).unwrap().len();
    let noise: Vec<u8> = (0..u32::try_from(length).unwrap())
        .map(|n| n.wrapping_mul(2_654_435_761).rotate_left(n % 32).to_le_bytes()[1])
        .collect();
    fs::write(bench.data_file(), &noise).unwrap();
    for arguments in [READ, WRITE, CHECK] {
        bench.run(arguments).failed(5, &["state.redb", "hint: restore"]);
    }
    assert_eq!(fs::read(bench.data_file()).unwrap(), noise);
}

#[test]
fn errors_are_json_where_that_is_wanted() {
    let bench = Bench::new();
    let path = bench.file("notes.txt", "mine");
    let url = format!("redb:{path}");
    let ended = Ended::of(&mut command(
        &url,
        &bench.path(""),
        &["get", "global", "k", "--json"],
    ));
    let error: serde_json::Value = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!(error["exit_code"], 2);
    assert_eq!(error["error"]["kind"], "invalid");
    assert_eq!(error["error"]["context"]["path"], path);
    assert_eq!(ended.stdout, "");
}
