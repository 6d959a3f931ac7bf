//! Builds of the workspace's tests with other `--cfg` flags, and their runs.
//!
//! Each flavour has a target directory of its own below the normal one, so that neither makes the other stale.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::{Message, MetadataCommand};

/// How often a run is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// A way to build.
pub(crate) struct Flavour {
    /// The directory below the normal target directory.
    pub(crate) dir: &'static str,
    /// What is passed as `--cfg`.
    pub(crate) cfgs: &'static [&'static str],
    /// `dev` or `release`.
    pub(crate) profile: &'static str,
}

/// The program of one test target.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// The target's name: `watching`, or the crate's for its unit tests.
    pub(crate) name: String,
    path: PathBuf,
}

/// How a program of tests ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Every test passed.
    Green {
        /// How many there were.
        passed: usize,
    },
    /// Some failed.
    Red {
        /// Their names, as far as they were told.
        failed: Vec<String>,
    },
    /// It did not end in time and was stopped.
    Hung {
        /// What had failed by then.
        failed: Vec<String>,
    },
}

/// How a run ended, and what it said.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) end: End,
    pub(crate) output: String,
}

impl Flavour {
    /// Builds test targets: the arguments are those of `cargo test` that choose them.
    pub(crate) fn build(&self, selection: &[&str]) -> Result<Vec<Program>> {
        let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
        for cfg in self.cfgs {
            flags.push_str(" --cfg ");
            flags.push_str(cfg);
        }
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["test", "--no-run", "--message-format=json-render-diagnostics"])
            .args(["--profile", self.profile])
            .args(selection)
            .current_dir(root())
            .env("RUSTFLAGS", flags.trim())
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("CARGO_TARGET_DIR", target_dir()?.join(self.dir))
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start cargo")?;
        let stdout = cargo.stdout.take().context("cargo has no output")?;
        let mut programs = Vec::new();
        for message in Message::parse_stream(BufReader::new(stdout)) {
            if let Message::CompilerArtifact(artifact) = message?
                && artifact.profile.test
                && let Some(path) = artifact.executable
            {
                programs.push(Program {
                    name: artifact.target.name,
                    path: path.into(),
                });
            }
        }
        let status = cargo.wait()?;
        ensure!(status.success(), "cargo test --no-run failed: {status}");
        programs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(programs)
    }
}

/// The program of this name.
pub(crate) fn find<'a>(programs: &'a [Program], name: &str) -> Result<&'a Program> {
    let found = programs.iter().find(|program| program.name == name);
    found.with_context(|| format!("there is no test target {name}"))
}

impl Program {
    /// Runs the program, and stops it when the time is up.
    pub(crate) fn run(
        &self,
        arguments: &[&str],
        variables: &[(&str, &str)],
        at_most: Duration,
    ) -> Result<Run> {
        // A file and not a pipe: what is written there never blocks the writer.
        let mut said = tempfile::tempfile()?;
        let mut child = Command::new(&self.path)
            .args(arguments)
            .env_remove("STEAD_PLANTED")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said.try_clone()?)
            .spawn()
            .with_context(|| format!("cannot start {}", self.path.display()))?;
        let status = wait(&mut child, at_most)?;
        let output = text(&mut said)?;
        let failed = failed(&output);
        let end = match status {
            None => End::Hung { failed },
            Some(status) if status.success() => End::Green {
                passed: passed(&output),
            },
            Some(_) => End::Red { failed },
        };
        Ok(Run { end, output })
    }
}

impl Run {
    /// Fails unless some tests ran and all passed.
    pub(crate) fn demand_green(&self, what: &str) -> Result<usize> {
        match &self.end {
            End::Green { passed: 0 } => bail!("{what}: no test ran"),
            End::Green { passed } => Ok(*passed),
            End::Red { .. } => bail!("{what} failed:\n{}", self.output),
            End::Hung { .. } => bail!("{what} did not end:\n{}", self.output),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a tool limits how long a test may take")]
fn wait(child: &mut Child, at_most: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() >= at_most {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

fn text(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The names of the tests that failed, in the words of both harnesses that are in use here.
fn failed(output: &str) -> Vec<String> {
    let name = |line: &str| -> Option<String> {
        let (name, verdict) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
        verdict
            .starts_with("FAILED")
            .then(|| name.trim_end().trim_end_matches(" - should panic").to_owned())
    };
    let mut names: Vec<String> = output.lines().filter_map(name).collect();
    names.dedup();
    names
}

fn passed(output: &str) -> usize {
    let count = |line: &str| -> Option<usize> {
        let rest = line.strip_prefix("test result: ok. ")?;
        rest.split(' ').next()?.parse().ok()
    };
    output.lines().filter_map(count).sum()
}

/// The root of the repository, as it is where the task was started.
pub(crate) fn root() -> PathBuf {
    let manifest_dir =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let start = PathBuf::from(manifest_dir);
    let is_root = |dir: &&std::path::Path| dir.join("deny.toml").is_file();
    start.ancestors().find(is_root).unwrap_or(&start).to_owned()
}

fn target_dir() -> Result<PathBuf> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()?;
    Ok(metadata.target_directory.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_of_both_harnesses_are_read() {
        let output = "running 3 tests\n\
            test a ... ok\n\
            test module::b ... FAILED\n\
            test redb::values::c   ... FAILED\n\
            test d - should panic ... FAILED\n\
            test result: FAILED. 1 passed; 3 failed; 0 ignored\n";
        assert_eq!(failed(output), ["module::b", "redb::values::c", "d"]);
        assert_eq!(passed(output), 0);
        assert_eq!(passed("test result: ok. 7 passed; 0 failed; 0 ignored"), 7);
    }
}
