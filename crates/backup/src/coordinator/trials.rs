//! When a trial restore is due, and the one under way.

use std::sync::Arc;
use std::time::Duration;

use stead_core::{Clock, Error, Random, Result, Timestamp};
use tracing::Instrument as _;

use super::backoff::Backoff;
use super::options::TrialOptions;
use super::schedule::{Timer, fire, timer};
use super::trial::TrialReport;
use crate::metadata::CheckpointMetadata;
use crate::repository::Repository;
use crate::restore::RestorePoint;
use crate::task::Task;

/// How a trial ended, and of which backup it was.
pub(super) struct Ended {
    pub(super) backup: Option<CheckpointMetadata>,
    pub(super) result: Result<TrialReport>,
}

pub(super) struct Trials {
    options: Option<TrialOptions>,
    running: Option<Task<Ended>>,
    /// When the last one began.
    last: Option<Timestamp>,
    /// Checkpoints since it did.
    checkpoints: u32,
    /// What is due, however long ago the last one was.
    pub(super) wanted: bool,
    retry: Option<Timer>,
    backoff: Backoff,
}

impl Trials {
    /// `verified` is when the newest backup that is known to be whole was taken.
    pub(super) fn new(options: Option<TrialOptions>, verified: Option<Timestamp>, backoff: Backoff) -> Self {
        Trials {
            options,
            running: None,
            last: verified,
            checkpoints: 0,
            wanted: false,
            retry: None,
            backoff,
        }
    }

    pub(super) fn count_checkpoint(&mut self) {
        self.checkpoints = self.checkpoints.saturating_add(1);
    }

    pub(super) fn is_due(&mut self, now: Timestamp) -> bool {
        let Some(options) = self.options.as_ref().filter(|_| self.running.is_none()) else {
            return false;
        };
        if let Some(retry) = &self.retry {
            return retry.is_elapsed();
        }
        let by_count = options
            .every_checkpoints
            .is_some_and(|most| self.checkpoints >= most);
        let by_time = options.every.is_some_and(|every| match self.last {
            None => true,
            Some(last) => last.until(now) >= every,
        });
        // A clock that was set back: from its new time on.
        self.last = self.last.map(|last| last.min(now));
        self.wanted || by_count || by_time
    }

    /// How long until the clock says that one is due.
    pub(super) fn wait(&self, now: Timestamp) -> Option<Duration> {
        if self.running.is_some() || self.retry.is_some() {
            return None;
        }
        let every = self.options.as_ref()?.every?;
        Some(every.saturating_sub(self.last?.until(now)))
    }

    pub(super) fn start(&mut self, repository: &Repository, clock: &Arc<dyn Clock>) {
        let Some(options) = self.options.clone() else {
            return;
        };
        self.retry = None;
        self.wanted = false;
        self.checkpoints = 0;
        self.last = Some(clock.now());
        let (repository, clock) = (repository.clone(), Arc::clone(clock));
        let span = tracing::info_span!("trial_restore", repository = repository.name());
        let work = async move { Ok(run(&repository, &options, &*clock).await) };
        self.running = Some(Task::spawn(work.instrument(span)));
    }

    /// Waits until the one under way ends; else until a failed one is to be tried again; else for ever.
    pub(super) async fn next(&mut self) -> Option<Ended> {
        let Some(running) = &mut self.running else {
            fire(&mut self.retry).await;
            return None;
        };
        let ended = running.wait().await;
        self.running = None;
        Some(ended.unwrap_or_else(|error| Ended {
            backup: None,
            result: Err(error),
        }))
    }

    pub(super) fn passed(&mut self) {
        self.backoff.reset();
    }

    /// Tries again in a while, of which the length is given back.
    pub(super) fn failed(&mut self, random: &dyn Random) -> Duration {
        let wait = self.backoff.next(random);
        self.retry = Some(timer(wait));
        wait
    }

    /// Ends the one under way.
    pub(super) fn stop(&mut self) {
        self.running = None;
    }
}

async fn run(repository: &Repository, options: &TrialOptions, clock: &dyn Clock) -> Ended {
    let backup = match repository.backups().await {
        Ok(backups) => backups.into_iter().next_back(),
        Err(error) => {
            return Ended {
                backup: None,
                result: Err(error),
            };
        }
    };
    let result = match &backup {
        None => Err(Error::invalid("there is no backup in the repository")),
        Some(backup) => {
            Box::pin(try_one(
                repository,
                options,
                RestorePoint::Backup(backup.id),
                clock,
            ))
            .await
        }
    };
    Ended { backup, result }
}

async fn try_one(
    repository: &Repository,
    options: &TrialOptions,
    point: RestorePoint,
    clock: &dyn Clock,
) -> Result<TrialReport> {
    let Some(scratch) = options.open().await? else {
        return repository.trial(point, None, clock, None).await;
    };
    let tried = repository.trial(point, Some(&scratch.store), clock, None).await;
    let closed = scratch.store.close().await;
    let report = tried?;
    closed.map(|()| report)
}
