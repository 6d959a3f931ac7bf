//! A store in a directory of its own, and the program on it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct Bench {
    dir: TempDir,
    url: String,
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Bench {
    /// No store yet.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("redb:{}", dir.path().join("store").display());
        Bench { dir, url }
    }

    /// A store with a few values.
    pub(crate) fn filled() -> Self {
        let bench = Bench::new();
        bench.run(&["set", "global", "first", "1"]).done();
        bench
            .run(&["set", "agent:planner", "goal", "tidy the attic", "--ttl", "1h"])
            .done();
        bench
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn data_file(&self) -> PathBuf {
        self.path("store").join("state.redb")
    }

    /// Writes a file and returns its path as an argument.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        command(&self.url, self.dir.path(), arguments)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).stdin(Stdio::null()))
    }

    pub(crate) fn run_with(&self, arguments: &[&str], stdin: impl AsRef<[u8]>) -> Ended {
        let mut child = self.spawn(arguments);
        let mut input = child.stdin.take().unwrap();
        let stdin = stdin.as_ref().to_vec();
        // A program that ends early does not read it all.
        let writer = std::thread::spawn(move || drop(input.write_all(&stdin)));
        let ended = Ended::from(child.wait_with_output().unwrap());
        writer.join().unwrap();
        ended
    }

    /// Starts a command with pipes at all its ends.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Everything that the store holds, and its revision.
    pub(crate) fn everything(&self) -> (String, u64) {
        let stats = self.run(&["stats", "--json"]).done();
        let stats: Value = serde_json::from_str(&stats).unwrap();
        let export = self.run(&["export"]).done();
        (export, stats["revision"].as_u64().unwrap())
    }

    /// Runs `act` and demands that the store is as it was, and whole.
    pub(crate) fn unchanged_by<T>(&self, act: impl FnOnce(&Self) -> T) -> T {
        let before = self.everything();
        let result = act(self);
        assert_eq!(self.everything(), before, "the store is not what it was");
        self.run(&["check"]).done();
        result
    }
}

pub(crate) fn command(url: &str, dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stead"));
    command
        .args(["--store", url])
        .args(arguments)
        .env_remove("STEAD_STORE")
        .current_dir(dir);
    command
}

impl Ended {
    pub(crate) fn of(command: &mut Command) -> Self {
        Ended::from(command.output().unwrap())
    }

    /// Demands success and returns what was printed.
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, 0, "{}", self.stderr);
        assert_eq!(self.stderr, "");
        self.stdout
    }

    /// Demands this exit code, and one or two plain lines on stderr that hold all of `words`.
    pub(crate) fn failed(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        assert!(self.stderr.starts_with("error: "), "{}", self.stderr);
        assert!(self.stderr.lines().count() <= 2, "{}", self.stderr);
        assert!(self.stderr.len() < 1_000, "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not in: {}", self.stderr);
        }
        self
    }
}

impl From<std::process::Output> for Ended {
    fn from(output: std::process::Output) -> Self {
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The lines of JSON in `text`.
pub(crate) fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
