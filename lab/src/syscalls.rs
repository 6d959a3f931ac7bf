//! SIGKILL at chosen system calls: before each write, fsync, rename and so on of every kind of work.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;
use stead_conformance::crash::{Crash, Failure, FailureKind, Journal, Load, Work};

use crate::child::{Ended, Order, Phase};
use crate::engines::{Engine, engine};
use crate::files::copy_directory;
use crate::stand::{Stand, settle_at};
use crate::strace::{self, NAMES, OPENS, SIZES, SYNCS, WRITES};
use crate::tally::Tally;

/// Kill a writer with SIGKILL at chosen system calls and see that every acknowledged write is there
#[derive(Args, Debug)]
pub(crate) struct Syscalls {
    /// The engine
    #[arg(long)]
    engine: String,
    /// At how many distinct points
    #[arg(long, default_value_t = 100)]
    points: usize,
    /// Which workload
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What the store is doing when it is killed.
struct Scenario {
    name: &'static str,
    load: Load,
    count: u64,
    sweep: bool,
    before: Before,
}

/// In what state the worker finds the store.
enum Before {
    /// There is none: it is made.
    Nothing,
    /// It was closed after so many writes.
    Closed(u64),
    /// It was left without being closed after so many writes: opening it repairs it.
    Abandoned(u64),
}

/// Those with few calls first: what they do not have is made up for by the others.
const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "create",
        load: Load::Mixed,
        count: 6,
        sweep: false,
        before: Before::Nothing,
    },
    Scenario {
        name: "repair",
        load: Load::Mixed,
        count: 8,
        sweep: false,
        before: Before::Abandoned(200),
    },
    Scenario {
        name: "put",
        load: Load::Put,
        count: 40,
        sweep: false,
        before: Before::Closed(60),
    },
    Scenario {
        name: "compare-and-set",
        load: Load::CompareAndSet,
        count: 40,
        sweep: false,
        before: Before::Closed(60),
    },
    Scenario {
        name: "batch",
        load: Load::Batch,
        count: 40,
        sweep: false,
        before: Before::Closed(60),
    },
    Scenario {
        name: "sweep",
        load: Load::Expire,
        count: 30,
        sweep: true,
        before: Before::Closed(120),
    },
    Scenario {
        name: "trim",
        load: Load::Trim,
        count: 260,
        sweep: false,
        // About as much as the smallest write buffers hold, so that they are written to files.
        before: Before::Closed(1_300),
    },
];

/// All calls at which a worker may be killed; `writev` is how it says what was acknowledged.
fn watched() -> impl Iterator<Item = &'static str> {
    let all = [WRITES, SYNCS, NAMES, SIZES, OPENS, &["writev"]];
    all.into_iter().flatten().copied()
}

/// A call and its number in its thread.
type Point = (String, u64);

pub(crate) fn run(arguments: &Syscalls) -> Result<u8> {
    let engine = engine(&arguments.engine)?;
    let mut tally = Tally::new("syscalls", engine.name);
    if let Some(reason) = strace::missing() {
        tally.not_run(reason);
        return Ok(tally.finish());
    }
    let mut campaign = Campaign {
        engine,
        seed: arguments.seed,
        tally,
        calls: BTreeMap::new(),
        phases: BTreeMap::new(),
    };
    let mut wanted = arguments.points;
    for (index, scenario) in SCENARIOS.iter().enumerate() {
        // What one scenario does not have, the later ones make up for.
        let share = wanted.div_ceil(SCENARIOS.len() - index);
        let (done, there) = campaign.scenario(scenario, share)?;
        println!(
            "syscalls {}: {}: killed at {done} of {there} points",
            engine.name, scenario.name
        );
        wanted -= done;
        if campaign.tally.failures() > 0 {
            break;
        }
    }
    println!(
        "syscalls {}: {} distinct points; {:?}; {:?}",
        engine.name, campaign.tally.runs, campaign.phases, campaign.calls
    );
    if wanted > 0 && campaign.tally.failures() == 0 {
        println!(
            "syscalls {}: there are {wanted} points less than were asked for",
            engine.name
        );
    }
    Ok(campaign.tally.finish())
}

struct Campaign {
    engine: &'static Engine,
    seed: u64,
    tally: Tally,
    calls: BTreeMap<String, u64>,
    phases: BTreeMap<Phase, u64>,
}

impl Campaign {
    /// Kills at so many points of a scenario. Returns at how many it did, and how many there are.
    fn scenario(&mut self, scenario: &Scenario, wanted: usize) -> Result<(usize, usize)> {
        let template = self.prepare(scenario)?;
        let mut candidates = self.points(scenario, &template)?;
        let there = candidates.values().map(BTreeSet::len).sum();
        let mut done = 0;
        while done < wanted {
            let chosen = choose(&candidates, wanted - done);
            if chosen.is_empty() {
                break;
            }
            for point in chosen {
                if let Some(numbers) = candidates.get_mut(&point.0) {
                    numbers.remove(&point.1);
                }
                done += usize::from(self.kill_at(scenario, &template, &point)?);
                if self.tally.failures() > 0 {
                    return Ok((done, there));
                }
            }
        }
        Ok((done, there))
    }

