//! What a coordinator knows of its repository.

use std::time::Duration;

use stead_core::Timestamp;

use super::event::FullReason;
use super::options::CheckpointOptions;
use crate::manifest::{BackupId, BackupKind};
use crate::metadata::CheckpointMetadata;

/// What the next checkpoint stands on.
pub(super) struct Known {
    pub(super) newest: Option<CheckpointMetadata>,
    /// When the newest full one was taken.
    full: Option<Timestamp>,
    /// The newest full one and those since.
    checkpoints: u32,
    /// The newest that was verified.
    pub(super) verified: Option<(BackupId, Timestamp)>,
}

impl Known {
    pub(super) fn of(backups: &[CheckpointMetadata]) -> Self {
        let mut known = Known {
            newest: None,
            full: None,
            checkpoints: 0,
            verified: None,
        };
        for backup in backups {
            known.add(backup);
        }
        known
    }

    pub(super) fn add(&mut self, backup: &CheckpointMetadata) {
        if backup.kind == BackupKind::Full {
            self.full = Some(backup.taken);
            self.checkpoints = 0;
        }
        self.checkpoints = self.checkpoints.saturating_add(1);
        if backup.verified {
            self.verified = Some((backup.id, backup.taken));
        }
        self.newest = Some(backup.clone());
    }

    /// Why the next checkpoint has to be a full one, apart from who asks for it.
    pub(super) fn wants_full(&self, options: &CheckpointOptions, now: Timestamp) -> Option<FullReason> {
        let Some(full) = self.full else {
            return Some(FullReason::First);
        };
        let old = full.until(now) >= options.full_every.max(Duration::from_millis(1));
        (old || self.checkpoints >= options.full_every_checkpoints).then_some(FullReason::Scheduled)
    }
}
