//! Processes that this one started, and their children.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};
pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use crate::wait;

/// A started process. Dropping it kills it and all its children.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    is_paused: bool,
}

impl Process {
    /// Starts a command of [`program::command`](crate::program::command), in a process group of its own: a Ctrl-C at
    /// the terminal is for this process, which ends its servers itself.
    pub(crate) fn start(mut command: Command) -> Result<Process> {
        command.process_group(0);
        let (sender, receiver) = mpsc::sync_channel(1);
        starter()
            .send((command, sender))
            .context("the thread that starts servers has ended")?;
        let child = receiver
            .recv()
            .context("the thread that starts servers has ended")?
            .context("cannot start a server")?;
        Ok(Process {
            child,
            is_paused: false,
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused
    }

    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Sends a signal to the process alone.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        // It has not been waited for, so its number is still its own.
        kill_process(Pid::from_child(&self.child), signal)
            .with_context(|| format!("cannot send {signal:?} to process {}", self.id()))
    }

    /// Asks the process to end by a signal, and waits until it and its children are gone.
    pub(crate) fn end(mut self, signal: Signal) -> Result<()> {
        // One that stands still would never hear of it.
        self.resume()?;
        let children = children(self.id())?;
        self.signal(signal)?;
        wait::until("a server that was asked to end", || {
            Ok(self.has_ended()?.then_some(()))
        })?;
        gone(&children)
    }

    /// Kills the process and its children with SIGKILL, and waits until they are gone.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.kill_all()
    }

    fn kill_all(&mut self) -> Result<()> {
        if self.has_ended()? {
            return Ok(());
        }
        // Stopped, it starts no further child.
        self.stop()?;
        let children = children(self.id())?;
        self.signal(Signal::KILL)?;
        for child in &children {
            child.signal(Signal::KILL);
        }
        self.child.wait()?;
        gone(&children)
    }

    /// Stops the process and its children with SIGSTOP.
    pub(crate) fn pause(&mut self) -> Result<()> {
        self.stop()?;
        self.is_paused = true;
        for child in children(self.id())? {
            child.signal(Signal::STOP);
            child.stopped()?;
        }
        Ok(())
    }

    /// Lets the process and its children go on.
    pub(crate) fn resume(&mut self) -> Result<()> {
        for child in children(self.id())? {
            child.signal(Signal::CONT);
        }
        self.signal(Signal::CONT)?;
        self.is_paused = false;
        Ok(())
    }

    /// A signal is sent before it has arrived: waits until the process does stand still.
    fn stop(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        match Relative::find(self.id()) {
            Some(this) => this.stopped(),
            None => Ok(()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It is gone when this fails, or about to be.
        let _ = self.kill_all();
    }
}

/// A process that somebody else waits for. Its number may be another's by the time it is used; the time of its start
/// tells.
#[derive(Debug, PartialEq)]
struct Relative {
    id: u32,
    parent: u32,
    state: char,
    start: String,
}

impl Relative {
    fn find(id: u32) -> Option<Relative> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        Relative::parse(id, &stat)
    }

    /// Reads `/proc/ID/stat`: the name stands in brackets and may hold anything; the fields behind it are counted.
    fn parse(id: u32, stat: &str) -> Option<Relative> {
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        Some(Relative {
            id,
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            start: (*fields.get(19)?).to_owned(),
        })
    }

    /// The same process as it is now, or `None` when it no longer runs.
    fn now(&self) -> Option<Relative> {
        Relative::find(self.id).filter(|now| now.start == self.start && !matches!(now.state, 'Z' | 'X'))
    }

    fn signal(&self, signal: Signal) {
        if self.now().is_none() {
            return;
        }
        if let Some(pid) = i32::try_from(self.id).ok().and_then(Pid::from_raw) {
            // It ended by itself between the two lines.
            let _ = kill_process(pid, signal);
        }
    }

    fn stopped(&self) -> Result<()> {
        wait::until("a server that was sent SIGSTOP", || {
            Ok(self
                .now()
                .is_none_or(|now| matches!(now.state, 'T' | 't'))
                .then_some(()))
        })
    }
}

/// The processes that `parent` started.
fn children(parent: u32) -> Result<Vec<Relative>> {
    let entries = fs::read_dir("/proc").context("cannot list /proc")?;
    Ok(entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Relative::find)
        .filter(|found| found.parent == parent)
        .collect())
}

fn gone(relatives: &[Relative]) -> Result<()> {
    wait::until("the children of a server that has ended", || {
        Ok(relatives
            .iter()
            .all(|relative| relative.now().is_none())
            .then_some(()))
    })
}

type Order = (Command, SyncSender<io::Result<Child>>);

/// What tells a child that its parent has died looks at the thread that started it. A test's thread ends with the test,
/// and the server may be shared by several: so one thread that lives as long as the process starts them all.
fn starter() -> Sender<Order> {
    static STARTER: LazyLock<Mutex<Sender<Order>>> = LazyLock::new(|| {
        let (sender, receiver): (_, Receiver<Order>) = mpsc::channel();
        thread::spawn(move || {
            for (mut command, answer) in receiver {
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    STARTER.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The process behind a server's handle: running, or between a kill and a restart.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    process: Mutex<Option<Process>>,
}

impl Slot {
    pub(crate) fn of(process: Process) -> Slot {
        Slot {
            process: Mutex::new(Some(process)),
        }
    }

    /// Changes what runs, one caller at a time.
    fn change<T>(&self, change: impl FnOnce(&mut Option<Process>) -> Result<T>) -> Result<T> {
        change(&mut self.process.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Uses the process that runs.
    pub(crate) fn with<T>(&self, name: &str, act: impl FnOnce(&mut Process) -> Result<T>) -> Result<T> {
        self.change(|process| match process {
            Some(process) => act(process),
            None => bail!("{name} does not run: it was killed or stopped; call restart()"),
        })
    }

    /// Kills what runs. Nothing happens when nothing does.
    pub(crate) fn kill(&self) -> Result<()> {
        self.change(|process| process.take().map_or(Ok(()), Process::kill))
    }

    /// Asks what runs to end.
    pub(crate) fn end(&self, signal: Signal) -> Result<()> {
        self.change(|process| process.take().map_or(Ok(()), |process| process.end(signal)))
    }

    /// Asks what runs to end, and puts what `start` gives in its place.
    pub(crate) fn restart(&self, signal: Signal, start: impl FnOnce() -> Result<Process>) -> Result<()> {
        self.change(|process| {
            if let Some(process) = process.take() {
                process.end(signal)?;
            }
            *process = Some(start()?);
            Ok(())
        })
    }

    /// Whether there is a process that can answer.
    pub(crate) fn is_awake(&self) -> bool {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.as_ref().is_some_and(|process| !process.is_paused())
    }

    pub(crate) fn id(&self) -> Option<u32> {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.as_ref().map(Process::id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_move_the_fields() {
        let stat = "71 (a) b (c) R 7 71 71 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 8812 3 4 18446744073709551615 1 1 0";
        let found = Relative::parse(71, stat);
        let expected = Relative {
            id: 71,
            parent: 7,
            state: 'R',
            start: "8812".to_owned(),
        };
        assert_eq!(found, Some(expected));
    }
}
