//! Kills `stead backup create`, `prune` and `restore` with SIGKILL, each time at another part of the time that they take: the
//! repository is whole after each of them, every backup that was announced is there, and a store that is restored into has
//! the one or the other state.
//!
//! `STEAD_BACKUP_KILLS` says how many have to be killed before they end; 30 unless set.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

fn stead(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stead"));
    command.args(arguments);
    command
        .env("STEAD_STORE", "redb:./store")
        .env("STEAD_BACKUP_REPO", "repo");
    command.current_dir(dir);
    command
}

fn done(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// One of the commands, and what is known of it.
#[derive(Default)]
struct Victim {
    killed: u32,
    started: u64,
    /// How long it took when it was not killed, in steps of [`STEP`].
    takes: Option<u64>,
}

const STEP: Duration = Duration::from_millis(1);

impl Victim {
    /// Runs `arguments` and kills it at some part of the time that it takes; the first time it is left alone. What it
    /// printed, if it got through before.
    fn run(&mut self, dir: &Path, arguments: &[&str]) -> Option<String> {
        let mut child = stead(dir, arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        self.started += 1;
        let until = self
            .takes
            .map_or(u64::MAX, |takes| takes * (self.started * 37 % 100) / 100);
        let mut waited = 0;
        while waited < until && child.try_wait().unwrap().is_none() {
            thread::sleep(STEP);
            waited += 1;
        }
        // One that has ended meanwhile is not there to be killed.
        let _ = child.kill();
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output().unwrap();
        match status.code() {
            None => {
                self.killed += 1;
                None
            }
            Some(0) => {
                self.takes = Some(waited.max(1));
                Some(String::from_utf8(stdout).unwrap())
            }
            Some(code) => panic!(
                "{arguments:?} ended with {code}: {}",
                String::from_utf8_lossy(&stderr)
            ),
        }
    }
}

/// The ids of the backups, each with what it gives.
fn states(dir: &Path) -> BTreeMap<String, String> {
    let listed = done(&mut stead(dir, &["backup", "list", "--json"]));
    let backups = listed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let text = |backup: &Value, name: &str| backup[name].as_str().unwrap().to_owned();
    backups
        .map(|backup| (text(&backup, "id"), text(&backup, "state")))
        .collect()
}

fn write(dir: &Path, round: u32) {
    let mut lines = String::new();
    for number in 0..400_usize {
        let line = json!({
            "scope": format!("agent:{}", number % 20), "key": format!("k{}", number * (round % 7 + 1) as usize),
            "value": {"round": round, "text": "x".repeat(number * 3)},
        });
        writeln!(lines, "{line}").unwrap();
    }
    std::fs::write(dir.join("entries.jsonl"), lines).unwrap();
    done(&mut stead(dir, &["import", "entries.jsonl"]));
}

#[test]
fn whatever_is_killed_leaves_all_whole() {
    let kills: u32 = std::env::var("STEAD_BACKUP_KILLS").map_or(30, |kills| kills.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write(dir, 0);
    done(&mut stead(dir, &["backup", "init"]));
    done(&mut stead(dir, &["backup", "create"]));
    let [mut create, mut prune, mut restore] = [(); 3].map(|()| Victim::default());
    let mut round = 0;
    while create.killed + prune.killed + restore.killed < kills {
        round += 1;
        assert!(round < 20 * kills, "they end before they can be killed");
        let before = states(dir);
        match round % 3 {
            0 => {
                write(dir, round);
                let kind = if round % 2 == 0 { "--full" } else { "--incremental" };
                let said = create.run(dir, &["backup", "create", kind, "--json"]);
                let after = states(dir);
                // Those of before are there, and the one that was announced.
                assert!(before.iter().all(|(id, state)| after.get(id) == Some(state)));
                if let Some(said) = said {
                    let said: Value = serde_json::from_str(&said).unwrap();
                    assert!(after.contains_key(said["id"].as_str().unwrap()));
                }
            }
            1 => {
                let keep = ["backup", "prune", "--keep-last", "4", "--grace", "1ms"];
                prune.run(dir, &keep);
                let after = states(dir);
                assert!(after.len() >= before.len().min(4));
                assert!(after.iter().all(|(id, state)| before.get(id) == Some(state)));
            }
            _ => {
                let old = done(&mut stead(dir, &["export"]));
                let replace = ["backup", "restore", "--replace"];
                restore.run(dir, &replace);
                let new = done(&mut stead(dir, &["export"]));
                done(&mut stead(dir, &["--store", "memory:", "backup", "restore"]));
                done(&mut stead(dir, &replace));
                let whole = done(&mut stead(dir, &["export"]));
                assert!(new == old || new == whole, "round {round}: half a restore");
            }
        }
        done(&mut stead(dir, &["backup", "verify"]));
        done(&mut stead(dir, &["check"]));
    }
    for (name, victim) in [("create", create), ("prune", prune), ("restore", restore)] {
        println!("{name}: started {}, killed {}", victim.started, victim.killed);
    }
}
