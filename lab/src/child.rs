//! The worker from the side of its parent: its process, its lines, and what they tell the journal.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use stead_conformance::crash::{Event, Failure, Journal, Load, Work};

/// How long a worker may be silent before it counts as stuck.
const STUCK: Duration = Duration::from_secs(120);

/// What a worker is to do, and what it runs under.
pub(crate) struct Order<'a> {
    pub(crate) engine: &'a str,
    pub(crate) dir: &'a Path,
    pub(crate) work: Work,
    /// Whether it lets all deadlines pass and waits for the sweeper.
    pub(crate) sweep: bool,
    /// Whether it fills the disk before that.
    pub(crate) ballast: bool,
    /// Whether it ends without closing the store, once everything is synced.
    pub(crate) abandon: bool,
    /// A program and its arguments that run the worker: `strace`, a shell that sets limits.
    pub(crate) under: Vec<OsString>,
}

impl<'a> Order<'a> {
    /// An order to do `work` and close the store.
    pub(crate) fn new(engine: &'a str, dir: &'a Path, work: Work) -> Self {
        Order {
            engine,
            dir,
            work,
            sweep: false,
            ballast: false,
            abandon: false,
            under: Vec::new(),
        }
    }

    fn command(&self) -> Result<Command> {
        let this = std::env::current_exe().context("this program has no path")?;
        let mut words = self.under.clone();
        words.push(this.into());
        let mut words = words.into_iter();
        let program = words.next().unwrap_or_default();
        let mut command = Command::new(program);
        command.args(words).arg("worker");
        command.args(["--engine", self.engine]).arg("--dir").arg(self.dir);
        let Work {
            load,
            seed,
            from,
            count,
            window,
        } = self.work;
        let numbers = [
            ("--load", load.to_string()),
            ("--seed", seed.to_string()),
            ("--from", from.to_string()),
            ("--count", count.to_string()),
            ("--window", window.to_string()),
        ];
        for (name, value) in numbers {
            command.args([name, &value]);
        }
        if self.sweep {
            command.arg("--sweep");
        }
        if self.ballast {
            command.arg("--ballast");
        }
        if self.abandon {
            command.arg("--abandon");
        }
        // What a panic says is enough without the way there, which takes its time.
        command.env("RUST_BACKTRACE", "0");
        Ok(command)
    }

    /// Starts the worker.
    pub(crate) fn start(&self) -> Result<Running> {
        let mut command = self.command()?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().context("cannot start the worker")?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            bail!("the worker has no pipes");
        };
        let (send, lines) = channel();
        let reader = std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut line = String::new();
            // A line that was cut off by the end of the process was not said.
            while stdout.read_line(&mut line).is_ok_and(|read| read > 0) && line.ends_with('\n') {
                if send.send(line.trim_end().to_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        let complaints = std::thread::spawn(move || {
            let mut text = String::new();
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                text.push_str(&line);
                text.push('\n');
            }
            text
        });
        Ok(Running {
            child,
            lines,
            reader,
            complaints,
        })
    }
}

/// A worker under way.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    reader: JoinHandle<()>,
    complaints: JoinHandle<String>,
}

/// What a worker said and how it ended.
pub(crate) struct Ended {
    pub(crate) lines: Vec<String>,
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
}

impl Running {
    /// Waits for the first line, and then so long; then kills the worker, wherever it is.
    pub(crate) fn kill_after(mut self, first_line: bool, wait: Duration) -> Result<Ended> {
        let mut lines = Vec::new();
        if first_line {
            // One that ends before it says anything is looked at by whoever reads how it ended.
            lines.extend(self.lines.recv_timeout(STUCK));
        }
        std::thread::sleep(wait);
        self.child.kill().context("cannot kill the worker")?;
        self.end(lines)
    }

    /// Waits until the worker has ended. One that is stuck is killed, and that is an error.
    pub(crate) fn finish(mut self) -> Result<Ended> {
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(STUCK) {
                Ok(line) => lines.push(line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return self.end(lines),
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    self.kill_all()?;
                    let ended = self.end(lines)?;
                    bail!(
                        "the worker was stuck after {:?}: {}",
                        ended.lines.last(),
                        ended.stderr
                    );
                }
            }
        }
    }

    /// Kills the worker, and what it runs under: strace leaves it behind, and it would hold the pipes for ever.
    fn kill_all(&mut self) -> Result<()> {
        let script = format!("kill -KILL -{}", self.child.id());
        let killed = Command::new("sh").args(["-c", &script]).status();
        killed.context("cannot kill a worker that is stuck").map(drop)
    }

    fn end(mut self, mut lines: Vec<String>) -> Result<Ended> {
        let status = self.child.wait().context("cannot wait for the worker")?;
        let _ = self.reader.join();
        lines.extend(self.lines.try_iter());
        let stderr = self.complaints.join().unwrap_or_default();
        Ok(Ended {
            lines,
            status,
            stderr,
        })
    }
}

/// How far a worker came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Phase {
    /// The store was being opened.
    Opening,
    /// It was being written to.
    Writing,
    /// It was being closed.
    Closing,
    /// The worker did all that it was to do.
    Closed,
}

impl Ended {
    /// How far it came.
    pub(crate) fn phase(&self) -> Phase {
        let said = |wanted: &str| self.lines.iter().any(|line| line == wanted);
        if said("closed") {
            Phase::Closed
        } else if said("closing") {
            Phase::Closing
        } else if said("opened") {
            Phase::Writing
        } else {
            Phase::Opening
        }
    }

    /// The rest of the first line that begins with `word`.
    pub(crate) fn said(&self, word: &str) -> Option<&str> {
        self.lines
            .iter()
            .find_map(|line| line.strip_prefix(word).map(str::trim))
    }

    /// Takes what it said of its writes into the journal.
    ///
    /// # Errors
    ///
    /// What it must not have been told.
    pub(crate) fn tell(&self, load: Load, journal: &mut Journal) -> Result<(), Failure> {
        journal.begin(load);
        for line in &self.lines {
            if let Ok(event) = line.parse::<Event>() {
                journal.note(&event)?;
            }
        }
        Ok(())
    }
}
