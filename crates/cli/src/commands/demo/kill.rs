//! A writer of our own that is killed in the middle of its work.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use stead::core::{Random, SystemRandom};
use stead::state::StateManager;
use stead::{Error, Result, StateScope};

/// Each line writes the line's number to one of so many keys, and to another key that says which line was the last.
const KEYS: u64 = 500;
const LAST: &str = "last";

/// A writer that was killed.
pub(super) struct Killed {
    /// Lines that it was sent.
    pub(super) sent: u64,
    /// Lines that it answered.
    pub(super) acknowledged: u64,
    /// How long after its first answer it was killed.
    pub(super) after: Duration,
}

pub(super) fn scope() -> StateScope {
    StateScope::agent("writer")
}

fn key(line: u64) -> String {
    format!("line/{:03}", line % KEYS)
}

/// Runs `stead apply` on the store at `url`, feeds it, and kills it at a random instant. Blocks.
pub(super) fn run(url: &str) -> Result<Killed> {
    let own = std::env::current_exe()
        .map_err(|cause| Error::unavailable("cannot find this program itself").because(cause))?;
    let mut child = Command::new(own)
        .args(["--store", url, "apply"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|cause| Error::unavailable("cannot start the writer").because(cause))?;
    let after = Duration::from_millis(200 + SystemRandom.next_u64() % 400);
    let result = feed_and_kill(&mut child, after);
    if result.is_err() {
        // It must not outlive its purpose; where it is gone already, so much the better.
        let _ = child.kill();
        let _ = child.wait();
    }
    result
}

fn feed_and_kill(child: &mut Child, after: Duration) -> Result<Killed> {
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Error::internal("the writer has no pipes"));
    };
    let feeder = thread::spawn(move || feed(stdin));
    let (first, answered) = mpsc::channel();
    let reader = thread::spawn(move || read(stdout, &first));
    answered
        .recv_timeout(Duration::from_secs(20))
        .map_err(|cause| Error::unavailable("the writer does not answer").because(cause))?;
    thread::sleep(after);
    let failed = |cause| Error::unavailable("cannot kill the writer").because(cause);
    // On Unix this is SIGKILL: no handler runs, nothing is flushed.
    child.kill().map_err(failed)?;
    child.wait().map_err(failed)?;
    let panicked = || Error::internal("a thread of the demo panicked");
    Ok(Killed {
        sent: feeder.join().map_err(|_| panicked())?,
        acknowledged: reader.join().map_err(|_| panicked())??,
        after,
    })
}

/// Sends lines until nobody reads them.
fn feed(stdin: ChildStdin) -> u64 {
    let mut stdin = BufWriter::new(stdin);
    let scope = scope().to_string();
    let mut sent = 0;
    loop {
        let line = sent + 1;
        let set = |key: &str| json!({"op": "set", "scope": scope, "key": key, "value": line});
        let batch = json!({"op": "batch", "ops": [set(&key(line)), set(LAST)]});
        if writeln!(stdin, "{batch}").is_err() {
            return sent;
        }
        sent = line;
    }
}

/// Counts answers until their writer is gone.
fn read(stdout: ChildStdout, first: &mpsc::Sender<()>) -> Result<u64> {
    let mut stdout = BufReader::new(stdout);
    let mut acknowledged = 0;
    let mut line = String::new();
    loop {
        line.clear();
        let read = stdout.read_line(&mut line);
        let read = read.map_err(|cause| Error::unavailable("cannot read the answers").because(cause))?;
        // An answer that was cut off was not given.
        if read == 0 || !line.ends_with('\n') {
            return Ok(acknowledged);
        }
        let answer = serde_json::from_str::<Value>(&line).unwrap_or_default();
        if answer["line"].as_u64() != Some(acknowledged + 1) || !answer["revision"].is_u64() {
            return Err(
                Error::internal("the writer gave an answer that is none").with("line", acknowledged + 1)
            );
        }
        acknowledged += 1;
        if acknowledged == 1 {
            // Nobody waits any longer only after giving up.
            let _ = first.send(());
        }
    }
}

/// Compares what is there with what was acknowledged. Returns how many lines are there.
pub(super) async fn verify(state: &StateManager, killed: &Killed) -> Result<u64> {
    let scope = state.scope(scope())?;
    let there: u64 = scope.get_as(LAST).await?.unwrap_or_default();
    if there < killed.acknowledged || there > killed.sent + 1 {
        return Err(Error::corrupt("acknowledged lines are not there")
            .with("acknowledged", killed.acknowledged)
            .with("there", there));
    }
    for line in there.saturating_sub(KEYS - 1).max(1)..=there {
        let found: Option<u64> = scope.get_as(&key(line)).await?;
        if found != Some(line) {
            return Err(Error::corrupt("a line is half there").with("line", line));
        }
    }
    Ok(there)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn store_with(lines: u64) -> StateManager {
        let state = StateManager::new(stead::open("memory:").await.unwrap());
        for line in 1..=lines {
            let values = [(key(line), line), (LAST.to_owned(), line)];
            state.set_many(scope(), values).await.unwrap();
        }
        state
    }

    #[tokio::test]
    async fn what_is_lost_or_half_there_is_found() {
        let state = store_with(1_200).await;
        let killed = |acknowledged| Killed {
            sent: 1_300,
            acknowledged,
            after: Duration::ZERO,
        };
        assert_eq!(verify(&state, &killed(1_200)).await.unwrap(), 1_200);
        assert_eq!(verify(&state, &killed(1_100)).await.unwrap(), 1_200);
        assert!(verify(&state, &killed(1_201)).await.is_err());
        state.set(scope(), LAST, &1_201).await.unwrap();
        assert!(verify(&state, &killed(1_200)).await.is_err());
    }
}
