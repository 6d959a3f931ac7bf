//! Kills and failures at the system calls that change names, by strace.

use std::collections::HashMap;
use std::fs;
use std::process::{Command, Output};

use crate::bench::Bench;
use crate::kills;

/// What a restore changes names with.
const NAMES: &[&str] = &[
    "rename",
    "renameat",
    "renameat2",
    "mkdir",
    "mkdirat",
    "rmdir",
    "unlink",
    "unlinkat",
];

/// Why system calls cannot be traced here, if they cannot.
pub(crate) fn missing() -> Option<&'static str> {
    let traced = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "true"])
        .output();
    match traced {
        Ok(output) if output.status.success() => None,
        Ok(_) => Some("strace may not trace here"),
        Err(_) => Some("strace is not installed"),
    }
}

/// Restores `state` under strace, with these words for it.
fn traced(bench: &Bench, state: usize, words: &[String]) -> Output {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-y", "-e", "signal=none", "-o"])
        .arg(bench.path("strace.log"));
    let calls: Vec<String> = NAMES
        .iter()
        .chain(&["fsync"])
        .map(|call| format!("?{call}"))
        .collect();
    command.arg("-e").arg(format!("trace={}", calls.join(",")));
    command.args(words).arg("--").arg(env!("CARGO_BIN_EXE_stead"));
    command.args(bench.restoring(state));
    bench.dress(command).output().unwrap()
}

/// A call, and which of its name it is in its thread, from 1: that is how strace counts.
type Point = (String, u64);

/// The calls of the last restore that change names in the directory of the store, and what each of them says.
fn points(bench: &Bench) -> Vec<(Point, String)> {
    let log = fs::read_to_string(bench.path("strace.log")).unwrap();
    let mut counts: HashMap<(&str, &str), u64> = HashMap::new();
    let mut points = Vec::new();
    for line in log.lines() {
        let Some((thread, text)) = line.split_once(' ') else {
            continue;
        };
        let text = text.trim_start();
        let Some((name, arguments)) = text.split_once('(') else {
            continue;
        };
        if !NAMES.contains(&name) {
            continue;
        }
        let number = counts.entry((thread, name)).or_default();
        *number += 1;
        if arguments.contains("store") || arguments.contains("state.") || arguments.contains("RESTORING") {
            points.push(((name.to_owned(), *number), text.to_owned()));
        }
    }
    points
}

pub(crate) fn old_or_new(engine: &str) {
    let bench = Bench::new(engine);
    let names = bench.names();
    let output = traced(&bench, 0, &[]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let points = points(&bench);
    let exchange = points
        .iter()
        .rposition(|(_, text)| text.contains("RENAME_EXCHANGE"));
    let mut state = 0;
    for ((name, number), text) in some_of(&points[..exchange.unwrap()]) {
        let output = traced(&bench, 1 - state, &kill(name, *number, None));
        let found = bench.state(text);
        // Threads take turns in another order, and one may come to fewer calls.
        assert!(!output.status.success() || found != state, "{text}");
        state = found;
    }
    // Before the exchange, and before the first file of what was replaced is removed.
    let data = format!("./store/state.{engine}");
    for (name, path, switched) in [
        ("renameat2", data.as_str(), false),
        ("unlinkat", "./store/RESTORING", true),
    ] {
        // What an earlier kill left is removed by the same calls.
        let _ = fs::remove_dir_all(bench.path("store/RESTORING"));
        let output = traced(&bench, 1 - state, &kill(name, 1, Some(path)));
        assert!(!output.status.success(), "{name} {path}: it got through");
        let found = bench.state(name);
        assert_eq!(found != state, switched, "{name} {path}");
        state = found;
    }
    bench.ends_well(&names);
}

/// The words for a kill at a call: the one of this number in its thread, of those that are about `path`.
fn kill(name: &str, number: u64, path: Option<&str>) -> Vec<String> {
    let mut words = vec![
        "-e".to_owned(),
        format!("inject={name}:signal=KILL:when={number}"),
    ];
    words.extend(
        path.into_iter()
            .flat_map(|path| ["-P".to_owned(), path.to_owned()]),
    );
    words
}

/// As many of these as there is time for, from all over.
fn some_of(points: &[(Point, String)]) -> impl Iterator<Item = &(Point, String)> {
    points
        .iter()
        .step_by(points.len().div_ceil(kills().max(1)).max(1))
}

/// What is switched to is synced before, and that it was switched is before anything is removed and the locks are let go.
pub(crate) fn synced(engine: &str) {
    let bench = Bench::new(engine);
    let output = traced(&bench, 0, &[]);
    assert!(output.status.success());
    let log = fs::read_to_string(bench.path("strace.log")).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    let exchange = lines
        .iter()
        .rposition(|line| line.contains("RENAME_EXCHANGE"))
        .unwrap();
    let (before, after) = lines.split_at(exchange);
    let removal = after
        .iter()
        .position(|line| line.contains("unlink") || line.contains("rmdir"));
    let after = &after[..removal.unwrap()];
    let data = format!("/store/RESTORING/state.{engine}>");
    let synced = |lines: &[&str], path: &str| {
        lines
            .iter()
            .any(|line| line.contains("fsync(") && line.contains(path))
    };
    // All that the switch itself syncs stands behind the close of the store.
    let close = before.len().saturating_sub(200);
    assert!(synced(&before[close..], &data), "{engine}: {data}");
    assert!(synced(&before[close..], "/store/RESTORING>"));
    assert!(
        synced(after, "/store>") && synced(after, "/store/RESTORING>"),
        "{after:#?}"
    );
}

pub(crate) fn refused(engine: &str) {
    let bench = Bench::new(engine);
    let names = bench.names();
    // The file system cannot do it, which shows at once; or it fails when it matters.
    let data = format!("./store/state.{engine}");
    for (inject, only, code, says) in [
        ("error=EINVAL", None, 2, "cannot exchange two files in one step"),
        ("error=EIO", Some(&data), 4, "cannot exchange two files"),
    ] {
        let mut words = vec!["-e".to_owned(), format!("inject=renameat2:{inject}")];
        words.extend(only.into_iter().flat_map(|path| ["-P".to_owned(), path.clone()]));
        let output = traced(&bench, 0, &words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(says), "{inject}: {said}");
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert_eq!(bench.state(inject), 1);
        assert_eq!(bench.names(), names, "{inject}");
    }
}
