//! Any engine, in a process whose system calls are recorded.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use stead_conformance::crash::{Load, TICK, Work};
use stead_core::{ManualClock, Timestamp};
use tempfile::TempDir;

use super::log::{Log, Op};
use super::recording::{Opened, Recording, Reopening, Source};
use super::trace::{HARMLESS, Replay};
use super::tree::Tree;
use crate::child::{Order, Phase};
use crate::engines::Engine;

/// The directory of the store, in the one that is recorded.
const STORE: &str = "store";

/// An engine, in a process whose system calls are recorded.
pub(crate) struct Traced {
    pub(crate) engine: &'static Engine,
}

impl Traced {
    /// Runs a worker over what is in `base` and takes down what it does.
    fn trace(&self, base: &Tree, work: Work, sweep: bool) -> Result<Log> {
        let home = temporary()?;
        // Paths are compared letter by letter with those that the tracer finds out.
        let home_path = home.path().canonicalize()?;
        let root = home_path.join("root");
        let lines = home_path.join("trace");
        fs::create_dir(&root)?;
        base.write_to(&root)?;
        let store = root.join(STORE);
        let order = Order {
            sweep,
            under: strace(&lines),
            ..Order::new(self.engine.name, &store, work)
        };
        let ended = order.start()?.finish()?;
        ensure!(
            ended.status.success() && ended.phase() == Phase::Closed,
            "the recorded worker ended with {}: {}",
            ended.status,
            ended.stderr
        );
        for word in ["stopped", "unopened", "unclosed"] {
            if let Some(rest) = ended.said(word) {
                anyhow::bail!("a store without a fault was {word} {rest}: {}", ended.stderr);
            }
        }
        followed(&lines, &root, base)
    }
}

/// What the tracer wrote to `lines` of a process that worked in `root`, where `base` was.
pub(super) fn followed(lines: &Path, root: &Path, base: &Tree) -> Result<Log> {
    let mut replay = Replay::new(root, base);
    for line in BufReader::new(File::open(lines)?).lines() {
        replay.line(&line?)?;
    }
    Ok(replay.into_log())
}

/// The tracer and its arguments. Nothing is left out but what is known to be harmless, so that a call which nobody
/// thought of is met and refused. Of what is read only the number of bytes matters.
pub(super) fn strace(lines: &Path) -> Vec<OsString> {
    let harmless: Vec<String> = HARMLESS.iter().map(|call| format!("?{call}")).collect();
    let mut words: Vec<OsString> = [
        "strace",
        "-f",
        "-qq",
        "--seccomp-bpf",
        "-xx",
        "-y",
        "-s",
        "67108864",
        "-e",
    ]
    .map(OsString::from)
    .into();
    words.push(format!("trace=!{}", harmless.join(",")).into());
    words.extend(["-e", "raw=read,readv", "-o"].map(OsString::from));
    words.push(lines.into());
    words
}

pub(super) fn temporary() -> Result<TempDir> {
    let made = tempfile::Builder::new().prefix("stead-lab-power-").tempdir();
    made.context("cannot make a temporary directory")
}

impl Source for Traced {
    fn name(&self) -> &'static str {
        self.engine.name
    }

    fn base(&self) -> Tree {
        Tree::default()
    }

    fn record(&self, work: &Work) -> Result<Recording> {
        let base = self.base();
        let sweep = work.load == Load::Expire;
        let log = self.trace(&base, *work, sweep)?;
        let acknowledged = |op: &Op| matches!(op, Op::Acknowledge(line) if line.starts_with("ack "));
        ensure!(log.ops.iter().any(acknowledged), "nothing was acknowledged");
        Ok(Recording {
            work: *work,
            base,
            log,
            first: 0,
        })
    }

    fn open(&self, image: &Tree, clock: &Arc<ManualClock>) -> Result<Opened> {
        let place = temporary()?;
        image.write_to(place.path())?;
        let store = self.engine.open(&place.path().join(STORE), clock)?;
        Ok(Opened {
            store,
            _place: Some(place),
        })
    }

    fn record_reopening(&self, image: &Tree, now: Timestamp) -> Result<Reopening> {
        let work = Work {
            load: Load::Mixed,
            seed: 0,
            from: now.as_millis().max(TICK),
            count: 0,
            window: 1,
        };
        Ok(Reopening {
            base: image.clone(),
            log: self.trace(image, work, false)?,
        })
    }
}
