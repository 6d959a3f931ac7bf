//! Starting a server until it answers.

use std::process::Command;

use anyhow::{Result, bail};

use crate::directory::Directory;
use crate::process::Process;
use crate::wait;

/// How often a server is given another port.
const ATTEMPTS: u32 = 8;

/// What Redis, PostgreSQL and PgBouncer print alike.
const PORT_TAKEN: &str = "Address already in use";

/// What became of a start.
pub(crate) enum Launch {
    Answers(Process),
    PortTaken,
}

/// Starts a server whose output goes to the log of `directory`, and asks until it answers.
pub(crate) fn launch(
    name: &str,
    directory: &Directory,
    mut command: Command,
    answers: impl Fn(u32) -> bool,
) -> Result<Launch> {
    let printed = directory.log_length();
    let log = directory.log()?;
    command
        .current_dir(directory.path())
        .stdin(std::process::Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let mut process = Process::start(command)?;
    let is_up = wait::until(name, || {
        if process.has_ended()? {
            if directory.log_says(printed, PORT_TAKEN) {
                return Ok(Some(false));
            }
            bail!("{name} ended while it started; it said:\n{}", directory.log_end());
        }
        Ok(answers(process.id()).then_some(true))
    })?;
    Ok(if is_up {
        Launch::Answers(process)
    } else {
        Launch::PortTaken
    })
}

/// Makes servers, each with ports of its own, until one gets its ports.
pub(crate) fn first_to_start<S>(name: &str, attempt: impl Fn() -> Result<Option<S>>) -> Result<S> {
    for _ in 0..ATTEMPTS {
        if let Some(server) = attempt()? {
            return Ok(server);
        }
    }
    bail!("{name} found the port that was free a moment before taken, {ATTEMPTS} times")
}

/// Starts a server again that cannot have another port.
pub(crate) fn again(name: &str, start: impl Fn() -> Result<Launch>) -> Result<Process> {
    wait::until(name, || match start()? {
        Launch::Answers(process) => Ok(Some(process)),
        Launch::PortTaken => Ok(None),
    })
}
