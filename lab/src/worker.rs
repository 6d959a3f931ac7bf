//! The process that something happens to.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use futures_executor::block_on;
use stead_conformance::crash::{Event, Journal, Load, Stopped, Work, look, partition, run, time_of};
use stead_core::{Backend, Durability, Key, ManualClock, WriteBatch};

use crate::engines::engine;

/// How many numbers are left out while the deadlines pass: more than the longest lifetime.
const PAUSE: u64 = 1_000;
/// How many writes follow the sweep.
const AFTER_SWEEP: u64 = 4;
/// How often, and how long apart, it is looked whether the store has swept. A store that cannot is found by the writes
/// that follow.
const SWEEP_LOOKS: u32 = 200;
const SWEEP_LOOK: Duration = Duration::from_millis(2);

/// Opens a store, does numbered writes and closes it, and says so line by line on its standard output
#[derive(Args, Clone, Debug)]
pub(crate) struct Worker {
    /// The engine
    #[arg(long)]
    pub(crate) engine: String,
    /// The directory of the store
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// The kind of writes
    #[arg(long, default_value_t = Load::Mixed)]
    pub(crate) load: Load,
    /// What distinguishes this workload from others
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The number of the first write
    #[arg(long, default_value_t = 1)]
    pub(crate) from: u64,
    /// How many writes
    #[arg(long, default_value_t = 100)]
    pub(crate) count: u64,
    /// How many writes are under way at once
    #[arg(long, default_value_t = 1)]
    pub(crate) window: usize,
    /// After so many writes, let every deadline pass and wait until the store has swept
    #[arg(long)]
    pub(crate) sweep: bool,
    /// Before the sweep, fill the disk with a file beside the store
    #[arg(long)]
    pub(crate) ballast: bool,
    /// Sync the store and end without closing it
    #[arg(long)]
    pub(crate) abandon: bool,
}

/// Its lines. They leave by `writev`, which the engines do not use: so the laboratory can make `write` fail without
/// cutting off what the process says.
struct Lines(File);

impl Lines {
    fn say(&mut self, line: impl std::fmt::Display) {
        let line = format!("{line}\n");
        // Whoever listened is gone, and will not miss anything.
        let _ = self.0.write_vectored(&[IoSlice::new(line.as_bytes())]);
    }
}

/// Says more of an error on the standard error, which may fail as well while `write` does.
fn complain(error: &stead_core::Error) {
    let _ = writeln!(io::stderr(), "{error:?}");
}

/// Does what the arguments say. What the store fails in is said by a line and is no error here.
pub(crate) fn work(arguments: &Worker) -> Result<()> {
    let engine = engine(&arguments.engine)?;
    let mut lines = Lines(File::from(io::stdout().as_fd().try_clone_to_owned()?));
    let clock = Arc::new(ManualClock::at(time_of(arguments.from)));
    let store = match engine.open(&arguments.dir, &clock) {
        Ok(store) => store,
        Err(error) => {
            complain(&error);
            lines.say(format_args!("unopened {}", error.kind()));
            return Ok(());
        }
    };
    lines.say("opened");
    let work = Work {
        load: arguments.load,
        seed: arguments.seed,
        from: arguments.from,
        count: arguments.count,
        window: arguments.window,
    };
    let mut journal = Journal::new(arguments.seed);
    journal.begin(work.load);
    let mut tell = |event: Event| {
        // What the writer must not be told is found by whoever reads the lines.
        let _ = journal.note(&event);
        lines.say(event);
    };
    let mut done = block_on(run(&*store, &clock, &work, &mut tell));
    if done.is_ok() && arguments.ballast {
        fill_disk(&arguments.dir.with_file_name("ballast"));
    }
    if done.is_ok() && arguments.sweep {
        done = sweep(&*store, &clock, &work, &mut tell);
    }
    let stopped = done.is_err();
    if let Err(stopped) = done {
        complain(&stopped.error);
        lines.say(format_args!("stopped {}", stopped.error.kind()));
        insist(&*store, &mut lines);
    }
    match block_on(look(&*store, &clock, &journal)) {
        Ok(()) => lines.say("reads ok"),
        Err(failure) => lines.say(format_args!("reads wrong {failure}")),
    }
    if arguments.abandon && !stopped {
        block_on(store.sync())?;
        lines.say(Event::Synced);
        // Without a word to the store, as a crash would.
        std::process::exit(0);
    }
    lines.say("closing");
    match block_on(store.close()) {
        Ok(()) if !stopped => lines.say(Event::Synced),
        Ok(()) => {}
        Err(error) => {
            complain(&error);
            lines.say(format_args!("unclosed {}", error.kind()));
        }
    }
    lines.say("closed");
    Ok(())
}

/// Writes a file until there is no room left.
fn fill_disk(ballast: &Path) {
    let Ok(mut file) = File::create(ballast) else {
        return;
    };
    let page = [1; 4096];
    while file.write_all(&page).is_ok() {}
}

/// Lets every deadline pass, waits until the store has removed what it held, and writes a little more.
fn sweep(
    store: &dyn Backend,
    clock: &ManualClock,
    work: &Work,
    tell: &mut (dyn FnMut(Event) + Send),
) -> Result<(), Stopped> {
    let from = work.from + work.count + PAUSE;
    tell(Event::Passed(from));
    clock.set(time_of(from));
    for _ in 0..SWEEP_LOOKS {
        let swept = block_on(store.stats()).is_ok_and(|stats| stats.expired > 0);
        if swept {
            break;
        }
        std::thread::sleep(SWEEP_LOOK);
    }
    let work = Work {
        from,
        count: AFTER_SWEEP,
        ..*work
    };
    block_on(run(store, clock, &work, tell))
}

/// Writes on after a failure, in every way there is. Nothing may be taken.
fn insist(store: &dyn Backend, lines: &mut Lines) {
    let key = Key::new(&partition(), "insisted").expect("a short path");
    for durability in [Durability::Durable, Durability::Buffered] {
        let batch = WriteBatch::new().put(key.clone(), "no").durability(durability);
        say_refusal(lines, block_on(store.apply(batch)).map(drop));
    }
    say_refusal(lines, block_on(store.sync()));
}

fn say_refusal(lines: &mut Lines, result: stead_core::Result<()>) {
    match result {
        Ok(()) => lines.say("taken"),
        Err(error) => lines.say(format_args!("refused {}", error.kind())),
    }
}
