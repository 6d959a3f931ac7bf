//! Kills `stead apply` with SIGKILL at random instants, again and again on the same store, and looks at what is there
//! afterwards:
//!
//! - every acknowledged write, at its revision;
//! - of the lines without an acknowledgement all up to some point, whole, and nothing of those behind it;
//! - no revision twice;
//! - nothing that `check` finds wrong.
//!
//! `STEAD_KILLS` says how often (100 unless set), `STEAD_SEED` repeats the choices of a run, though not
//! the instants at which the system lets its processes run.

mod load;
mod model;
mod reader;
mod writer;

use std::path::Path;
use std::time::{Duration, Instant};

use stead::core::{Random, SystemRandom};
use tokio::runtime::Runtime;

use crate::load::{Load, Op};
use crate::model::{Model, Writer, split_groups};
use crate::reader::{Holding, check_by_command, holding};
use crate::writer::{Answer, Left, Moment};

/// Every so often, the command checks what the library has checked already.
const COMMAND_EVERY: u32 = 20;

#[derive(Default)]
struct Summary {
    kills: u32,
    checks: u32,
    acknowledged: u64,
    conflicts: u64,
    sent: u64,
    happened_unanswered: u64,
    killed_while_opening: u32,
    most_under_way: usize,
}

/// What is known of the store between two kills.
struct Known {
    model: Model,
    /// No revision up to here may come again.
    revision: u64,
}

#[test]
fn no_acknowledged_write_is_lost() {
    let kills = from_environment("STEAD_KILLS").unwrap_or(100);
    let kills = u32::try_from(kills).unwrap();
    let seed = from_environment("STEAD_SEED").unwrap_or_else(random_seed);
    println!("killing stead apply {kills} times, STEAD_SEED={seed}");
    let dir = tempfile::tempdir().unwrap();
    let mut summary = Summary::default();
    let begun = now();
    if let Err(problem) = rounds(kills, seed, dir.path(), &mut summary, begun) {
        let kept = dir.keep();
        panic!(
            "after {} kills: {problem}\nSTEAD_SEED={seed}, the store is kept in {}",
            summary.kills,
            kept.display()
        );
    }
    assert!(
        summary.acknowledged > u64::from(kills),
        "the writers hardly wrote"
    );
    assert!(summary.most_under_way > 100, "writes were not under way together");
    println!(
        "kills={} checks={} acknowledged={} conflicts={} lost=0 split=0 reused=0 unanswered_but_there={} \
         killed_while_opening={} most_under_way={} seconds={}",
        summary.kills,
        summary.checks,
        summary.acknowledged,
        summary.conflicts,
        summary.happened_unanswered,
        summary.killed_while_opening,
        summary.most_under_way,
        begun.elapsed().as_secs(),
    );
}

fn rounds(kills: u32, seed: u64, dir: &Path, summary: &mut Summary, begun: Instant) -> Result<(), String> {
    let runtime = Runtime::new().map_err(|error| error.to_string())?;
    let store = format!(
        "redb:{}/store?retention=500&sweep=20ms&cache=16MiB",
        dir.display()
    );
    let mut load = Load::new(seed);
    let mut known = Known {
        model: Model::empty(),
        revision: 0,
    };
    while summary.kills < kills {
        // Whatever the store's default is: apply answers when a write is durable.
        let durability = if load.below(4) == 0 { "buffered" } else { "durable" };
        let url = format!("{store}&durability={durability}");
        let moment = if load.below(4) == 0 {
            Moment::AfterStart(Duration::from_micros(load.below(40_000)))
        } else {
            Moment::AfterFirstAnswer(Duration::from_micros(load.below(120_000)))
        };
        let Left {
            sent,
            answers,
            load: rest,
        } = writer::run(&url, load, moment)?;
        load = rest;
        summary.kills += 1;
        summary.sent += sent.len() as u64;
        summary.killed_while_opening += u32::from(answers.is_empty());
        known.answered(&sent, &answers, summary)?;
        // The next start has a crash to repair; some are killed while they do.
        while load.below(5) == 0 && summary.kills < kills {
            writer::kill_while_opening(&url, Duration::from_micros(load.below(15_000)))?;
            summary.kills += 1;
            summary.killed_while_opening += 1;
        }
        known.settle(&sent[answers.len()..], &holding(&runtime, &store)?, summary)?;
        if summary.checks.is_multiple_of(COMMAND_EVERY) {
            check_by_command(&store)?;
        }
        if summary.checks.is_multiple_of(100) {
            println!(
                "{} kills, {} acknowledged, {} s",
                summary.kills,
                summary.acknowledged,
                begun.elapsed().as_secs()
            );
        }
    }
    Ok(())
}

impl Known {
    /// Takes in what was answered, and holds each answer against the model.
    fn answered(&mut self, sent: &[Op], answers: &[Answer], summary: &mut Summary) -> Result<(), String> {
        for (index, (op, answer)) in sent.iter().zip(answers).enumerate() {
            let line = index + 1;
            let admitted = self.model.admits(op);
            match *answer {
                Answer::Conflict if admitted => {
                    return Err(format!(
                        "line {line} met a conflict, but nothing spoke against it: {op:?}"
                    ));
                }
                Answer::Conflict => summary.conflicts += 1,
                Answer::Committed { .. } if !admitted => {
                    return Err(format!("line {line} committed against its condition: {op:?}"));
                }
                Answer::Committed { revision, count } => {
                    if revision <= self.revision {
                        let last = self.revision;
                        return Err(format!(
                            "line {line} committed at {revision}, but {last} was there before"
                        ));
                    }
                    self.revision = revision;
                    summary.acknowledged += 1;
                    self.model.apply(op, Writer::Known(revision));
                    if count.is_some_and(|count| count != self.model.count()) {
                        return Err(format!(
                            "line {line} counted to {count:?}, not {}",
                            self.model.count()
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Holds what is on disk against the model, and goes on from there.
    fn settle(&mut self, unanswered: &[Op], holding: &Holding, summary: &mut Summary) -> Result<(), String> {
        summary.checks += 1;
        summary.most_under_way = summary.most_under_way.max(unanswered.len());
        let split = split_groups(&holding.places);
        if !split.is_empty() {
            return Err(format!("batches are half there: groups {split:?}"));
        }
        let happened = self
            .model
            .clone()
            .settle(&holding.places, unanswered, self.revision)?;
        summary.happened_unanswered += happened as u64;
        self.model = Model::of(&holding.places);
        let newest = holding.places.iter().flatten().map(|found| found.revision).max();
        let newest = newest.unwrap_or_default();
        if holding.revision < newest.max(self.revision) {
            return Err(format!(
                "the store says revision {}, but {} was handed out",
                holding.revision,
                newest.max(self.revision)
            ));
        }
        self.revision = holding.revision;
        Ok(())
    }
}

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

fn random_seed() -> u64 {
    SystemRandom.next_u64()
}

#[expect(clippy::disallowed_methods, reason = "a test may measure how long it takes")]
fn now() -> Instant {
    Instant::now()
}
