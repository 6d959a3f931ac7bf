//! Readers who do not read: one who has seen enough, one who is busy with something else, and a disk that is full.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::json;

#[cfg(unix)]
use crate::signals::interrupt;
use crate::signals::stderr_of;
use crate::support::{Bench, Ended};

/// A store with more than a pipe holds.
fn plenty() -> Bench {
    let bench = Bench::new();
    let lines: String = (0..5_000)
        .map(|n| {
            format!(
                "{}\n",
                json!({"scope": "global", "key": format!("a key of some length {n}"), "value": "x".repeat(100)})
            )
        })
        .collect();
    let path = bench.file("lines.jsonl", lines);
    bench.run(&["import", &path]).done();
    bench
        .run_with(&["set", "agent:a", "long", "-"], "y".repeat(1 << 20))
        .done();
    bench
}

/// The exit code of a process that has every reason to end. One that does not is killed.
#[cfg(unix)]
fn ends(child: &mut Child) -> Option<i32> {
    for _ in 0..600 {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    panic!("the process did not end");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let bench = plenty();
    for arguments in [
        &["list", "global"][..],
        &["list", "global", "--keys-only", "--reverse"],
        &["list", "agent:a", "--json"],
        &["get", "agent:a", "long"],
        &["export"],
        &["watch", "global", "--from", "0"],
    ] {
        let mut child = bench.spawn(arguments);
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.fill_buf().unwrap();
        drop(stdout);
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}");
        assert_eq!(stderr_of(child), "");
    }
}

#[cfg(unix)]
#[test]
fn a_pager_that_does_not_read_keeps_no_command_from_ending() {
    let bench = plenty();
    for arguments in [
        &["list", "global"][..],
        &["list", "global", "--reverse"],
        &["get", "agent:a", "long", "--raw"],
        &["export"],
        &["watch", "global", "--from", "0"],
    ] {
        let mut child = bench.spawn(arguments);
        let mut stdout = child.stdout.take().unwrap();
        // What comes shows that signals are listened for; more is to come than the pipe holds.
        std::io::Read::read_exact(&mut stdout, &mut [0; 10]).unwrap();
        interrupt(&child);
        match ends(&mut child) {
            // To be told to end is the usual end of a watch that has printed what it was told.
            Some(0) if arguments[0] == "watch" => assert_eq!(stderr_of(child), ""),
            code => {
                assert_eq!(code, Some(130), "{arguments:?}");
                assert_eq!(stderr_of(child), "interrupted\n");
            }
        }
        drop(stdout);
    }
    // A store that was closed goes on with the next revision; one that was not would leave some out.
    assert_eq!(bench.run(&["set", "global", "k", "2"]).done(), "revision 12\n");
}

#[cfg(unix)]
#[test]
fn apply_ends_where_nobody_reads_its_answers() {
    let bench = Bench::new();
    let mut child = bench.spawn(&["apply"]);
    let mut stdout = child.stdout.take().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It takes lines until its answers fill the pipe, and then no more.
    let writer = std::thread::spawn(move || {
        let line = json!({"op": "incr", "scope": "global", "key": "n"});
        while writeln!(stdin, "{line}").is_ok() {}
    });
    std::io::Read::read_exact(&mut stdout, &mut [0; 10]).unwrap();
    interrupt(&child);
    assert_eq!(ends(&mut child), Some(130));
    writer.join().unwrap();
    let said = stderr_of(child);
    assert!(said.starts_with("interrupted: "), "{said}");
    drop(stdout);
    bench.run(&["check"]).done();
    let n: u64 = bench
        .run(&["get", "global", "n"])
        .done()
        .trim_end()
        .parse()
        .unwrap();
    assert!(n > 0);
    assert_eq!(
        bench.run(&["set", "global", "k", "2"]).done(),
        format!("revision {}\n", n + 1)
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_stdout_is_told() {
    let bench = plenty();
    for arguments in [
        &["list", "global"][..],
        &["get", "agent:a", "long"],
        &["export"],
        &["stats"],
        &["completions", "bash"],
        &["man"],
    ] {
        let full = std::fs::File::create("/dev/full").unwrap();
        let mut command = bench.command(arguments);
        Ended::of(command.stdin(Stdio::null()).stdout(full)).failed(4, &["cannot write to stdout"]);
    }
}
