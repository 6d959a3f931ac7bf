//! Errors from strace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use stead_conformance::crash::{Crash, Failure, FailureKind, Journal, Load, Work};
use tempfile::TempDir;

use super::Campaign;
use super::judge::{Met, judge};
use crate::child::{Ended, Order, Phase};
use crate::engines::Engine;
use crate::files::copy_directory;
use crate::stand::Stand;
use crate::strace::{self, Call, NAMES, OPENS, SIZES, SYNCS, WRITES};

const ERRORS: [&str; 2] = ["EIO", "ENOSPC"];

/// What a run may do in spite of a call that failed: go on, as with a log for people, or a file that can be removed later.
#[derive(Default)]
struct Outcomes {
    runs: u64,
    unopened: u64,
    stopped: u64,
    unclosed: u64,
    /// Nothing was reported.
    silent: u64,
    /// Durable writes were acknowledged after the call had failed.
    acknowledged_after: BTreeMap<String, u64>,
}

/// A store to begin with: none, or one that was closed.
struct Beginning {
    name: &'static str,
    stand: Stand,
}

/// A call of a number in its thread, an error, and whether it lasts.
#[derive(Clone, Debug)]
struct Point {
    call: String,
    number: u64,
    error: &'static str,
    lasting: bool,
}

pub(super) fn run(campaign: &mut Campaign) -> Result<()> {
    if let Some(reason) = strace::missing() {
        campaign.tally.not_run(format!("errors: {reason}"));
        return Ok(());
    }
    for beginning in beginnings(campaign)? {
        let mut outcomes = Outcomes::default();
        let points = points(campaign, &beginning)?;
        // An odd stride, or the same error and duration would be left out each time.
        let stride = campaign.stride(2 * points.len()) | 1;
        for point in points.iter().step_by(stride) {
            one(campaign, &beginning, point, &mut outcomes)?;
            if campaign.tally.failures() > 0 {
                return Ok(());
            }
        }
        println!(
            "io {}: errors, {} store: {} runs that met one; unopened {}, stopped {}, unclosed {}, not reported {}",
            campaign.engine.name,
            beginning.name,
            outcomes.runs,
            outcomes.unopened,
            outcomes.stopped,
            outcomes.unclosed,
            outcomes.silent
        );
        if !outcomes.acknowledged_after.is_empty() {
            println!(
                "io {}: writes were acknowledged after a failed call: {:?}",
                campaign.engine.name, outcomes.acknowledged_after
            );
        }
    }
    Ok(())
}

fn beginnings(campaign: &Campaign) -> Result<Vec<Beginning>> {
    let new = Stand::new(campaign.engine, campaign.seed)?;
    let mut old = Stand::new(campaign.engine, campaign.seed)?;
    let mut order = order(campaign, &old.dir, &old.journal);
    order.work.count = 80;
    order.sweep = false;
    let ended = order.start()?.finish()?;
    if ended.phase() != Phase::Closed {
        bail!("a store cannot be prepared: {}", ended.stderr);
    }
    ended.tell(Load::Mixed, &mut old.journal)?;
    old.verify(Crash::Process)?;
    Ok(vec![
        Beginning {
            name: "new",
            stand: new,
        },
        Beginning {
            name: "old",
            stand: old,
        },
    ])
}

/// A few writes of all kinds, then a sweep.
fn order<'a>(campaign: &Campaign, dir: &'a Path, journal: &Journal) -> Order<'a> {
    let work = Work {
        load: Load::Mixed,
        seed: campaign.seed,
        from: journal.next(),
        count: 10,
        window: 1,
    };
    Order {
        sweep: true,
        ..Order::new(campaign.engine.name, dir, work)
    }
}

fn failing() -> impl Iterator<Item = &'static str> {
    [WRITES, SYNCS, NAMES, SIZES, OPENS]
        .into_iter()
        .flatten()
        .copied()
}

/// Every point of a clean run, and some behind it: what a run does is not always the same.
fn points(campaign: &Campaign, beginning: &Beginning) -> Result<Vec<Point>> {
    let home = tempfile::tempdir()?;
    let dir = copied(&beginning.stand, home.path())?;
    let log = home.path().join("strace.log");
    let mut order = order(campaign, &dir, &beginning.stand.journal);
    order.under = strace::recording(failing(), &log);
    let ended = order.start()?.finish()?;
    if ended.phase() != Phase::Closed {
        bail!("a clean run failed: {}", ended.stderr);
    }
    let log = std::fs::read_to_string(&log).context("cannot read what strace wrote")?;
    let mut numbers: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for call in strace::calls(&log).into_iter().filter(|call| call.changes(&dir)) {
        numbers.entry(call.name).or_default().insert(call.number);
    }
    for numbers in numbers.values_mut() {
        let last = numbers.last().copied().unwrap_or_default();
        numbers.extend(last + 1..last + 4);
    }
    let mut points = Vec::new();
    for (call, numbers) in numbers {
        for number in numbers {
            for error in ERRORS {
                points.extend([false, true].map(|lasting| Point {
                    call: call.clone(),
                    number,
                    error,
                    lasting,
                }));
            }
        }
    }
    Ok(points)
}

fn copied(stand: &Stand, home: &Path) -> Result<std::path::PathBuf> {
    let dir = home.join("store");
    if stand.dir.exists() {
        copy_directory(&stand.dir, &dir)?;
    }
    Ok(dir)
}

