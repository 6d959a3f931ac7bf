//! A writer with a store of its own, and what is known of that store.

use std::sync::Arc;
use std::time::Duration;

use stead_conformance::crash::{
    Crash, Demands, Event, Failure, FailureKind, Journal, Load, Report, Work, run, time_of, verify,
};
use stead_conformance::oracle::{Careless, Manner};
use stead_core::{Backend, Clock, Error, ErrorKind, ManualClock, Strength};
use tokio::task::JoinHandle;

use super::bed::{Bed, Opening};

/// How a writer waits for its server: not at all, so that it stops at the first write that has no certain outcome.
const NO_RETRY: Duration = Duration::ZERO;
/// An attempt may take so long. The servers are on this machine, which may be busy.
const TIMEOUT: Duration = Duration::from_secs(30);
/// So many lines of a writer are kept.
const HEARD: usize = 6;
/// How long the verification waits for a server that comes back.
const PATIENCE: Duration = Duration::from_secs(90);

/// One of the stores whose server is killed.
pub(super) struct Lane {
    name: String,
    seed: u64,
    journal: Journal,
    /// What the last writer was told last, for whoever looks for the reason of a failure.
    heard: String,
}

/// A writer under way.
pub(super) struct Writing {
    load: Load,
    task: JoinHandle<stead_core::Result<Vec<Event>>>,
}

/// What must be there after a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// What the store declares safe.
    Declared,
    /// Everything that was acknowledged, whatever the store declares for the sake of a failover.
    All,
}

impl Lane {
    /// A lane on a store that does not exist yet.
    pub(super) fn new(name: String, seed: u64) -> Self {
        Lane {
            name,
            seed,
            journal: Journal::new(seed),
            heard: String::new(),
        }
    }

    /// How many writes were acknowledged as committed.
    pub(super) fn committed(&self) -> u64 {
        self.journal.committed()
    }

    fn opening(&self, clock: &Arc<ManualClock>, retry: Duration) -> Opening {
        Opening {
            name: self.name.clone(),
            clock: Arc::clone(clock) as Arc<dyn Clock>,
            timeout: TIMEOUT,
            retry,
            sweep: Duration::from_millis(5),
        }
    }

    /// Lets a writer begin, which ends with the first write that fails, or with opening the store.
    ///
    /// One write is under way at a time: a connection that breaks stops one, and the next might be done by a server that
    /// is back.
    pub(super) fn write(&self, bed: &Arc<Bed>, load: Load) -> Writing {
        let from = self.journal.next();
        let clock = Arc::new(ManualClock::at(time_of(from)));
        let opening = self.opening(&clock, NO_RETRY);
        let work = Work {
            load,
            seed: self.seed,
            from,
            count: 1_000_000,
            window: 1,
        };
        let bed = Arc::clone(bed);
        let task = tokio::spawn(async move {
            let mut said = Vec::new();
            let store = match bed.open(&opening).await {
                Ok(store) => store,
                Err(error) if is_of_a_kill(&error) => return Ok(said),
                Err(error) => return Err(error),
            };
            // A store on PostgreSQL that takes buffered writes begins its log anew when its server was started anew, and
            // then the log does not tell what became of a write without an answer.
            let writer = Careless::new(Arc::clone(&store), Manner::Insists);
            let writer: &dyn Backend = if bed.is_postgres() { &writer } else { &*store };
            let done = run(writer, &clock, &work, &mut |event| said.push(event)).await;
            match store.close().await {
                Err(error) if !is_of_a_kill(&error) => return Err(error),
                Ok(()) | Err(_) => {}
            }
            match done {
                Err(stopped) if is_of_a_kill(&stopped.error) => Ok(said),
                Err(stopped) => Err(stopped.error),
                Ok(()) => Err(Error::internal("the writer came to its end")),
            }
        });
        Writing { load, task }
    }

    /// Takes in what a writer was told until its server was killed.
    pub(super) async fn take(&mut self, writing: Writing) -> Result<(), Failure> {
        let wrong = |what: String| Failure::new(FailureKind::Answer, what);
        let ended = writing.task.await.map_err(|error| wrong(error.to_string()))?;
        let said = ended.map_err(|error| wrong(format!("a killed server made a writer fail: {error:?}")))?;
        self.journal.begin(writing.load);
        let last = &said[said.len().saturating_sub(HEARD)..];
        let last: Vec<String> = last.iter().map(ToString::to_string).collect();
        self.heard = format!("{} of load {}: {}", self.name, writing.load, last.join(", "));
        for event in &said {
            self.journal.note(event)?;
        }
        Ok(())
    }

    /// Opens the store again and compares all of it with what its writers were told.
    pub(super) async fn verify(&mut self, bed: &Bed, wanted: Wanted) -> Result<(Report, Strength), Failure> {
        let clock = Arc::new(ManualClock::at(time_of(self.journal.next())));
        let unusable =
            |doing: &str, error| Failure::new(FailureKind::Unusable, format!("{doing}: {error:?}"));
        let opening = self.opening(&clock, PATIENCE);
        let store = bed
            .open(&opening)
            .await
            .map_err(|error| unusable("opening", error))?;
        let demands = match wanted {
            Wanted::Declared => Demands::after(Crash::Process),
            Wanted::All => Demands::after(Crash::Process).with_everything(),
        };
        let strength = store.capabilities().durable;
        let report = verify(&*store, &clock, &mut self.journal, &demands).await;
        let closed = store.close().await;
        let report = report
            .map_err(|failure| Failure::new(failure.kind, format!("{}; {}", failure.message, self.heard)))?;
        closed.map_err(|error| unusable("closing", error))?;
        Ok((report, strength))
    }
}

/// What a killed server may make of a call.
fn is_of_a_kill(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::UnknownOutcome)
}
