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
        .args(["-f", "-qq", "-e", "signal=none", "-o"])
        .arg(bench.path("strace.log"));
    let calls: Vec<String> = NAMES.iter().map(|call| format!("?{call}")).collect();
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
    // From when the records are put aside to when the last file is removed, and before.
    let (before, switch) = points.split_at(exchange.unwrap().saturating_sub(2));
    let chosen = some_of(switch).chain(some_of(before));
    let mut state = 0;
    let mut killed = [0; 2];
    for ((name, number), text) in chosen {
        let kill = [
            "-e".to_owned(),
            format!("inject={name}:signal=KILL:when={number}"),
        ];
        let output = traced(&bench, 1 - state, &kill);
        let found = bench.state(text);
        // Threads take turns in another order, and one may come to fewer calls.
        if output.status.success() {
            assert_ne!(found, state, "{text}");
        } else {
            killed[usize::from(found != state)] += 1;
        }
        state = found;
    }
    println!(
        "{engine}: killed {} times before the switch, {} times after",
        killed[0], killed[1]
    );
    assert!(killed[0] > 0 && killed[1] > 0, "{killed:?}");
    bench.ends_well(&names);
}

/// As many of these as there is time for, from all over.
fn some_of(points: &[(Point, String)]) -> impl Iterator<Item = &(Point, String)> {
    points
        .iter()
        .step_by(points.len().div_ceil(kills().max(1)).max(1))
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
