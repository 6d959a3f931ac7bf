//! Concurrent histories over connections that break, and layers with a defect that they must find.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use stead_conformance::crash::{Failure, FailureKind};
use stead_conformance::oracle::{Careless, Clients, Manner, Recorded, check_faulty};
use stead_core::{Backend, Partition, SystemClock};
use tokio::time::timeout;

use super::bed::{Bed, Kind, Opening, open_at};
use super::proxies::Proxies;
use crate::tally::Tally;

const TASKS: usize = 16;
/// The tasks share so many handles, as so many processes would.
const HANDLES: usize = 4;
/// So many histories share a store: the change log does not reach back for ever.
const HISTORIES_PER_STORE: u64 = 10;
/// A call that waits for longer than this hangs.
const LIMIT: Duration = Duration::from_secs(600);
/// A careless layer is caught by the first history in which it was careless; there are many chances in each.
const CONTROLS: u64 = 10;

/// A server, the proxies before it, and a store there.
struct Stage {
    _bed: Bed,
    proxies: Arc<Proxies>,
    operations: usize,
    seed: u64,
    /// Handles through the proxies, and one that nothing is broken for when a history is over.
    handles: Vec<Arc<dyn Backend>>,
    judge: Option<Arc<dyn Backend>>,
}

/// Checks so many histories, and that a history finds each careless layer.
pub(super) async fn run(kind: Kind, histories: u64, operations: usize, seed: u64) -> Result<u8> {
    let bed = Bed::start(kind, false)?;
    let mut stage = Stage {
        proxies: Arc::new(Proxies::before(&bed)?),
        _bed: bed,
        operations,
        seed,
        handles: Vec::new(),
        judge: None,
    };
    let mut tally = Tally::new("histories", kind.name());
    let (mut total, mut breaks) = (Recorded::default(), 0);
    while tally.runs < histories {
        if tally.runs.is_multiple_of(HISTORIES_PER_STORE) {
            stage.open(&format!("histories_{}", tally.runs)).await?;
        }
        let handles = stage.handles.clone();
        let (checked, broken) = stage.history(&handles, tally.runs).await?;
        tally.runs += 1;
        breaks += broken;
        match checked {
            Ok(recorded) => total.add(&recorded),
            Err(why) => {
                let circumstances = format!("--seed {seed}, history {}", tally.runs);
                tally.fail(&Failure::new(FailureKind::Answer, why), &circumstances);
                return Ok(tally.finish());
            }
        }
        tally.acknowledged = total.committed;
        if tally.runs.is_multiple_of(10) {
            println!("{} histories, {} s", tally.runs, tally.seconds());
        }
    }
    println!(
        "histories {}: {} calls of {TASKS} tasks explained, {} writes of unknown outcome ({} of them there), {} calls \
         that failed and changed nothing; connections were broken {breaks} times",
        kind.name(),
        total.calls,
        total.unknown,
        total.unknown_and_there,
        total.failed
    );
    ensure!(
        total.unknown > 0,
        "no write was of unknown outcome, so nothing was shown"
    );
    stage.controls(kind).await?;
    stage.close().await?;
    Ok(tally.finish())
}

impl Stage {
    /// Opens a new store, with handles of its own.
    async fn open(&mut self, name: &str) -> Result<()> {
        self.close().await?;
        let opening = Opening {
            name: name.to_owned(),
            clock: Arc::new(SystemClock),
            timeout: Duration::from_millis(500),
            retry: Duration::from_secs(10),
            sweep: Duration::from_secs(60),
        };
        for _ in 0..HANDLES {
            self.handles.push(open_at(self.proxies.url(), &opening).await?);
        }
        let patient = Opening {
            timeout: Duration::from_secs(60),
            retry: Duration::from_secs(120),
            ..opening
        };
        self.judge = Some(open_at(self.proxies.url(), &patient).await?);
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        for handle in self.handles.drain(..).chain(self.judge.take()) {
            handle.close().await?;
        }
        Ok(())
    }

    /// Records and checks one history. Tells, too, how often connections were broken.
    async fn history(
        &self,
        handles: &[Arc<dyn Backend>],
        number: u64,
    ) -> Result<(Result<Recorded, String>, u64)> {
        let Some(judge) = &self.judge else {
            bail!("no store is open");
        };
        let clients = Clients {
            tasks: TASKS,
            operations: self.operations,
            seed: self.seed.wrapping_mul(1_000_003) + number,
            partition: Partition::new(format!("history-{number}"))?,
            time: Arc::default(),
        };
        let mut trouble = Some(self.proxies.trouble(clients.seed, &clients.time));
        let mut broken = 0;
        let healed = || {
            let ended = trouble.take().map_or(Ok(0), super::proxies::Trouble::end);
            broken = ended.map_err(|error| format!("the proxies: {error:?}"))?;
            Ok(())
        };
        let checked = timeout(LIMIT, check_faulty(handles, judge, &clients, healed)).await;
        if let Some(trouble) = trouble {
            trouble.end()?;
        }
        let hung = |_| Err(format!("a call hangs for {} seconds", LIMIT.as_secs()));
        Ok((checked.unwrap_or_else(hung), broken))
    }

    /// Each careless layer is found out.
    async fn controls(&mut self, kind: Kind) -> Result<()> {
        for manner in [Manner::Acknowledges, Manner::Repeats, Manner::Denies] {
            self.open(&format!("control_{manner:?}").to_lowercase()).await?;
            let careless = |inner: &Arc<dyn Backend>| {
                Arc::new(Careless::new(Arc::clone(inner), manner)) as Arc<dyn Backend>
            };
            let handles: Vec<_> = self.handles.iter().map(careless).collect();
            let mut caught = None;
            for number in 0..CONTROLS {
                if let (Err(why), _) = self.history(&handles, number).await? {
                    caught = Some((number + 1, why));
                    break;
                }
            }
            match caught {
                Some((histories, why)) => {
                    let why = why.lines().next().unwrap_or_default().to_owned();
                    println!(
                        "control {} {manner:?} caught by history {histories}: {why}",
                        kind.name()
                    );
                }
                None => bail!("{CONTROLS} histories did not find a layer that {manner:?}"),
            }
        }
        Ok(())
    }
}
