//! Kills `stead copy` with SIGKILL, a little later each time, until one run gets through: the stores are equal then.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// The engines that are copied to, from redb.
const TARGETS: &[&str] = &[
    "redb",
    #[cfg(feature = "fjall")]
    "fjall",
    #[cfg(feature = "rocksdb")]
    "rocksdb",
    #[cfg(feature = "sled")]
    "sled",
];

fn stead(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stead"));
    command.args(arguments).env_remove("STEAD_STORE").current_dir(dir);
    command
}

fn done(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

fn fill(dir: &Path) {
    let mut lines = String::new();
    for number in 0..30_000 {
        let line = json!({
            "scope": format!("agent:{}", number % 200), "key": format!("k{number}"),
            "value": {"number": number, "text": "x".repeat(number % 300)},
        });
        writeln!(lines, "{line}").unwrap();
    }
    std::fs::write(dir.join("entries.jsonl"), lines).unwrap();
    done(&mut stead(
        dir,
        &["--store", "redb:./from", "import", "entries.jsonl"],
    ));
}

/// How a run of the copy ended.
enum Ended {
    Killed,
    /// It got through, and printed this.
    Done(String),
    /// The run before was killed while it closed the stores: its copy was done, and the target is a store like any other.
    DoneBefore,
}

/// Runs the copy and kills it after `wait`.
fn copy_for(dir: &Path, to: &str, wait: Duration) -> Ended {
    let mut child = stead(dir, &["copy", "--from", "redb:./from", "--to", to, "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(wait);
    // One that has ended meanwhile is not there to be killed.
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        None => Ended::Killed,
        Some(0) => Ended::Done(String::from_utf8(output.stdout).unwrap()),
        Some(2) if said.contains("the target is not empty") => Ended::DoneBefore,
        Some(code) => panic!("ended with {code}: {said}"),
    }
}

/// Changes two entries, others after each kill.
fn change(dir: &Path, store: &str, kills: u32) {
    let (scope, key) = (
        format!("agent:{}", kills * 997 % 200),
        format!("k{}", kills * 997),
    );
    done(&mut stead(
        dir,
        &["--store", store, "set", &scope, &key, &kills.to_string()],
    ));
    let gone = format!("k{}", kills * 200);
    done(&mut stead(dir, &["--store", store, "delete", "agent:0", &gone]));
}

#[test]
fn a_copy_that_is_killed_again_and_again_ends_equal() {
    for target in TARGETS {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        let to = format!("{target}:./to");
        let (mut wait, mut kills) = (Duration::from_millis(10), 0);
        let said = loop {
            match copy_for(dir.path(), &to, wait) {
                Ended::Done(said) => break Some(said),
                Ended::DoneBefore => break None,
                Ended::Killed => kills += 1,
            }
            wait = wait * 5 / 4;
            // What changes between two runs arrives, too.
            change(dir.path(), "redb:./from", kills);
        };
        assert!(kills >= 3, "{target}: it got through at once");
        match &said {
            Some(said) => {
                let said: Value = serde_json::from_str(said).unwrap();
                assert_eq!(said["resumed"], true, "{target}");
            }
            // All arrived but what was changed since.
            None => change(dir.path(), &to, kills),
        }
        let export = |store: &str| done(&mut stead(dir.path(), &["--store", store, "export"]));
        assert_eq!(export("redb:./from"), export(&to), "{target}");
        done(&mut stead(dir.path(), &["--store", &to, "check"]));
        println!(
            "redb to {target}: {kills} kills, {}",
            said.as_deref().unwrap_or("the last one as it closed")
        );
    }
}
