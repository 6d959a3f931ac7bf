//! Restoring beside a store, and putting what was restored in its place.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use stead_core::{Backend, Entry, Error, ErrorKind, Expiry, Key, KeyRange, Partition, Reply, Result};

use super::compare::differs;
use super::cut_short::{Place, cut_short};
use super::fill::Filler;
use super::there::{There, same};
use super::{Restore, RestoreReport, Selection, mark_key, raised};
use crate::create::HIDDEN;
use crate::manager::Phase;
use crate::manifest::BackupId;

/// Entries between two reports of progress.
const REPORT_ENTRIES: u64 = 4096;

/// A store that a second one of its kind can be filled beside, and put in the place of in one step.
///
/// `stead::restore` of the facade has one for every URL of a store in a directory. Nobody else may write to the live store
/// from the beginning to the end.
pub trait Staging: Send {
    /// Whether there is a live store already. Where there is none, it is asked for, and so made, only once the backup was
    /// compared with its hashes: a damaged one leaves nothing behind.
    fn is_there(&self) -> bool {
        true
    }

    /// The live store, opened, or made where there is none.
    ///
    /// # Errors
    ///
    /// As opening it.
    fn live(&mut self) -> Reply<'_, Arc<dyn Backend>>;

    /// That the second store can be made, as far as that is known before: nothing is made yet.
    ///
    /// # Errors
    ///
    /// As [`stage`](Staging::stage).
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Makes the second store, empty. Its revisions are no lower than those of the live one.
    ///
    /// # Errors
    ///
    /// `Unsupported` where no second one can be switched to; nothing has changed then.
    fn stage(&mut self) -> Reply<'_, Arc<dyn Backend>>;

    /// Closes both, and puts the second in the place of the first: whoever opens the store from then on has that one, and
    /// whatever is killed, there is the one or the other. Returns where the replaced data are, if they still are.
    ///
    /// # Errors
    ///
    /// `UnknownOutcome` if it is not known which of the two is there; with any other the first is, unchanged.
    fn switch(self: Box<Self>) -> Reply<'static, Option<PathBuf>>;
}

/// What is restored into.
pub(crate) struct Target {
    live: Option<Arc<dyn Backend>>,
    /// Taken when a second store is needed: by then the backup was compared with its hashes.
    staging: Option<Box<dyn Staging>>,
}

impl Target {
    pub(crate) fn store(live: &Arc<dyn Backend>) -> Self {
        Target {
            live: Some(Arc::clone(live)),
            staging: None,
        }
    }

    pub(crate) fn staged(staging: Box<dyn Staging>) -> Self {
        Target {
            live: None,
            staging: Some(staging),
        }
    }

    /// Whether the store is still to be made.
    pub(super) fn is_new(&self) -> bool {
        self.live.is_none() && self.staging.as_ref().is_some_and(|staging| !staging.is_there())
    }

    pub(super) async fn live(&mut self) -> Result<Arc<dyn Backend>> {
        match (&self.live, &mut self.staging) {
            (Some(live), _) => Ok(Arc::clone(live)),
            (None, Some(staging)) => {
                let live = staging.live().await?;
                Ok(Arc::clone(self.live.insert(live)))
            }
            (None, None) => Err(Error::internal("a restore into no store")),
        }
    }

    pub(super) fn take_staging(&mut self) -> Option<Box<dyn Staging>> {
        self.staging.take()
    }

    /// What came of the restore, once the live store is closed, if it was opened. Where another took its place, it was
    /// closed for that.
    pub(crate) async fn closing<T>(self, restored: Result<T>, dry_run: bool) -> Result<T> {
        let closed = match self.live {
            Some(live) => live.close().await,
            None => Ok(()),
        };
        let restored = restored.and_then(|report| match closed {
            Ok(()) => Ok(report),
            Err(error) if dry_run => Err(error),
            Err(error) => Err(unclosed(error)),
        });
        restored.map_err(|error| error.during("restore"))
    }
}

/// What a restore comes to that was done, in a store that could not be closed.
fn unclosed(error: Error) -> Error {
    let message = "the backup was restored, and is durable, but the store could not be closed; make room if the disk is full, \
                   and open it anew";
    Error::new(error.kind(), message).because(error)
}

