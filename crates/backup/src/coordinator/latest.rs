//! Restoring the newest backup that can be restored.

use std::sync::Arc;

use stead_core::{Backend, Clock, Error, ErrorKind, Result};

use crate::log::Log;
use crate::manifest::BackupId;
use crate::repository::Repository;
use crate::restore::{RestoreOptions, RestorePoint, RestoreReport};

/// What [`Repository::restore_latest`] did.
#[derive(Debug)]
#[non_exhaustive]
pub struct LatestReport {
    /// What was restored.
    pub restored: RestoreReport,
    /// The newer backups that are damaged, the newest first.
    pub passed_over: Vec<PassedOver>,
}

/// A backup that was not restored.
#[derive(Debug)]
#[non_exhaustive]
pub struct PassedOver {
    /// Its id.
    pub backup: BackupId,
    /// What is wrong with it.
    pub error: Error,
}

impl Repository {
    /// Restores the newest backup that is whole: where one is damaged, or stands on one that is, the one before. The report
    /// says which were passed over, and why.
    ///
    /// The point of `options` is [`Latest`](RestorePoint::Latest), or a [`Time`](RestorePoint::Time) that no backup is to be
    /// newer than. Each backup is compared with its hashes before the first write, so that a damaged one changes nothing in
    /// `target`.
    ///
    /// Only damage makes it go on to an older backup. A repository or a store that does not answer is an error: it may
    /// answer later, and the newest backup be whole.
    ///
    /// # Errors
    ///
    /// - `Invalid`: there is no backup; another point;
    /// - `Corrupt`: none of them is whole, or the log of the repository is damaged;
    /// - else as [`restore`](Repository::restore).
    pub async fn restore_latest(
        &self,
        target: &Arc<dyn Backend>,
        options: &RestoreOptions,
        clock: &dyn Clock,
    ) -> Result<LatestReport> {
        let at_most = match options.point {
            RestorePoint::Latest => None,
            RestorePoint::Time(time) => Some(time),
            RestorePoint::Backup(_) | RestorePoint::Revision(_) => {
                return Err(Error::invalid(
                    "the newest whole backup was asked for, and a certain one named; restore that one instead",
                ));
            }
        };
        let backups = self.backups().await.map_err(|error| error.during("restore"))?;
        let allowed = backups
            .iter()
            .rev()
            .filter(|backup| at_most.is_none_or(|time| backup.taken <= time));
        let mut passed_over = Vec::new();
        for backup in allowed {
            let mut one = options.clone();
            one.point = RestorePoint::Backup(backup.id);
            match self.restore(target, &one, clock).await {
                Ok(restored) => {
                    return Ok(LatestReport {
                        restored,
                        passed_over,
                    });
                }
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    self.check_damaged(&backup.id, error).await.map(|error| {
                        tracing::warn!(backup = %backup.id, error = error.message(), "backup passed over");
                        passed_over.push(PassedOver {
                            backup: backup.id,
                            error,
                        });
                    })?;
                }
                Err(error) => return Err(error),
            }
        }
        match passed_over.into_iter().next() {
            None => Err(Error::invalid("there is no backup in the repository, or none of this time or before").during("restore")),
            Some(newest) => Err(Error::corrupt(
                "no backup of the repository is whole; verify says what is damaged, and another copy of the repository may help",
            )
            .with("newest", newest.backup)
            .because(newest.error)
            .during("restore")),
        }
    }

    /// That `error` is about the backup and not about the target: nothing was written then. The error is given back in
    /// either case.
    async fn check_damaged(&self, id: &BackupId, error: Error) -> Result<Error> {
        let log = Log::read(self).await?;
        let chain = match log.chain(id) {
            Ok(chain) => chain,
            Err(_) => return Ok(error),
        };
        match self.verify_chain(&chain, &|_, _| {}).await {
            Err(damage) if damage.kind() == ErrorKind::Corrupt => Ok(error),
            Err(other) => Err(other),
            Ok(()) => Err(error),
        }
    }
}