/// Lets one call fail.
fn one(campaign: &mut Campaign, beginning: &Beginning, point: &Point, outcomes: &mut Outcomes) -> Result<()> {
    let home = tempfile::tempdir()?;
    let dir = copied(&beginning.stand, home.path())?;
    let log = home.path().join("strace.log");
    let mut order = order(campaign, &dir, &beginning.stand.journal);
    let plus = if point.lasting { "+" } else { "" };
    order.under = strace::injecting(
        [point.call.as_str(), "writev"].into_iter(),
        &log,
        &point.call,
        &format!("error={}", point.error),
        &format!("{}{plus}", point.number),
    );
    let ended = match order.start()?.finish() {
        Ok(ended) => ended,
        Err(stuck) => {
            campaign.tally.runs += 1;
            let failure = Failure::new(FailureKind::Unusable, format!("{stuck:#}"));
            campaign
                .tally
                .fail(&failure, &circumstances(campaign, beginning, point, home));
            return Ok(());
        }
    };
    let log = std::fs::read_to_string(&log).context("cannot read what strace wrote")?;
    let calls = strace::calls(&log);
    if !calls.iter().any(|call| call.injected && call.changes(&dir)) {
        return Ok(());
    }
    campaign.tally.runs += 1;
    outcomes.runs += 1;
    let mut journal = beginning.stand.journal.clone();
    let judged = judge(campaign, &ended, &dir, &mut journal, Load::Mixed).and_then(|met| {
        outcomes.count(met);
        acknowledged_after(&calls, &dir).map_or(Ok(()), |file| outcomes.go_on(campaign.engine, point, &file))
    });
    if let Err(failure) = judged {
        let circumstances = circumstances(campaign, beginning, point, home);
        let said = format!("{circumstances}; the worker said {:?}", last_words(&ended));
        campaign.tally.fail(&failure, &said);
    }
    Ok(())
}

/// Keeps the store, and says how to see the failure again.
fn circumstances(campaign: &Campaign, beginning: &Beginning, point: &Point, home: TempDir) -> String {
    format!(
        "--seed {}, {} store, {point:?}, kept in {}",
        campaign.seed,
        beginning.name,
        home.keep().display()
    )
}

fn last_words(ended: &Ended) -> Vec<&String> {
    ended.lines.iter().rev().take(12).collect()
}

impl Outcomes {
    fn count(&mut self, met: Met) {
        *match met {
            Met::Unopened => &mut self.unopened,
            Met::Stopped => &mut self.stopped,
            Met::Unclosed => &mut self.unclosed,
            Met::Nothing => &mut self.silent,
        } += 1;
    }

    /// Takes in that durable writes were acknowledged after a call on `file` had failed.
    fn go_on(&mut self, engine: &Engine, point: &Point, file: &str) -> Result<(), Failure> {
        let call = point.call.as_str();
        let writes = WRITES.contains(&call) || ["fsync", "fdatasync", "msync"].contains(&call);
        if writes && engine.relies_on(file) {
            return Err(Failure::new(
                FailureKind::Answer,
                format!("a durable write was acknowledged after {call} of {file} had failed"),
            ));
        }
        *self
            .acknowledged_after
            .entry(format!("{call} {file}"))
            .or_default() += 1;
        Ok(())
    }
}

/// The file of the first call that failed, if a durable write was acknowledged that had been started after it. One that
/// was under way may have been done already, and only be told later.
fn acknowledged_after(calls: &[Call], dir: &Path) -> Option<String> {
    let first = calls.iter().position(|call| call.injected)?;
    let mut started = Vec::new();
    for call in &calls[first..] {
        let line = call.text.split('"').nth(1).unwrap_or_default();
        let mut words = line.trim_end_matches("\\n").split(' ');
        match (words.next(), words.next(), words.next(), words.next_back()) {
            (Some("start"), Some(number), ..) => started.push(number),
            (Some("ack"), Some(number), Some("committed"), Some("durable")) if started.contains(&number) => {
                return Some(file_name(&calls[first].text, dir));
            }
            _ => {}
        }
    }
    None
}

/// The kind of file that a call is about: its name in the store without numbers.
fn file_name(text: &str, dir: &Path) -> String {
    let rest = text
        .split_once(&*dir.to_string_lossy())
        .map_or("", |(_, rest)| rest);
    let end = rest.find(['>', '"']).unwrap_or(rest.len());
    rest[..end]
        .trim_start_matches('/')
        .replace(|c: char| c.is_ascii_digit(), "#")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_started_after_the_failure_is_held_against_it() {
        let failed = "7 fdatasync(6</s/0.jnl>) = -1 EIO (Input/output error) (INJECTED)\n";
        let started = "8 writev(3</p>, [{iov_base=\"start 2\\n\", iov_len=8}], 1) = 8\n";
        let acknowledged =
            "8 writev(3</p>, [{iov_base=\"ack 2 committed 9 durable\\n\", iov_len=26}], 1) = 26\n";
        let after = |log: String| acknowledged_after(&strace::calls(&log), Path::new("/s"));
        assert_eq!(after(format!("{started}{failed}{acknowledged}")), None);
        assert_eq!(
            after(format!("{failed}{started}{acknowledged}")).as_deref(),
            Some("#.jnl")
        );
        assert_eq!(after(format!("{failed}{started}")), None);
    }
}
