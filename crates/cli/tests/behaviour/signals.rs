//! Being asked to end.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command};

use serde_json::json;

use crate::support::{Bench, Ended, command, json_lines};

#[cfg(unix)]
pub(crate) fn interrupt(child: &Child) {
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
}

pub(crate) fn stderr_of(mut child: Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

#[cfg(unix)]
#[test]
fn apply_answers_what_it_has_read_and_ends() {
    let bench = Bench::new();
    let mut child = bench.spawn(&["apply"]);
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    writeln!(
        stdin,
        "{}",
        json!({"op": "set", "scope": "global", "key": "k", "value": 1})
    )
    .unwrap();
    let mut answer = String::new();
    stdout.read_line(&mut answer).unwrap();
    interrupt(&child);
    // Its input is still open.
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(
        stderr_of(child),
        "interrupted: 1 lines were answered; what was not answered was not written\n"
    );
    drop(stdin);
    assert_eq!(bench.run(&["get", "global", "k"]).done(), "1\n");
    // A store that was closed goes on with the next revision; one that was not would leave some out.
    assert_eq!(bench.run(&["set", "global", "k", "2"]).done(), "revision 2\n");
}

#[cfg(unix)]
#[test]
fn import_keeps_what_it_has_read_and_ends() {
    for atomic in [false, true] {
        let bench = Bench::filled();
        let arguments = if atomic {
            &["import", "-", "--atomic"][..]
        } else {
            &["import", "-"]
        };
        let mut child = bench.spawn(arguments);
        let mut stdin = child.stdin.take().unwrap();
        // More than a pipe holds: when all is written, most of it was read.
        for line in 0..10_000 {
            writeln!(
                stdin,
                "{}",
                json!({"scope": "agent:a", "key": line.to_string(), "value": line})
            )
            .unwrap();
        }
        interrupt(&child);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let said = stderr_of(child);
        drop(stdin);
        let count = bench.run(&["count", "agent:a"]).done();
        let count = count.trim_end();
        if atomic {
            assert_eq!(said, "interrupted: nothing was imported\n");
            assert_eq!(count, "0");
        } else {
            assert_eq!(
                said,
                format!("interrupted: {count} entries were imported, from the beginning of the file\n")
            );
            assert_ne!(count, "0");
        }
        bench.run(&["check"]).done();
    }
}

#[cfg(unix)]
#[test]
fn set_that_waits_for_its_value_ends_and_makes_no_store() {
    let bench = Bench::new();
    let mut child = bench.spawn(&["set", "global", "k", "-"]);
    let mut stdin = child.stdin.take().unwrap();
    // More than a pipe holds: when all is written, it is being read, and signals are listened for.
    stdin.write_all(&[b'x'; 500_000]).unwrap();
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(stderr_of(child), "interrupted\n");
    drop(stdin);
    assert!(!bench.path("store").exists());
}

#[cfg(unix)]
#[test]
fn the_demo_names_its_store_and_closes_it() {
    let bench = Bench::new();
    let dir = bench.path("demo");
    let dir = dir.to_str().unwrap();
    let mut child = bench.spawn(&["demo", "--dir", dir, "--entries", "0"]);
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let mut steps = stdout.lines();
    // The next step waits for a value to expire.
    assert!(steps.any(|line| line.unwrap().contains("contended")));
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(
        stderr_of(child),
        format!("interrupted: the store stays: remove it with rm -r {dir}\n")
    );
    let url = format!("redb:{dir}");
    let run = |arguments: &[&str]| Ended::of(&mut command(&url, &bench.path(""), arguments)).done();
    let last = json_lines(&run(&["list", "--json", "custom:bank/demo"]));
    let last = last.iter().filter_map(|entry| entry["revision"].as_u64()).max();
    // A store that was closed goes on with the next revision; one that was not would leave some out. The value that was to
    // expire may have come and gone.
    let next = json_lines(&run(&["set", "--json", "global", "k", "1"]))[0]["revision"].as_u64();
    assert!(next.unwrap() <= last.unwrap() + 3, "{last:?} {next:?}");
}

#[cfg(unix)]
#[test]
fn watch_ends_with_success() {
    let bench = Bench::filled();
    let mut child = bench.spawn(&["watch", "global", "--from", "0"]);
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "1\tput\tfirst\n");
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(bench.run(&["set", "global", "k", "2"]).done(), "revision 3\n");
}
