//! Restoring on trial: the one proof that a backup can be restored.

use std::sync::Arc;
use std::time::Duration;

use stead_core::{Backend, Clock, Result};

use crate::log::Log;
use crate::manager::{Observer, Phase, Progress};
use crate::manifest::{BackupId, Manifest};
use crate::merge::{Merge, Upto};
use crate::repository::Repository;
use crate::restore::{RestorePoint, Selection};
use crate::verify::{RESTORED, VerifyDepth};

/// What a trial restore found whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrialReport {
    /// The backup.
    pub backup: BackupId,
    /// The backups that were read for it, the full one first, and itself last.
    pub chain: Vec<BackupId>,
    /// Entries that it gives.
    pub entries: u64,
    /// Bytes of the keys and values of all backups that were read.
    pub logical_bytes: u64,
    /// Bytes of their chunks.
    pub stored_bytes: u64,
    /// Whether they were written to a store and compared there.
    pub written: bool,
    /// How long it took, by the clock.
    pub took: Duration,
}

impl TrialReport {
    /// `restore` where a store was written and compared, else `bytes`: the depth to note for the backup.
    #[must_use]
    pub fn depth(&self) -> &'static str {
        if self.written {
            RESTORED
        } else {
            VerifyDepth::Bytes.as_str()
        }
    }
}

impl Repository {
    /// Restores a backup on trial: into `scratch`, a store that is empty and is thrown away, where it is compared. Deadlines
    /// are dropped for that, so that what has expired since is compared as well.
    ///
    /// Without `scratch`, it is read, compared with its hashes and put together as a restore does, in constant memory, and
    /// written nowhere.
    ///
    /// [`note_trial`](Repository::note_trial) writes down in the repository that it passed.
    ///
    /// # Errors
    ///
    /// - `Invalid`: there is no such backup;
    /// - `Corrupt`: it is damaged, or a chain lacks a link, with its name;
    /// - else as [`restore`](Repository::restore).
    pub async fn trial(
        &self,
        point: RestorePoint,
        scratch: Option<&Arc<dyn Backend>>,
        clock: &dyn Clock,
        observer: Option<Observer>,
    ) -> Result<TrialReport> {
        let began = clock.now();
        let id = self.find(point).await?;
        let log = Log::read(self).await?;
        let chain = log.chain(&id)?;
        let entries = match scratch {
            Some(scratch) => self.trial_restore(&id, scratch, clock, observer).await?,
            None => self.read_through(&chain, observer).await?,
        };
        Ok(TrialReport {
            backup: id,
            chain: chain.iter().map(|manifest| manifest.id).collect(),
            entries,
            logical_bytes: chain.iter().map(|manifest| manifest.counts.logical_bytes).sum(),
            stored_bytes: chain.iter().map(|manifest| manifest.counts.stored_bytes).sum(),
            written: scratch.is_some(),
            took: began.until(clock.now()),
        })
    }

    /// Notes in the log that the backups of a trial were verified: the one that was asked for at the
    /// [depth](TrialReport::depth) of the trial, those that it stands on, all bytes of which were read, as `bytes`. As
    /// [`note_verified`](Repository::note_verified).
    ///
    /// # Errors
    ///
    /// `Conflict` while another process writes to the repository.
    pub async fn note_trial(&self, report: &TrialReport, clock: &Arc<dyn Clock>) -> Result<()> {
        let bytes = VerifyDepth::Bytes.as_str();
        let notes = report.chain.iter().map(|id| match *id == report.backup {
            true => (*id, report.depth()),
            false => (*id, bytes),
        });
        self.note_each(&notes.collect::<Vec<_>>(), clock).await
    }

    /// Reads what a restore would write. How many entries that is.
    async fn read_through(&self, chain: &[&Manifest], observer: Option<Observer>) -> Result<u64> {
        let report = |phase, done, total| {
            if let Some(observer) = &observer {
                observer(&Progress { phase, done, total });
            }
        };
        self.verify_chain(chain, &|done, total| report(Phase::Verifying, done, total))
            .await?;
        let mut merge = Merge::new(self, chain, &Selection::all(), Upto::End);
        let total = chain.iter().map(|manifest| manifest.counts.entries).sum();
        let mut entries = 0_u64;
        while merge.next().await?.is_some() {
            entries += 1;
            if entries.is_multiple_of(4096) {
                report(Phase::Restoring, entries, total);
            }
        }
        Ok(entries)
    }
}
