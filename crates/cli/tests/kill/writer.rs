//! The process that is killed, and what it said until then.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::load::{Load, Op};

/// What a line was answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Committed { revision: u64, count: Option<u64> },
    Conflict,
}

/// What came of a writer.
pub(crate) struct Left {
    /// The lines that it may have read, in their order.
    pub(crate) sent: Vec<Op>,
    /// The answers to the first of them.
    pub(crate) answers: Vec<Answer>,
    pub(crate) load: Load,
}

/// When a writer is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    /// So long after it was started: it may be opening the store.
    AfterStart(Duration),
    /// So long after its first answer: it is writing.
    AfterFirstAnswer(Duration),
}

/// Starts `stead apply` on the store at `url`, feeds it until `moment` and kills it.
pub(crate) fn run(url: &str, load: Load, moment: Moment) -> Result<Left, String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_stead"))
        .args(["--store", url, "apply"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start the writer: {error}"))?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("the writer has no pipes".to_owned());
    };
    let feeder = thread::spawn(move || feed(stdin, load));
    let (first_answer, answered) = mpsc::channel();
    let reader = thread::spawn(move || read(stdout, &first_answer));
    let wait = match moment {
        Moment::AfterStart(wait) => wait,
        Moment::AfterFirstAnswer(wait) => {
            // A writer that never answers has failed; its stderr says why.
            if answered.recv_timeout(Duration::from_secs(60)).is_err() {
                return Err(format!("no answer came: {}", last_words(child)));
            }
            wait
        }
    };
    thread::sleep(wait);
    child
        .kill()
        .map_err(|error| format!("cannot kill the writer: {error}"))?;
    let status = child
        .wait()
        .map_err(|error| format!("cannot wait for the writer: {error}"))?;
    if status.code().is_some() {
        return Err(format!(
            "the writer ended by itself: {status}: {}",
            last_words(child)
        ));
    }
    let (sent, load) = feeder.join().map_err(|_| "the feeder panicked")?;
    let answers = reader.join().map_err(|_| "the reader panicked")??;
    Ok(Left { sent, answers, load })
}

/// Starts a writer that has nothing to do, and kills it while it opens the store, or just after.
pub(crate) fn kill_while_opening(url: &str, wait: Duration) -> Result<(), String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_stead"))
        .args(["--store", url, "apply"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start the writer: {error}"))?;
    thread::sleep(wait);
    child
        .kill()
        .map_err(|error| format!("cannot kill the writer: {error}"))?;
    // Its stdin stays open until here: a writer whose input ends would close the store.
    let stdin = child.stdin.take();
    let status = child
        .wait()
        .map_err(|error| format!("cannot wait for the writer: {error}"))?;
    drop(stdin);
    if status.code().is_some() {
        return Err(format!(
            "the writer ended by itself: {status}: {}",
            last_words(child)
        ));
    }
    Ok(())
}

fn last_words(mut child: Child) -> String {
    // It has ended, or is of no more use.
    let _ = child.kill();
    child
        .wait_with_output()
        .map(|output| String::from_utf8_lossy(&output.stderr).into_owned())
        .unwrap_or_default()
}

/// Sends lines until nobody reads them: in bursts, as several writers would.
fn feed(stdin: ChildStdin, mut load: Load) -> (Vec<Op>, Load) {
    let mut stdin = BufWriter::with_capacity(256 << 10, stdin);
    let mut sent = Vec::new();
    loop {
        for _ in 0..=load.below(64) {
            let op = load.next();
            let line = op.line();
            // Noted first: it may be read before the write is known to have been done.
            sent.push(op);
            if writeln!(stdin, "{line}").is_err() {
                return (sent, load);
            }
        }
        if stdin.flush().is_err() {
            return (sent, load);
        }
    }
}

/// Reads answers until their writer is gone. They come in the order of the lines, without a gap.
fn read(stdout: ChildStdout, first_answer: &mpsc::Sender<()>) -> Result<Vec<Answer>, String> {
    let mut stdout = BufReader::with_capacity(256 << 10, stdout);
    let mut answers = Vec::new();
    let mut line = String::new();
    loop {
        line.clear();
        let read = stdout.read_line(&mut line).map_err(|error| error.to_string())?;
        // An answer that was cut off by the kill was not given.
        if read == 0 || !line.ends_with('\n') {
            return Ok(answers);
        }
        answers.push(parse(&line, answers.len() as u64 + 1)?);
        if answers.len() == 1 {
            // Nobody waits for it in a round that is timed from the start.
            let _ = first_answer.send(());
        }
    }
}

fn parse(line: &str, number: u64) -> Result<Answer, String> {
    let answer: Value = serde_json::from_str(line).map_err(|error| format!("{error} in {line}"))?;
    if answer["line"].as_u64() != Some(number) {
        return Err(format!("line {number} was to be answered, but came {line}"));
    }
    match (answer["revision"].as_u64(), answer.get("conflict")) {
        (Some(revision), None) => Ok(Answer::Committed {
            revision,
            count: answer["value"].as_u64(),
        }),
        (None, Some(_)) => Ok(Answer::Conflict),
        _ => Err(format!("neither a revision nor a conflict: {line}")),
    }
}
