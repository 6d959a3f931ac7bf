//! Concurrent histories over connections that break.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use stead_core::{Backend, Key, KeyRange, Partition, Result, Revision, WatchEvent, WatchSpec, WriteBatch};

use super::history::{Answer, Call, Operation};
use super::marks::{Log, Marks};
use super::ordered;
use super::record::{KEYS, Recorder};

/// Clients that read and write the same keys at the same time over connections that may break.
#[derive(Clone, Debug)]
pub struct Clients {
    /// How many tasks there are.
    pub tasks: usize,
    /// How many operations they share.
    pub operations: usize,
    /// Which operations.
    pub seed: u64,
    /// The partition of the history. It must be empty.
    pub partition: Partition,
    /// The clock of the history, which goes on by one with each question and with each answer. Who breaks connections may
    /// keep pace with it. Give each history one of its own.
    pub time: Arc<AtomicU64>,
}

/// What a history was made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// Calls in the history.
    pub calls: u64,
    /// Writes that were answered as committed.
    pub committed: u64,
    /// Writes of unknown outcome.
    pub unknown: u64,
    /// Those of them that took effect.
    pub unknown_and_there: u64,
    /// Calls that failed with `Unavailable`, which changed nothing.
    pub failed: u64,
}

impl Recorded {
    /// Adds another history's counts.
    pub fn add(&mut self, other: &Recorded) {
        self.calls += other.calls;
        self.committed += other.committed;
        self.unknown += other.unknown;
        self.unknown_and_there += other.unknown_and_there;
        self.failed += other.failed;
    }
}

/// Runs `clients` on `stores`, handles of one store that they share, and demands that what they were told could have
/// come from one call after the other, in the order of the revisions.
///
/// They do what [`check_histories`](super::check_histories) does. Each write also puts a key of its own, and every
/// other one has a request id. When `healed` has been called and returned, the change log is read through `direct`: it
/// tells which writes of unknown outcome took effect, and where. Demanded is that
///
/// - every write that was acknowledged is in the log, whole, once, and at the revision that its writer was told;
/// - none is there that was rejected, or that failed with an error that promises that nothing was written;
/// - every read, condition and rejection is explained by a place in that order that does not contradict the times.
///
/// Must run on a tokio runtime.
///
/// # Errors
///
/// What cannot be explained; a call that failed with another kind than `Unavailable`; and what `direct` fails with.
pub async fn check_faulty(
    stores: &[Arc<dyn Backend>],
    direct: &Arc<dyn Backend>,
    clients: &Clients,
    healed: impl FnOnce() -> Result<(), String>,
) -> Result<Recorded, String> {
    let told = |error: stead_core::Error| format!("a call failed with {}: {error}", error.kind());
    let mut tasks = Vec::new();
    for (task, store) in (0..clients.tasks).zip(stores.iter().cycle()) {
        let mut recorder = recorder(task, store, clients).map_err(told)?;
        recorder.marks = Some(Marks::new(task, clients.partition.clone(), clients.seed));
        let calls = clients.operations.div_ceil(clients.tasks);
        tasks.push(tokio::spawn(recorder.run(calls)));
    }
    let mut recorders = Vec::new();
    for task in tasks {
        let recorder = task
            .await
            .map_err(|error| format!("a task ended badly: {error}"))?;
        recorders.push(recorder.map_err(told)?);
    }
    healed()?;
    let mut last = recorder(clients.tasks, direct, clients).map_err(told)?;
    last.get_many().await.map_err(told)?;
    let log = read_log(direct, &clients.partition).await?;
    judge(recorders, last, &log)
}

fn recorder(task: usize, store: &Arc<dyn Backend>, clients: &Clients) -> Result<Recorder> {
    let (home, time) = (clients.partition.clone(), Arc::clone(&clients.time));
    Recorder::new(task, Arc::clone(store), time, clients.seed, home)
}

/// All change sets of the partition up to a write of its own.
async fn read_log(store: &Arc<dyn Backend>, partition: &Partition) -> Result<Log, String> {
    let failed = |error: stead_core::Error| format!("reading the log: {error}");
    let end = async {
        let batch = WriteBatch::new().put(Key::new(partition, "end")?, "");
        store.apply(batch).await
    };
    let end = end
        .await
        .map_err(failed)?
        .committed()
        .map_err(|conflict| format!("{conflict:?}"))?;
    let spec = WatchSpec::new(KeyRange::partition(partition)).after(Revision::ZERO);
    let mut watcher = store.watch(&spec).map_err(failed)?;
    let mut log = Log::default();
    loop {
        match watcher.next().await.map_err(failed)? {
            WatchEvent::Changes(set) if set.revision >= end => return Ok(log),
            WatchEvent::Changes(set) => log.take(&set)?,
            other => return Err(format!("reading the log: {other:?}")),
        }
    }
}

fn judge(recorders: Vec<Recorder>, last: Recorder, log: &Log) -> Result<Recorded, String> {
    let mut history: Vec<Operation> = Vec::new();
    let mut revisions = Vec::new();
    let mut recorded = Recorded::default();
    for recorder in recorders {
        if let Some(marks) = &recorder.marks {
            revisions.extend(marks.found_in(log, &recorder.history)?);
            recorded.failed += marks.failed;
        }
        history.extend(recorder.history);
    }
    revisions.extend(last.history.iter().map(|_| None));
    history.extend(last.history);
    recorded.calls = history.len() as u64;
    for (operation, revision) in history.iter().zip(&revisions) {
        if let Call::Write { outcome, .. } = operation.call {
            recorded.committed += u64::from(outcome == Answer::Committed);
            recorded.unknown += u64::from(outcome == Answer::Unknown);
            recorded.unknown_and_there += u64::from(outcome == Answer::Unknown && revision.is_some());
        }
    }
    ordered::check(&history, &revisions, KEYS)?;
    Ok(recorded)
}
