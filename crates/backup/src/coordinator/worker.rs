//! The task of a coordinator: one thing after the other, so that no two checkpoints overlap.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stead_core::{Error, ErrorKind, Result, Timestamp};
use tokio::sync::{mpsc, oneshot};

use super::CheckpointAnswer;
use super::backoff::Backoff;
use super::known::Known;
use super::options::CheckpointOptions;
use super::schedule::{Planner, Timer, fire, timer};
use super::stats::CheckpointStats;
use super::trial::TrialReport;
use super::trials::Trials;
use crate::manager::BackupManager;
use crate::metadata::CheckpointMetadata;

/// Between two looks at a clock that may have been set, or at a machine that may have slept.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

pub(super) enum Command {
    Checkpoint(Demand),
    Shutdown(oneshot::Sender<Result<Option<CheckpointMetadata>>>),
}

/// Somebody who wants a checkpoint.
pub(super) struct Demand {
    pub(super) wish: Wish,
    pub(super) answer: oneshot::Sender<Result<CheckpointAnswer>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Unless the newest is younger than the minimum interval.
    UnlessRecent,
    Now,
    Full,
}

/// Why a checkpoint is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    Due,
    Demand,
    Last,
}

/// Runs until `taken` is as long ago as the minimum interval, unless it is.
pub(super) fn gap(options: &CheckpointOptions, taken: Timestamp, now: Timestamp) -> Option<Timer> {
    let left = options.min_interval.saturating_sub(taken.until(now));
    (!left.is_zero()).then(|| timer(left))
}

/// Stats that others read while the task writes them.
#[derive(Clone, Default)]
pub(super) struct SharedStats(Arc<Mutex<CheckpointStats>>);

