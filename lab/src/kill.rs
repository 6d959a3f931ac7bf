//! SIGKILL at random instants, again and again on one store that grows.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use stead_conformance::crash::{Crash, Failure, FailureKind, Load, Report, TICK, Work};
use stead_core::{Random, SeededRandom};

use crate::child::{Ended, Order, Phase};
use crate::engines::{Engine, engine};
use crate::stand::Stand;
use crate::tally::Tally;

/// Kill a writer with SIGKILL at random instants and see that every acknowledged write is there
#[derive(Args, Debug)]
pub(crate) struct Kill {
    /// The engine
    #[arg(long)]
    engine: String,
    /// How often
    #[arg(long, default_value_t = 100)]
    kills: u64,
    /// Repeats the choices of a run, though not the instants at which the system lets its processes run
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// After so many kills a new store is begun: one grows, but not for ever.
const KILLS_PER_STORE: u64 = 500;

pub(crate) fn run(arguments: &Kill) -> Result<u8> {
    let engine = engine(&arguments.engine)?;
    let mut campaign = Campaign {
        engine,
        seed: arguments.seed,
        dice: SeededRandom::new(arguments.seed),
        tally: Tally::new("kill", engine.name),
        phases: [0; 3],
        gone: 0,
        unacknowledged: 0,
        verified: 0,
    };
    while campaign.tally.runs < arguments.kills && campaign.tally.failures() == 0 {
        let kills = KILLS_PER_STORE.min(arguments.kills - campaign.tally.runs);
        campaign.store(kills)?;
    }
    let [opening, writing, closing] = campaign.phases;
    println!(
        "kill {}: {} verifications; killed while opening {opening}, writing {writing}, closing {closing}; unanswered \
         and there {}, buffered and gone {}",
        engine.name, campaign.verified, campaign.unacknowledged, campaign.gone
    );
    Ok(campaign.tally.finish())
}

struct Campaign {
    engine: &'static Engine,
    seed: u64,
    dice: SeededRandom,
    tally: Tally,
    /// Kills while opening, writing and closing.
    phases: [u64; 3],
    gone: u64,
    unacknowledged: u64,
    verified: u64,
}

impl Campaign {
    fn below(&self, end: u64) -> u64 {
        self.dice.next_u64() % end
    }

    /// Kills the writers of one store so often.
    fn store(&mut self, kills: u64) -> Result<()> {
        let mut stand = Stand::new(self.engine, self.seed)?;
        let last = self.tally.runs + kills;
        while self.tally.runs < last {
            let before = stand.journal.committed();
            let load = Load::ALL[usize::try_from(self.below(6))?];
            let ended = self.killed(&stand, load)?;
            let result = self.settle(&mut stand, load, &ended, last);
            self.tally.acknowledged += stand.journal.committed() - before;
            match result? {
                Ok(report) => {
                    self.verified += 1;
                    self.gone += report.gone;
                    self.unacknowledged += report.unacknowledged;
                }
                Err(failure) => {
                    let kept = stand.keep();
                    let circumstances = format!(
                        "--seed {}, kill {}, load {load}, the store is kept in {}; the worker said {:?} and {}",
                        self.seed,
                        self.tally.runs,
                        kept.display(),
                        ended.lines.last(),
                        ended.stderr
                    );
                    self.tally.fail(&failure, &circumstances);
                    return Ok(());
                }
            }
            if self.verified.is_multiple_of(100) {
                println!(
                    "kill {}: {} kills, {} acknowledged, {} s",
                    self.engine.name,
                    self.tally.runs,
                    self.tally.acknowledged,
                    self.tally.seconds()
                );
            }
        }
        Ok(())
    }

    /// Starts a worker and kills it: one time in four while it opens, one in eight so late that it may be closing.
    fn killed(&mut self, stand: &Stand, load: Load) -> Result<Ended> {
        let die = self.below(8);
        let short = die == 2;
        let work = Work {
            load,
            seed: self.seed,
            from: stand.journal.next(),
            count: if short { 1 + self.below(20) } else { 1_000_000 },
            window: usize::try_from(1 + self.below(TICK))?,
        };
        let order = Order::new(self.engine.name, &stand.dir, work);
        let wait = Duration::from_micros(match die {
            0 | 1 => self.below(30_000),
            2 => self.below(20_000),
            _ => self.below(200_000),
        });
        let ended = order.start()?.kill_after(die > 1, wait)?;
        self.count(&ended);
        Ok(ended)
    }

    fn count(&mut self, ended: &Ended) {
        self.tally.runs += 1;
        match ended.phase() {
            Phase::Opening => self.phases[0] += 1,
            Phase::Writing => self.phases[1] += 1,
            Phase::Closing | Phase::Closed => self.phases[2] += 1,
        }
    }

    /// Verifies what is left, one time in five only after the next opening was killed as well.
    fn settle(
        &mut self,
        stand: &mut Stand,
        load: Load,
        ended: &Ended,
        last: u64,
    ) -> Result<Result<Report, Failure>> {
        if let Err(failure) = ended_well(ended) {
            return Ok(Err(failure));
        }
        while self.below(5) == 0 && self.tally.runs < last {
            let work = Work {
                load,
                seed: self.seed,
                from: stand.journal.next(),
                count: 0,
                window: 1,
            };
            let order = Order::new(self.engine.name, &stand.dir, work);
            let wait = Duration::from_micros(self.below(15_000));
            let opening = order.start()?.kill_after(false, wait)?;
            self.count(&opening);
            if let Err(failure) = ended_well(&opening) {
                return Ok(Err(failure));
            }
        }
        Ok(stand.settle(load, ended, Crash::Process))
    }
}

/// It was killed, or came to its end before that.
fn ended_well(ended: &Ended) -> Result<(), Failure> {
    let killed = ended.status.signal() == Some(9);
    let wrong = ["unopened", "stopped", "unclosed"]
        .iter()
        .find_map(|word| ended.said(word));
    if wrong.is_none() && (killed || ended.status.success()) {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::Unusable,
        format!(
            "the worker ended by itself ({}): {:?} {}",
            ended.status,
            wrong,
            ended.stderr.trim()
        ),
    ))
}
