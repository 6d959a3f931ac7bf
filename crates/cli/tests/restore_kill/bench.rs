//! A store, and two backups that differ in more than a batch holds.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

/// Two operations for each are more than a batch holds.
const ENTRIES: usize = 33_000;
/// The scope that differs.
pub(crate) const SCOPE: &str = "agent:large";

pub(crate) struct Bench {
    dir: tempfile::TempDir,
    engine: String,
    /// The ids of two backups, each with what `export` prints of its state.
    pub(crate) states: [(String, String); 2],
}

impl Bench {
    pub(crate) fn new(engine: &str) -> Self {
        let mut bench = Bench {
            dir: tempfile::tempdir().unwrap(),
            engine: engine.to_owned(),
            states: Default::default(),
        };
        bench.done(&["backup", "init"]);
        for state in 0..2 {
            bench.import(state);
            let made: Value =
                serde_json::from_str(&bench.done(&["backup", "create", "--full", "--json"])).unwrap();
            let id = made["id"].as_str().unwrap().to_owned();
            bench.states[state] = (id, bench.done(&["export"]));
        }
        bench
    }

    fn import(&self, state: usize) {
        let mut lines = String::new();
        for number in 0..ENTRIES {
            let line =
                json!({"scope": SCOPE, "key": format!("k{number}"), "value": format!("{state} {number}")});
            writeln!(lines, "{line}").unwrap();
        }
        writeln!(
            lines,
            "{}",
            json!({"scope": "global", "key": "small", "value": state})
        )
        .unwrap();
        fs::write(self.path("entries.jsonl"), lines).unwrap();
        self.done(&["import", "entries.jsonl"]);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What `command` is to be run with.
    pub(crate) fn dress(&self, mut command: Command) -> Command {
        command
            .env("STEAD_STORE", format!("{}:./store", self.engine))
            .env("STEAD_BACKUP_REPO", "repo")
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn stead(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stead"));
        command.args(arguments);
        self.dress(command)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.stead(arguments).output().unwrap()
    }

    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The words that restore a state over the other one.
    pub(crate) fn restoring(&self, state: usize) -> [&str; 6] {
        let [(first, _), (second, _)] = &self.states;
        let id = if state == 0 { first } else { second };
        ["backup", "restore", "--replace", "--json", "--id", id]
    }

    pub(crate) fn spawn_restore(&self, state: usize) -> Child {
        self.stead(&self.restoring(state)).spawn().unwrap()
    }

    /// Which state the store has. It is whole, and opens for whatever is done with a store.
    pub(crate) fn state(&self, circumstances: &str) -> usize {
        self.done(&["check"]);
        let export = self.done(&["export"]);
        let found = self.states.iter().position(|(_, state)| *state == export);
        found.unwrap_or_else(|| panic!("{circumstances}: neither the one nor the other state"))
    }

    /// What lies in the directory of the store.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("store")).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// A restore that is left alone gets through, whatever lies there, and leaves nothing behind.
    pub(crate) fn ends_well(&self, names: &[String]) {
        let next = 1 - self.state("before the last");
        let said: Value = serde_json::from_str(&self.done(&self.restoring(next))).unwrap();
        assert_eq!(
            (&said["way"], &said["previous"]),
            (&json!("switch"), &Value::Null)
        );
        assert_eq!(self.state("after the last"), next);
        assert_eq!(self.names(), names);
    }
}