impl SharedStats {
    pub(super) fn change(&self, change: impl FnOnce(&mut CheckpointStats)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn read(&self) -> CheckpointStats {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(super) struct Worker {
    pub(super) manager: BackupManager,
    pub(super) options: CheckpointOptions,
    pub(super) stats: SharedStats,
    commands: mpsc::UnboundedReceiver<Command>,
    pub(super) demands: Vec<Demand>,
    /// Who waits for the end.
    ending: Vec<oneshot::Sender<Result<Option<CheckpointMetadata>>>>,
    pub(super) planner: Planner,
    /// As the repository was read, and what was made since; nothing where that may no longer hold.
    pub(super) known: Option<Known>,
    pub(super) newest: Option<CheckpointMetadata>,
    /// Runs while the newest checkpoint is younger than the minimum interval.
    pub(super) gap: Option<Timer>,
    /// Runs while what failed waits to be tried again.
    pub(super) retry: Option<Timer>,
    pub(super) backoff: Backoff,
    pub(super) trials: Trials,
    /// A trial restore passed that is not noted in the repository yet.
    pub(super) unnoted: Option<TrialReport>,
    /// A trial restore found damage, and no full checkpoint was made since.
    pub(super) damaged: bool,
    /// A trial restore found damage, and none passed since: nothing is forgotten.
    pub(super) doubted: bool,
    /// When retention was applied last.
    pub(super) retained: Option<Timestamp>,
}

impl Worker {
    pub(super) async fn new(
        manager: BackupManager,
        options: CheckpointOptions,
        stats: SharedStats,
        commands: mpsc::UnboundedReceiver<Command>,
    ) -> Self {
        // What cannot be read now is read by the first attempt.
        let backups = manager.repository.backups().await;
        let known = backups.as_deref().map(Known::of).ok();
        let newest = known.as_ref().and_then(|known| known.newest.clone());
        let verified = known.as_ref().and_then(|known| known.verified);
        let now = manager.clock.now();
        let taken = newest.as_ref().map(|newest| newest.taken);
        let backoff = || Backoff::new(options.retry_first, options.retry_longest);
        stats.change(|stats| stats.newest_verified = verified);
        Worker {
            planner: Planner::new(options.schedule.clone(), taken, now),
            gap: taken
                .filter(|taken| *taken <= now)
                .and_then(|taken| gap(&options, taken, now)),
            retry: None,
            backoff: backoff(),
            trials: Trials::new(
                options.trials.clone(),
                verified.map(|(_, taken)| taken),
                backoff(),
            ),
            manager,
            options,
            stats,
            commands,
            demands: Vec::new(),
            ending: Vec::new(),
            known,
            newest,
            unnoted: None,
            damaged: false,
            doubted: false,
            retained: None,
        }
    }

    /// Until it is told to end.
    pub(super) async fn run(mut self) {
        loop {
            while let Ok(command) = self.commands.try_recv() {
                self.take(command);
            }
            if !self.ending.is_empty() {
                return Box::pin(self.end()).await;
            }
            let now = self.manager.clock.now();
            let due = self.is_due(now);
            self.stats.change(|stats| stats.next_due = self.planner.due());
            if due || !self.demands.is_empty() {
                let occasion = if due { Occasion::Due } else { Occasion::Demand };
                // Who asked has the error, and a tick is tried again.
                let _ = Box::pin(self.checkpoint(occasion)).await;
                continue;
            }
            if self.may_try() && self.trials.is_due(now) {
                self.trials.start(&self.manager.repository, &self.manager.clock);
            }
            let pause = self.pause(now);
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(command) => self.take(command),
                    None => return,
                },
                ended = self.trials.next() => if let Some(ended) = ended {
                    self.tried(ended).await;
                },
                () = self.planner.elapsed() => {}
                () = fire(&mut self.retry) => {}
                () = fire(&mut self.gap) => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Whether there is something to try that is not known to be damaged.
    fn may_try(&self) -> bool {
        !self.damaged && self.newest.is_some()
    }

    fn is_due(&mut self, now: Timestamp) -> bool {
        if let Some(retry) = &self.retry {
            return retry.is_elapsed();
        }
        (self.damaged || self.planner.is_due(now)) && self.is_gap_over()
    }

    fn is_gap_over(&self) -> bool {
        self.gap.as_ref().is_none_or(|gap| gap.is_elapsed())
    }

    /// How long until the clock is looked at again: a timer of the runtime tells of what else there is to wait for.
    fn pause(&self, now: Timestamp) -> Option<Duration> {
        let held = self.retry.is_some() || !self.is_gap_over();
        let tick = self.planner.due().filter(|_| !held).map(|due| now.until(due));
        let trial = self.trials.wait(now).filter(|_| self.may_try());
        let next = tick.into_iter().chain(trial).min()?;
        Some(next.clamp(Duration::from_millis(1), LOOK_AGAIN))
    }

    fn take(&mut self, command: Command) {
        let demand = match command {
            Command::Checkpoint(demand) => demand,
            Command::Shutdown(answer) => return self.ending.push(answer),
        };
        match self.newest.as_ref().filter(|_| !self.is_gap_over()) {
            Some(newest) if demand.wish == Wish::UnlessRecent => {
                let age = newest.taken.until(self.manager.clock.now());
                let soon = CheckpointAnswer::TooSoon {
                    newest: newest.clone(),
                    wait: self.options.min_interval.saturating_sub(age),
                };
                self.stats.change(|stats| stats.skipped += 1);
                // Who asked may be gone.
                let _ = demand.answer.send(Ok(soon));
            }
            _ => self.demands.push(demand),
        }
    }

    /// Makes the final checkpoint, and answers whoever waits for it.
    async fn end(mut self) {
        self.trials.stop();
        let last = self.finish().await;
        self.commands.close();
        let mut answers = self.ending.into_iter();
        if let Some(first) = answers.next() {
            // Nobody may wait any more.
            let _ = first.send(last);
        }
        while let Some(command) = self.commands.recv().await {
            match command {
                Command::Checkpoint(demand) => drop(demand.answer.send(Err(closed()))),
                Command::Shutdown(answer) => drop(answer.send(Ok(None))),
            }
        }
        answers.for_each(|answer| drop(answer.send(Ok(None))));
    }

    async fn finish(&mut self) -> Result<Option<CheckpointMetadata>> {
        let Some(patience) = self.options.final_checkpoint else {
            if self.demands.is_empty() {
                return Ok(None);
            }
            return Box::pin(self.checkpoint(Occasion::Demand)).await.map(|_| None);
        };
        let mut patience = Some(timer(patience));
        self.backoff.reset();
        loop {
            let error = match Box::pin(self.checkpoint(Occasion::Last)).await {
                Ok(made) => return Ok(Some(made)),
                Err(error) => error,
            };
            if !error.is_retryable() {
                return Err(error);
            }
            let wait = self.backoff.next(&*self.manager.random);
            tokio::select! {
                biased;
                () = fire(&mut patience) => return Err(error),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the coordinator of checkpoints was shut down")
}

async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}
