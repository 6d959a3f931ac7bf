//! Restoring the newest backup that can be restored.

use std::sync::Arc;

use stead_core::{Backend, Clock, Error, ErrorKind, Result, Timestamp};

use crate::log::Log;
use crate::manifest::BackupId;
use crate::repository::Repository;
use crate::restore::{RestoreOptions, RestorePoint, RestoreReport, Staging, Target};

/// What [`Repository::restore_latest`] did.
#[derive(Debug)]
#[non_exhaustive]
pub struct LatestReport {
    /// What was restored.
    pub restored: RestoreReport,
    /// The newer backups that are damaged, the newest first.
    pub passed_over: Vec<PassedOver>,
    /// What is wrong with the log of the repository. There may have been newer backups then, of which nothing is known any
    /// more, and what was restored may be one that was forgotten.
    pub log_damage: Option<Error>,
}

impl From<RestoreReport> for LatestReport {
    /// Of a backup before which none was passed over.
    fn from(restored: RestoreReport) -> Self {
        LatestReport {
            restored,
            passed_over: Vec::new(),
            log_damage: None,
        }
    }
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
    /// Where the log of the repository is damaged, what is left of it is used, and the report says so, too: it is no more
    /// known then whether there was a newer backup.
    ///
    /// Only damage makes it go on to an older backup. A repository or a store that does not answer is an error: it may
    /// answer later, and the newest backup be whole.
    ///
    /// # Errors
    ///
    /// - `Invalid`: there is no backup; another point;
    /// - `Corrupt`: none of them is whole;
    /// - else as [`restore`](Repository::restore).
    pub async fn restore_latest(
        &self,
        target: &Arc<dyn Backend>,
        options: &RestoreOptions,
        clock: &dyn Clock,
    ) -> Result<LatestReport> {
        let found = Box::pin(self.newest_whole(&mut Target::store(target), options, clock)).await;
        found.map_err(|error| error.during("restore"))
    }

    /// As [`restore_latest`](Repository::restore_latest), into the live store of `staging`, which is closed then: see
    /// [`restore_staged`](Repository::restore_staged).
    ///
    /// # Errors
    ///
    /// As [`restore_latest`](Repository::restore_latest), and those of [`Staging`].
    ///
    /// # Cancellation
    ///
    /// As [`restore_staged`](Repository::restore_staged).
    pub async fn restore_latest_staged(
        &self,
        staging: Box<dyn Staging>,
        options: &RestoreOptions,
        clock: &dyn Clock,
    ) -> Result<LatestReport> {
        let mut target = Target::staged(staging);
        let found = Box::pin(self.newest_whole(&mut target, options, clock)).await;
        target.closing(found, options.dry_run).await
    }

    async fn newest_whole(
        &self,
        target: &mut Target,
        options: &RestoreOptions,
        clock: &dyn Clock,
    ) -> Result<LatestReport> {
        let at_most = newest_allowed(options.point)?;
        let (log, log_damage) = match Log::read(self).await {
            Ok(log) => (log, None),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::error!(error = error.message(), "the log of the repository is damaged");
                (Log::salvage(self).await?, Some(error))
            }
            Err(error) => return Err(error),
        };
        let allowed = log.backups().rev().map(|(_, manifest)| manifest);
        let allowed = allowed.filter(|manifest| at_most.is_none_or(|time| manifest.taken() <= time));
        let mut passed_over = Vec::new();
        for manifest in allowed {
            let backup = manifest.id;
            let mut one = options.clone();
            one.point = RestorePoint::Backup(backup);
            match Box::pin(self.restore_from(&log, target, &one, clock)).await {
                Ok(restored) => {
                    return Ok(LatestReport {
                        restored,
                        passed_over,
                        log_damage,
                    });
                }
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    let error = self.check_damaged(&log, &backup, error).await?;
                    tracing::warn!(%backup, error = error.message(), "backup passed over");
                    passed_over.push(PassedOver { backup, error });
                }
                Err(error) => return Err(error),
            }
        }
        match (passed_over.into_iter().next(), log_damage) {
            (Some(newest), _) => Err(Error::corrupt(
                "no backup of the repository is whole; verify says what is damaged, and another copy of the repository may help",
            )
            .with("newest", newest.backup)
            .because(newest.error)),
            (None, Some(damage)) => Err(damage),
            (None, None) => Err(Error::invalid(
                "there is no backup in the repository, or none of this time or before",
            )),
        }
    }

    /// That `error` is about the backup and not about the target: nothing was written then. The error is given back in
    /// either case.
    async fn check_damaged(&self, log: &Log, id: &BackupId, error: Error) -> Result<Error> {
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

/// The time that no backup is to be newer than, if there is one.
fn newest_allowed(point: RestorePoint) -> Result<Option<Timestamp>> {
    match point {
        RestorePoint::Latest => Ok(None),
        RestorePoint::Time(time) => Ok(Some(time)),
        RestorePoint::Backup(_) | RestorePoint::Revision(_) => Err(Error::invalid(
            "the newest whole backup was asked for, and a certain one named; restore that one instead",
        )),
    }
}