    /// The store that the workers of a scenario find.
    fn prepare(&self, scenario: &Scenario) -> Result<Stand> {
        let mut stand = Stand::new(self.engine, self.seed)?;
        let (count, abandon) = match scenario.before {
            Before::Nothing => return Ok(stand),
            Before::Closed(count) => (count, false),
            Before::Abandoned(count) => (count, true),
        };
        let mut order = self.order(scenario, &stand.dir, &stand.journal);
        order.work.count = count;
        order.work.window = 8;
        order.sweep = false;
        order.abandon = abandon;
        let ended = order.start()?.finish()?;
        if !ended.status.success() || ended.said("synced").is_none() {
            bail!(
                "the store of {} cannot be prepared: {}",
                scenario.name,
                ended.stderr
            );
        }
        ended.tell(scenario.load, &mut stand.journal)?;
        if !abandon {
            stand.verify(Crash::Process)?;
        }
        Ok(stand)
    }

    fn order<'a>(&'a self, scenario: &Scenario, dir: &'a Path, journal: &Journal) -> Order<'a> {
        let work = Work {
            load: scenario.load,
            seed: self.seed,
            from: journal.next(),
            count: scenario.count,
            window: 1,
        };
        Order {
            sweep: scenario.sweep,
            ..Order::new(self.engine.name, dir, work)
        }
    }

    /// The points of a clean run.
    fn points(&self, scenario: &Scenario, template: &Stand) -> Result<BTreeMap<String, BTreeSet<u64>>> {
        let home = tempfile::tempdir()?;
        let dir = copied(template, home.path())?;
        let log = home.path().join("strace.log");
        let mut order = self.order(scenario, &dir, &template.journal);
        order.under = strace::recording(watched(), &log);
        let ended = order.start()?.finish()?;
        if ended.phase() != Phase::Closed {
            bail!("a clean run of {} failed: {}", scenario.name, ended.stderr);
        }
        let log = std::fs::read_to_string(&log).context("cannot read what strace wrote")?;
        let mut points: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for call in strace::calls(&log) {
            if call.changes(&dir) || call.name == "writev" {
                points.entry(call.name).or_default().insert(call.number);
            }
        }
        Ok(points)
    }

    /// Kills a worker at a point. False if it never came there, as threads do not always do the same.
    fn kill_at(&mut self, scenario: &Scenario, template: &Stand, point: &Point) -> Result<bool> {
        let home = tempfile::tempdir()?;
        let dir = copied(template, home.path())?;
        let (name, number) = point;
        let mut order = self.order(scenario, &dir, &template.journal);
        order.under = strace::injecting(
            [name.as_str()].into_iter(),
            Path::new("/dev/null"),
            name,
            "signal=SIGKILL",
            &number.to_string(),
        );
        let ended = order.start()?.finish()?;
        if ended.phase() == Phase::Closed {
            return Ok(false);
        }
        self.tally.runs += 1;
        *self.calls.entry(name.clone()).or_default() += 1;
        *self.phases.entry(ended.phase()).or_default() += 1;
        let mut journal = template.journal.clone();
        let result = self.judge(scenario, &ended, &dir, &mut journal);
        self.tally.acknowledged += journal.committed() - template.journal.committed();
        if let Err(failure) = result {
            let kept = home.keep();
            let circumstances = format!(
                "--seed {}, {}, killed at {name} {number}, the store is kept in {}; the worker said {:?} and {}",
                self.seed,
                scenario.name,
                kept.display(),
                ended.lines.last(),
                ended.stderr
            );
            self.tally.fail(&failure, &circumstances);
        }
        Ok(true)
    }

    fn judge(
        &self,
        scenario: &Scenario,
        ended: &Ended,
        dir: &Path,
        journal: &mut Journal,
    ) -> Result<(), Failure> {
        if ended.status.signal() != Some(9) {
            let message = format!("the worker ended by itself: {} {}", ended.status, ended.stderr);
            return Err(Failure::new(FailureKind::Unusable, message));
        }
        settle_at(self.engine, dir, journal, scenario.load, ended, Crash::Process).map(drop)
    }
}

fn copied(template: &Stand, home: &Path) -> Result<std::path::PathBuf> {
    let dir = home.join("store");
    if template.dir.exists() {
        copy_directory(&template.dir, &dir)?;
    }
    Ok(dir)
}

/// So many points, spread over the calls and over the numbers of each: rare calls are taken whole.
fn choose(candidates: &BTreeMap<String, BTreeSet<u64>>, wanted: usize) -> Vec<Point> {
    let mut calls: Vec<(&String, Vec<u64>)> = candidates
        .iter()
        .map(|(name, numbers)| (name, numbers.iter().copied().collect()))
        .collect();
    calls.sort_by_key(|(_, numbers)| numbers.len());
    let mut left = wanted;
    let mut chosen = Vec::new();
    let total = calls.len();
    for (index, (name, numbers)) in calls.into_iter().enumerate() {
        let share = left.div_ceil(total - index).min(numbers.len());
        left -= share;
        let middle = |one: usize| numbers[(2 * one + 1) * numbers.len() / (2 * share)];
        chosen.extend((0..share).map(|one| (name.clone(), middle(one))));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_distinct_and_spread() {
        let few = ("rename".to_owned(), BTreeSet::from([2, 5]));
        let many = ("write".to_owned(), (1..=100).collect());
        let chosen = choose(&BTreeMap::from([few, many]), 12);
        let distinct: BTreeSet<&Point> = chosen.iter().collect();
        assert_eq!((chosen.len(), distinct.len()), (12, 12));
        assert_eq!(chosen.iter().filter(|point| point.0 == "rename").count(), 2);
        let writes: Vec<u64> = chosen
            .iter()
            .filter(|point| point.0 == "write")
            .map(|point| point.1)
            .collect();
        assert_eq!(writes, [6, 16, 26, 36, 46, 56, 66, 76, 86, 96]);
    }
}
