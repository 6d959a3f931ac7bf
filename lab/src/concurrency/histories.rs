//! Concurrent histories on the engines, and the suite's cases of concurrency, isolation and transactions again and again.

use std::sync::Arc;

use anyhow::{Result, bail};
use stead_conformance::oracle::{self, Stand, check_histories};
use stead_conformance::{Offers, OpenOptions, Place, Subject, Verdict, verdicts};
use stead_core::{Backend, Capabilities, Clock, Durability, Error, Reply, SystemClock};
use stead_embedded::EmbeddedOptions;

use super::Effort;
use crate::engines::{ENGINES, Engine, engine};

/// How many histories share a directory that is removed when they are checked.
const BATCH: u32 = 10;

/// The groups of the suite that are about tasks at the same time.
const GROUPS: [&str; 3] = ["concurrency::", "isolation::", "transactions::"];

/// Tells how many histories there were.
pub(super) fn run(names: &[String], effort: &Effort, seed: u64) -> Result<u64> {
    let engines: Vec<&'static Engine> = if names.is_empty() {
        ENGINES.iter().collect()
    } else {
        names.iter().map(|name| engine(name)).collect::<Result<_>>()?
    };
    let mut histories = 0;
    for engine in engines {
        for durability in [Durability::Durable, Durability::Buffered] {
            let runs = effort.histories / 2;
            linearizable(engine, durability, runs, effort.operations, seed)?;
            histories += u64::from(runs);
            println!(
                "concurrency: {} {durability:?}: {runs} histories of {} operations of 4 tasks are linearizable",
                engine.name, effort.operations
            );
            if effort.rounds > 0 {
                let cases = repeat(engine, durability, effort.rounds)?;
                println!(
                    "concurrency: {} {durability:?}: {cases} cases passed {} times",
                    engine.name, effort.rounds
                );
            }
        }
    }
    Ok(histories)
}

fn linearizable(
    engine: &'static Engine,
    durability: Durability,
    runs: u32,
    operations: usize,
    seed: u64,
) -> Result<()> {
    for start in (0..runs).step_by(BATCH as usize) {
        let dir = tempfile::tempdir()?;
        let open = |clock: Arc<stead_core::ManualClock>| {
            let place = tempfile::tempdir_in(dir.path())
                .map_err(|error| Error::unavailable("there is no place for a store").because(error))?;
            let options = EmbeddedOptions::default()
                .with_clock(clock)
                .with_durability(durability);
            Ok(Stand::new(engine.open_with(&place.keep(), options)?))
        };
        let wanted = oracle::Effort::default()
            .with_cases(BATCH.min(runs - start))
            .with_operations(operations)
            .with_seed(seed + u64::from(start));
        if let Err(why) = check_histories(&open, &wanted) {
            bail!(
                "{} {durability:?}, from seed {}: {why}",
                engine.name,
                seed + u64::from(start)
            );
        }
    }
    Ok(())
}

/// Runs the cases so often, and tells how many there are.
fn repeat(engine: &'static Engine, durability: Durability, rounds: u32) -> Result<usize> {
    let subject: Arc<dyn Subject> = Arc::new(OnEngine::new(engine, durability)?);
    let mut cases = 0;
    for round in 1..=rounds {
        let wanted = |name: &str| GROUPS.iter().any(|group| name.starts_with(group));
        let mut passed = 0;
        for (name, verdict) in verdicts(&subject, wanted) {
            match verdict {
                Verdict::Passed => passed += 1,
                Verdict::Ignored(_) => {}
                Verdict::Failed(why) => {
                    bail!("{} {durability:?}, round {round}: {name}: {why}", engine.name)
                }
            }
        }
        cases = passed;
    }
    Ok(cases)
}

/// An engine as a subject of the suite.
struct OnEngine {
    engine: &'static Engine,
    durability: Durability,
    capabilities: Capabilities,
}

impl OnEngine {
    fn new(engine: &'static Engine, durability: Durability) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let options = settings(Arc::new(SystemClock), durability);
        let store = engine.open_with(dir.path(), options)?;
        Ok(OnEngine {
            engine,
            durability,
            capabilities: store.capabilities().clone(),
        })
    }
}

fn settings(clock: Arc<dyn Clock>, durability: Durability) -> EmbeddedOptions {
    EmbeddedOptions::default()
        .with_clock(clock)
        .with_durability(durability)
}

impl Subject for OnEngine {
    fn name(&self) -> String {
        self.engine.name.to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities.clone()
    }

    fn offers(&self) -> Offers {
        Offers::default().change_retention()
    }

    fn open<'a>(&'a self, place: &'a Place, options: &'a OpenOptions) -> Reply<'a, Arc<dyn Backend>> {
        let settings = settings(Arc::clone(&options.clock), self.durability)
            .with_change_retention(options.change_retention as u64)
            .with_sweep_interval(options.sweep_interval);
        Reply::from(self.engine.open_with(&place.dir().join("store"), settings))
    }
}
