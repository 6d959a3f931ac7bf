//! Making one checkpoint, and what follows it.

use std::sync::Arc;
use std::time::Duration;

use stead_core::{Clock, Error, ErrorKind, Result};
use tracing::Instrument as _;

use super::CheckpointAnswer;
use super::event::{CheckpointEvent, FullReason};
use super::known::Known;
use super::options::CheckpointRetention;
use super::schedule::timer;
use super::trials::Ended;
use super::worker::{Occasion, Wish, Worker, gap};
use crate::manager::{BackupManager, BackupType};
use crate::metadata::CheckpointMetadata;
use crate::prune::{PruneOptions, PruneReport};
use crate::task::Task;

/// A checkpoint that is there.
struct Made {
    checkpoint: CheckpointMetadata,
    full: Option<FullReason>,
    took: Duration,
}

impl Worker {
    /// Makes a checkpoint, and tells everybody.
    pub(super) async fn checkpoint(&mut self, occasion: Occasion) -> Result<CheckpointMetadata> {
        let began = self.manager.clock.now();
        let demands = std::mem::take(&mut self.demands);
        let own = usize::from(occasion == Occasion::Demand);
        let mut skipped = demands.len().saturating_sub(own) as u64;
        if occasion == Occasion::Due {
            self.retry = None;
            skipped += self.planner.advance(began);
        }
        self.stats.change(|stats| stats.skipped += skipped);
        let asked = demands.iter().any(|demand| demand.wish == Wish::Full);
        let result = self.attempt(asked, occasion).await;
        for demand in demands {
            let answer = match &result {
                Ok(made) => Ok(CheckpointAnswer::Made(made.checkpoint.clone())),
                Err(error) => Err(copy(error)),
            };
            // Who asked may be gone.
            let _ = demand.answer.send(answer);
        }
        match result {
            Ok(made) => {
                if occasion != Occasion::Due {
                    self.retry = None;
                    self.planner.advance(began);
                }
                self.gap = gap(&self.options, began, self.manager.clock.now());
                Ok(self.made(made, occasion).await)
            }
            Err(error) => {
                self.known = None;
                self.stats.change(|stats| stats.fail(error.kind()));
                let retry_after =
                    (occasion == Occasion::Due).then(|| self.backoff.next(&*self.manager.random));
                self.retry = retry_after.map(timer).or(self.retry.take());
                let given = copy(&error);
                self.tell(&CheckpointEvent::Failed { error, retry_after });
                Err(given)
            }
        }
    }

