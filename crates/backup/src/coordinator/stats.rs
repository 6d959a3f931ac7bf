//! What a coordinator counts.

use std::time::Duration;

use stead_core::{ErrorKind, Timestamp};

use crate::manifest::{BackupId, BackupKind};
use crate::metadata::CheckpointMetadata;

/// What a coordinator did since it was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointStats {
    /// Full checkpoints that were made.
    pub full: u64,
    /// Checkpoints of what changed that were made.
    pub incremental: u64,
    /// Of the full ones, those where the store could not tell what changed: see [`BackupMetadata::forced`](crate::BackupMetadata::forced).
    pub forced_full: u64,
    /// Attempts that failed. What they were tried for is tried again.
    pub failures: u64,
    /// Of those, how many since the last checkpoint.
    pub failures_in_row: u64,
    /// Ticks and demands without a checkpoint of their own: those that came within the minimum interval, those that went by
    /// while the process was paused or the clock jumped, and demands that share a checkpoint with another.
    pub skipped: u64,
    /// The newest checkpoint.
    pub last_checkpoint: Option<BackupId>,
    /// When its snapshot was taken.
    pub last_success: Option<Timestamp>,
    /// The kind of the last failure, of a checkpoint or of the retention behind it.
    pub last_error: Option<ErrorKind>,
    /// How long the newest checkpoint took, by the clock.
    pub last_duration: Duration,
    /// How long all of them took.
    pub total_duration: Duration,
    /// How long the slowest took.
    pub longest_duration: Duration,
    /// Bytes of the keys and values that were written.
    pub logical_bytes: u64,
    /// Bytes of the chunks of all checkpoints.
    pub stored_bytes: u64,
    /// Bytes of those that the repository did not have before.
    pub new_bytes: u64,
    /// Backups that retention forgot.
    pub forgotten: u64,
    /// Bytes that retention removed from the repository.
    pub removed_bytes: u64,
    /// Retentions that failed.
    pub retention_failures: u64,
    /// Trial restores that found the backup whole.
    pub trials_passed: u64,
    /// Trial restores that failed, for damage or for another reason.
    pub trials_failed: u64,
    /// The kind of the last failure of a trial restore.
    pub last_trial_error: Option<ErrorKind>,
    /// Restores by [`restore_latest`](crate::CheckpointCoordinator::restore_latest) that failed.
    pub restore_failures: u64,
    /// The newest backup of the repository that was verified, as far as this coordinator knows, and when it was taken.
    pub newest_verified: Option<(BackupId, Timestamp)>,
    /// How old that is now. `None` where none was verified.
    pub newest_verified_age: Option<Duration>,
    /// The next tick of the schedule, by the clock.
    pub next_due: Option<Timestamp>,
}

impl CheckpointStats {
    /// All checkpoints that were made.
    #[must_use]
    pub fn checkpoints(&self) -> u64 {
        self.full + self.incremental
    }

    pub(super) fn count(&mut self, made: &CheckpointMetadata, took: Duration) {
        match made.kind {
            BackupKind::Full => self.full += 1,
            BackupKind::Incremental | BackupKind::Differential => self.incremental += 1,
        }
        self.forced_full += u64::from(made.forced.is_some());
        self.failures_in_row = 0;
        self.last_checkpoint = Some(made.id);
        self.last_success = Some(made.taken);
        self.last_duration = took;
        self.total_duration = self.total_duration.saturating_add(took);
        self.longest_duration = self.longest_duration.max(took);
        self.logical_bytes += made.counts.logical_bytes;
        self.stored_bytes += made.counts.stored_bytes;
        self.new_bytes += made.counts.new_bytes;
    }

    pub(super) fn fail(&mut self, kind: ErrorKind) {
        self.failures += 1;
        self.failures_in_row += 1;
        self.last_error = Some(kind);
    }
}