impl Restore<'_> {
    /// Fills a second store with the backup and with all that stays, compares, and switches.
    pub(super) async fn switch(
        &self,
        mut staging: Box<dyn Staging>,
        backup: BackupId,
        mut report: RestoreReport,
    ) -> Result<RestoreReport> {
        let live = &**self.target;
        let revision = live.stats().await?.revision;
        let raise = raised(revision).max(self.raise);
        if raise <= revision {
            return Err(Error::unsupported(
                "the store's revisions are used up; restore into a new store",
            ));
        }
        let unchanged = |error| cut_short(error, Place::Second);
        let staged = staging.stage().await.map_err(unchanged)?;
        let beside = Restore {
            target: &staged,
            raise,
            ..*self
        };
        let filled = beside.fill_beside(live, backup).await;
        let filled = filled.map_err(unchanged)?;
        drop(staged);
        report.previous = staging.switch().await.map_err(|error| match error.kind() {
            ErrorKind::UnknownOutcome => error,
            _ => unchanged(error),
        })?;
        // A deadline may have passed since the difference was counted.
        (report.entries, report.expired) = (filled.entries, filled.expired);
        report.revision = filled.revision;
        Ok(report)
    }

    /// Fills the target with the backup and with what the live store holds that is not restored, and compares.
    async fn fill_beside(&self, live: &dyn Backend, backup: BackupId) -> Result<RestoreReport> {
        self.carry_over(live).await?;
        let filled = self.fill(backup, mark_key()?, false).await?;
        self.compare_rest(live).await?;
        Ok(filled)
    }

    /// Writes to the target what the live store holds that is not restored.
    async fn carry_over(&self, live: &dyn Backend) -> Result<()> {
        let mut filler = Filler::new(self.target, self.raise, 0);
        let total = live.stats().await?.entries;
        let mut done = 0_u64;
        let mut rest = Rest::of(live, self.selection)?;
        while let Some((key, entry)) = rest.next().await? {
            let expiry = entry.deadline().map_or(Expiry::Never, Expiry::At);
            filler
                .put(key, Bytes::copy_from_slice(entry.value()), expiry)
                .await?;
            done += 1;
            if done.is_multiple_of(REPORT_ENTRIES) {
                self.options.report(Phase::Restoring, done, total);
            }
        }
        filler.finish().await
    }

    /// Compares what the target holds that is not restored with the live store.
    async fn compare_rest(&self, live: &dyn Backend) -> Result<()> {
        let mut ours = Rest::of(&**self.target, self.selection)?;
        let mut theirs = Rest::of(live, self.selection)?;
        let (mut our, mut their) = (ours.next().await?, theirs.next().await?);
        let mut equal = 0_u64;
        loop {
            match (&our, &their) {
                (None, None) => return Ok(()),
                (Some((key, entry)), Some((other_key, other))) if key == other_key && alike(entry, other) => {
                    equal += 1;
                    (our, their) = (ours.next().await?, theirs.next().await?);
                }
                // Its deadline passed while one of the two had been read already.
                (Some((_, entry)), _) if self.has_passed(entry) => our = ours.next().await?,
                (_, Some((_, entry))) if self.has_passed(entry) => their = theirs.next().await?,
                _ => return Err(differs(equal)),
            }
        }
    }

    fn has_passed(&self, entry: &Entry) -> bool {
        entry
            .deadline()
            .is_some_and(|deadline| deadline <= self.clock.now())
    }
}

fn alike(entry: &Entry, other: &Entry) -> bool {
    same(
        entry,
        other.value(),
        other.deadline().map_or(Expiry::Never, Expiry::At),
    )
}

/// What a store holds that is not restored: what others than its users keep there never is.
struct Rest<'a> {
    there: There<'a>,
    selection: &'a Selection,
}

impl<'a> Rest<'a> {
    fn of(store: &'a dyn Backend, selection: &'a Selection) -> Result<Self> {
        let range = match selection.is_everything() {
            true => hidden()?,
            false => KeyRange::all(),
        };
        Ok(Rest {
            there: There::with_hidden(store, &range),
            selection,
        })
    }

    async fn next(&mut self) -> Result<Option<(Key, Entry)>> {
        while let Some((key, entry)) = self.there.next().await? {
            if !self.selection.contains(&key) || key.partition_bytes().starts_with(HIDDEN) {
                return Ok(Some((key, entry)));
            }
        }
        Ok(None)
    }
}

/// The range of the partitions that are hidden.
fn hidden() -> Result<KeyRange> {
    let at = |partition: &[u8]| Key::new(&Partition::new(partition)?, "");
    let mut behind = HIDDEN.to_vec();
    if let Some(last) = behind.last_mut() {
        *last += 1;
    }
    Ok(KeyRange::all().after(&at(HIDDEN)?).before(&at(&behind)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_range_holds_hidden_partitions_and_no_others() {
        let range = hidden().unwrap();
        let key = |partition: &[u8]| Key::new(&Partition::new(partition).unwrap(), "k").unwrap();
        for partition in [&b"\x01stead.restore"[..], b"\x01stead.copy", b"\x01stead.\xff"] {
            assert!(range.contains(&key(partition)));
        }
        for partition in [
            &b"\x01stead"[..],
            b"\x01stead/",
            b"\x01",
            b"\x02",
            b"agent:1",
            b"\x01sta",
        ] {
            assert!(!range.contains(&key(partition)));
        }
    }
}