    async fn attempt(&mut self, asked: bool, occasion: Occasion) -> Result<Made> {
        let began = self.manager.clock.now();
        if self.known.is_none() {
            self.known = Some(Known::of(&self.manager.repository.backups().await?));
        }
        let wanted = self
            .known
            .as_ref()
            .and_then(|known| known.wants_full(&self.options, began));
        let mut full = match wanted {
            _ if self.damaged => Some(FullReason::Damaged),
            _ if asked => Some(FullReason::Asked),
            // The end should not be kept waiting for what can be done another time.
            Some(FullReason::Scheduled) if occasion == Occasion::Last => None,
            wanted => wanted,
        };
        let created = match full {
            Some(_) => self.create(BackupType::Full).await,
            None => match self.create(BackupType::IncrementalFromNewest).await {
                Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Corrupt) => {
                    tracing::warn!(
                        kind = error.kind().as_str(),
                        error = error.message(),
                        "the newest backup cannot be stood on"
                    );
                    full = Some(FullReason::Refused);
                    self.create(BackupType::Full).await
                }
                created => created,
            },
        };
        Ok(Made {
            checkpoint: created?,
            full,
            took: began.until(self.manager.clock.now()),
        })
    }

    /// On a task of its own: a store that panics does not end the schedule.
    async fn create(&self, kind: BackupType) -> Result<CheckpointMetadata> {
        let span = tracing::info_span!(
            "checkpoint",
            repository = self.manager.repository.name(),
            wanted = if kind == BackupType::Full {
                "full"
            } else {
                "incremental"
            },
        );
        let options = self.options.create(kind);
        let manager: BackupManager = self.manager.clone();
        let work = async move { manager.create(&options).await };
        Task::spawn(work.instrument(span)).join().await
    }

    /// What follows a checkpoint that is there.
    async fn made(&mut self, made: Made, occasion: Occasion) -> CheckpointMetadata {
        let Made {
            checkpoint,
            full,
            took,
        } = made;
        self.backoff.reset();
        self.stats.change(|stats| stats.count(&checkpoint, took));
        if let Some(known) = &mut self.known {
            known.add(&checkpoint);
        }
        self.newest = Some(checkpoint.clone());
        self.trials.count_checkpoint();
        if full == Some(FullReason::Damaged) {
            self.damaged = false;
            // Whether that has helped.
            self.trials.wanted = true;
        }
        self.tell(&CheckpointEvent::Made {
            checkpoint: checkpoint.clone(),
            full,
            took,
        });
        if occasion != Occasion::Last {
            self.note().await;
            self.retain().await;
        }
        checkpoint
    }

    /// Forgets what the policy does not keep, unless damage was found and nothing whole since: what is old may be all that
    /// is left then.
    async fn retain(&mut self) {
        let Some(retention) = self.options.retention.clone().filter(|_| !self.doubted) else {
            return;
        };
        let now = self.manager.clock.now();
        // A clock that was set back counts as a time that is over.
        let last = self.retained.filter(|last| *last <= now);
        if last.is_some_and(|last| last.until(now) < retention.every) {
            return;
        }
        self.retained = Some(now);
        match self.prune(retention).await {
            Ok(report) => {
                self.stats.change(|stats| {
                    stats.forgotten += report.forgotten.len() as u64;
                    stats.removed_bytes += report.removed_bytes;
                    let verified = stats.newest_verified;
                    stats.newest_verified = verified.filter(|(id, _)| !report.forgotten.contains(id));
                });
                self.tell(&CheckpointEvent::Retained(report));
            }
            Err(error) => {
                self.retained = None;
                // It reads the trees of all backups. Whether the newest is damaged is what matters.
                self.trials.wanted |= error.kind() == ErrorKind::Corrupt;
                self.stats.change(|stats| {
                    stats.retention_failures += 1;
                    stats.last_error = Some(error.kind());
                });
                self.tell(&CheckpointEvent::RetentionFailed(error));
            }
        }
    }

    async fn prune(&self, retention: CheckpointRetention) -> Result<PruneReport> {
        let mut options = PruneOptions::new(retention.policy);
        options.grace = retention.grace;
        let repository = self.manager.repository.clone();
        let clock: Arc<dyn Clock> = Arc::clone(&self.manager.clock);
        let span = tracing::info_span!("retention", repository = repository.name());
        let work = async move { repository.prune(&options, &clock).await };
        Task::spawn(work.instrument(span)).join().await
    }

    /// What follows a trial restore.
    pub(super) async fn tried(&mut self, ended: Ended) {
        let Ended { backup, result } = ended;
        let id = backup.as_ref().map(|backup| backup.id);
        match result {
            Ok(report) => {
                self.trials.passed();
                self.doubted = false;
                self.stats.change(|stats| {
                    stats.trials_passed += 1;
                    stats.newest_verified = backup.map(|backup| (backup.id, backup.taken));
                });
                self.tell(&CheckpointEvent::TrialPassed(report.clone()));
                self.unnoted = Some(report);
                self.note().await;
            }
            Err(error) => {
                let retry_after = self.trials.failed(&*self.manager.random);
                let damage = error.kind() == ErrorKind::Corrupt;
                self.damaged |= damage;
                self.doubted |= damage;
                self.stats.change(|stats| {
                    stats.trials_failed += 1;
                    stats.last_trial_error = Some(error.kind());
                    // What was whole when it was verified may be what is damaged now.
                    stats.newest_verified = stats.newest_verified.filter(|_| !damage);
                });
                self.tell(&CheckpointEvent::TrialFailed {
                    backup: id,
                    error,
                    retry_after,
                });
            }
        }
    }

    /// Notes in the repository what a trial found whole. Behind the next checkpoint, where it cannot be noted now.
    async fn note(&mut self) {
        let Some(report) = self.unnoted.take() else {
            return;
        };
        let noted = self
            .manager
            .repository
            .note_trial(&report, &self.manager.clock)
            .await;
        if let Err(error) = noted {
            tracing::warn!(
                backup = %report.backup,
                kind = error.kind().as_str(),
                error = error.message(),
                "trial restore not noted yet"
            );
            self.unnoted = Some(report);
        }
    }

    fn tell(&self, event: &CheckpointEvent) {
        event.trace();
        self.options.tell(event);
    }
}

/// The same error, for one more who asked. Its cause is kept as text.
fn copy(error: &Error) -> Error {
    let mut same = Error::new(error.kind(), error.message().to_owned());
    for (name, value) in error.context() {
        same = same.with(name, value);
    }
    if let Some(cause) = std::error::Error::source(error) {
        same = same.because(cause.to_string());
    }
    same.during(error.operation())
}
