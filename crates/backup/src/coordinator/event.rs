//! What a coordinator tells of.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use stead_core::{Error, ErrorKind};

use super::trial::TrialReport;
use crate::manifest::BackupId;
use crate::metadata::CheckpointMetadata;
use crate::prune::PruneReport;

/// Why a checkpoint is a full one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FullReason {
    /// There is no backup to stand on.
    First,
    /// It was asked for.
    Asked,
    /// There were as many checkpoints on the full one before as the options allow, or it was too old.
    Scheduled,
    /// A trial restore found damage.
    Damaged,
    /// The newest backup cannot be stood on: it is of another store, or of another state of this one, or it is damaged.
    Refused,
}

impl FullReason {
    /// The reason as a stable lower-case word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            FullReason::First => "first",
            FullReason::Asked => "asked",
            FullReason::Scheduled => "scheduled",
            FullReason::Damaged => "damaged",
            FullReason::Refused => "refused",
        }
    }
}

/// Something that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum CheckpointEvent {
    /// A checkpoint is there.
    Made {
        /// What there is to know about it.
        checkpoint: CheckpointMetadata,
        /// Why it was to be a full one; `None` where an increment was wanted.
        full: Option<FullReason>,
        /// How long it took, by the clock.
        took: Duration,
    },
    /// An attempt failed.
    Failed {
        /// Why.
        error: Error,
        /// How long until the next one; `None` where only somebody had asked for it, who has the error.
        retry_after: Option<Duration>,
    },
    /// Retention looked at all backups.
    Retained(PruneReport),
    /// Retention failed. It is tried behind the next checkpoint.
    RetentionFailed(Error),
    /// A trial restore found a backup whole.
    TrialPassed(TrialReport),
    /// A trial restore failed.
    TrialFailed {
        /// The backup, where it is known.
        backup: Option<BackupId>,
        /// Why. `Corrupt` means damage: the next checkpoint is a full one.
        error: Error,
        /// How long until the next trial.
        retry_after: Duration,
    },
}

impl CheckpointEvent {
    /// Writes it down for whoever listens to `tracing`.
    pub(super) fn trace(&self) {
        match self {
            CheckpointEvent::Made {
                checkpoint,
                full,
                took,
            } => tracing::info!(
                backup = %checkpoint.id,
                kind = checkpoint.kind.as_str(),
                full = full.map(FullReason::as_str),
                forced = checkpoint.forced.as_deref(),
                revision = checkpoint.revision.get(),
                entries = checkpoint.counts.entries,
                removed = checkpoint.counts.deleted + checkpoint.counts.expired,
                logical_bytes = checkpoint.counts.logical_bytes,
                new_bytes = checkpoint.counts.new_bytes,
                took_ms = millis(*took),
                "checkpoint made"
            ),
            CheckpointEvent::Failed { error, retry_after } => tracing::warn!(
                kind = error.kind().as_str(),
                error = error.message(),
                retry_after_ms = retry_after.map(millis),
                "checkpoint failed"
            ),
            CheckpointEvent::Retained(report) => tracing::info!(
                kept = report.kept.len(),
                forgotten = report.forgotten.len(),
                removed_chunks = report.removed_chunks,
                removed_bytes = report.removed_bytes,
                "retention applied"
            ),
            CheckpointEvent::RetentionFailed(error) => {
                tracing::warn!(
                    kind = error.kind().as_str(),
                    error = error.message(),
                    "retention failed"
                );
            }
            CheckpointEvent::TrialPassed(report) => tracing::info!(
                backup = %report.backup,
                entries = report.entries,
                stored_bytes = report.stored_bytes,
                depth = report.depth(),
                took_ms = millis(report.took),
                "trial restore passed"
            ),
            CheckpointEvent::TrialFailed {
                backup,
                error,
                retry_after,
            } => tracing::error!(
                backup = backup.map(|backup| backup.to_string()),
                kind = error.kind().as_str(),
                damaged = error.kind() == ErrorKind::Corrupt,
                error = error.message(),
                retry_after_ms = millis(*retry_after),
                "trial restore failed"
            ),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Who is told what a coordinator does.
#[derive(Clone)]
pub struct CheckpointObserver(Arc<dyn Fn(&CheckpointEvent) + Send + Sync>);

impl CheckpointObserver {
    /// Calls `observer`.
    pub fn new(observer: impl Fn(&CheckpointEvent) + Send + Sync + 'static) -> Self {
        CheckpointObserver(Arc::new(observer))
    }

    /// A panic of the observer is its own: the schedule goes on.
    pub(super) fn tell(&self, event: &CheckpointEvent) {
        let _ = catch_unwind(AssertUnwindSafe(|| (self.0)(event)));
    }
}

impl fmt::Debug for CheckpointObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckpointObserver")
    }
}
