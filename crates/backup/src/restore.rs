//! Restoring a backup into a store.

mod compare;
mod cut_short;
mod deadlines;
mod fill;
mod filter;
mod point;
mod replace;
mod staging;
mod there;

use std::path::PathBuf;
use std::sync::Arc;

use stead_core::{
    Backend, Clock, Entry, Error, Key, KeyRange, Partition, Result, Revision, Timestamp, WriteBatch,
};

use crate::create::HIDDEN;
use crate::log::Log;
use crate::manager::{Observer, Phase, Progress};
use crate::manifest::{BackupId, Manifest};
use crate::merge::Merge;
use crate::repository::Repository;

use cut_short::{Place, cut_short};
pub use deadlines::Deadlines;
use deadlines::Shift;
pub use filter::KeyFilter;
pub(crate) use filter::Selection;
pub use point::RestorePoint;
use point::{Chosen, choose};
pub use staging::Staging;
pub(crate) use staging::Target;
use there::There;

/// How to restore.
#[derive(Clone)]
#[non_exhaustive]
pub struct RestoreOptions {
    /// What to restore.
    pub point: RestorePoint,
    /// The keys to restore: all unless set.
    pub range: KeyRange,
    /// Of these, the keys to restore: all unless set. What the target holds under others stays.
    pub filter: Option<KeyFilter>,
    /// What becomes of deadlines.
    pub deadlines: Deadlines,
    /// Whether what the target holds in the range may be replaced. It has to be empty there otherwise.
    pub replace: bool,
    /// Keeps the data of a store that another one takes the place of, where that is how they are replaced.
    pub keep_previous: bool,
    /// Changes nothing, and says what would change.
    pub dry_run: bool,
    /// A revision that those of the restored entries shall be far above, besides that of the backup: of the store that the
    /// target will take the place of.
    pub above: Revision,
    /// Who is told how far it is.
    pub observer: Option<Observer>,
}

impl RestoreOptions {
    /// Everything of `point`, with the deadlines that it has, into an empty store.
    #[must_use]
    pub fn new(point: RestorePoint) -> Self {
        RestoreOptions {
            point,
            range: KeyRange::all(),
            filter: None,
            deadlines: Deadlines::Keep,
            replace: false,
            keep_previous: false,
            dry_run: false,
            above: Revision::ZERO,
            observer: None,
        }
    }

    fn selection(&self) -> Selection {
        Selection {
            range: self.range.clone(),
            filter: self.filter.clone(),
        }
    }

    fn report(&self, phase: Phase, done: u64, total: u64) {
        if let Some(observer) = &self.observer {
            observer(&Progress { phase, done, total });
        }
    }
}

/// How a restore is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreWay {
    /// The target holds nothing, and is filled.
    Fill,
    /// What differs is written in one batch.
    Batch,
    /// A second store is filled, and takes the place of the target.
    Switch,
    /// In none: what differs does not fit into a batch of the target, and there can be no second store. Only a dry run says
    /// so; else it is an error.
    Impossible,
}

/// What a restore did, or would do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreReport {
    /// The backup that was restored, or the newest one that had to be read.
    pub backup: BackupId,
    /// Entries of the backup in the range, without those whose deadline has passed.
    pub entries: u64,
    /// Entries that had passed their deadline, and were left out.
    pub expired: u64,
    /// Entries that the target did not have.
    pub added: u64,
    /// Entries that the target had with another value or deadline.
    pub changed: u64,
    /// Entries that the target had and the backup has not.
    pub removed: u64,
    /// The revision of the target behind the restore: higher than any that the target had, or a backup of the repository. What
    /// would be restored gets at least this one.
    pub revision: Revision,
    /// How it was done, or would be.
    pub way: RestoreWay,
    /// Where the data are that were replaced by switching, if they still are: they were to be
    /// [kept](RestoreOptions::keep_previous), or could not be removed.
    pub previous: Option<PathBuf>,
}

/// How far revisions are raised above those of the backup: further than a store gets that went on after it, so that what was
/// read of that store never passes for what is in this one.
const EPOCH: u64 = 1 << 32;
impl Repository {
    /// The backup that a restore of `point` would read, and stand on others for: the newest of its chain.
    ///
    /// # Errors
    ///
    /// - `Invalid`: there is no such backup;
    /// - `Corrupt`: the log is damaged, or a chain lacks a link, with its name.
    pub async fn find(&self, point: RestorePoint) -> Result<BackupId> {
        let found = async {
            let log = Log::read(self).await?;
            let chosen = choose(&log, point)?;
            newest(&chosen.chain).map(|manifest| manifest.id)
        };
        found.await.map_err(|error| error.during("restore"))
    }

    /// Restores a backup into `target`.
    ///
    /// All that is read is compared with its hashes first: a damaged backup changes nothing. An empty target is filled, and
    /// compared with the backup in the end. In one that holds something, and only with [`RestoreOptions::replace`], the
    /// difference is written in a single batch: others see all of it or nothing, and a restore that fails or is killed
    /// leaves what was there.
    ///
    /// Revisions go on behind those of the backup and of the target, with a wide gap, so that a revision that was read
    /// before the restore never matches an entry that it wrote. One that was as the backup has it keeps its revision.
    ///
    /// # Errors
    ///
    /// - `Invalid`: there is no such backup; the revision is not known exactly; the target holds something, or the unfinished
    ///   restore of another backup; an entry is larger than the target's limits;
    /// - `Unsupported`: the difference does not fit into one batch of the target, which
    ///   [`restore_staged`](Repository::restore_staged) can do, or the target cannot keep deadlines;
    /// - `Corrupt`: the backup is damaged, or a chain lacks a link, with its name;
    /// - `Full` and others that the target reports. A target that was empty is then marked as unfinished: the same restore
    ///   begins anew in it. `UnknownOutcome` is of a batch that replaces what the target held, and of nothing else.
    pub async fn restore(
        &self,
        target: &Arc<dyn Backend>,
        options: &RestoreOptions,
        clock: &dyn Clock,
    ) -> Result<RestoreReport> {
        let restored = async {
            let log = Log::read(self).await?;
            Box::pin(self.restore_from(&log, &mut Target::store(target), options, clock)).await
        };
        restored.await.map_err(|error| error.during("restore"))
    }

    /// Restores a backup into the live store of `staging`, and closes it. One that is not there is made once the backup was
    /// compared with its hashes.
    ///
    /// As [`restore`](Repository::restore), but a difference that is too large for one batch is no obstacle: a second store
    /// is filled beside the live one, with the backup and with what the live one holds outside of the range, compared,
    /// and put in its place in one step. Whatever fails or is killed leaves the old or the new state, whole.
    ///
    /// Where the store was switched, every entry has a revision of its own from behind the restore, those outside of the
    /// range too.
    ///
    /// # Errors
    ///
    /// As [`restore`](Repository::restore), and those of [`Staging`]. A store that held something is unchanged, unless it is
    /// `UnknownOutcome`.
    ///
    /// # Cancellation
    ///
    /// As dropping `staging`, before it begins to switch.
    pub async fn restore_staged(
        &self,
        staging: Box<dyn Staging>,
        options: &RestoreOptions,
        clock: &dyn Clock,
    ) -> Result<RestoreReport> {
        let mut target = Target::staged(staging);
        let restored = async {
            let log = Log::read(self).await?;
            Box::pin(self.restore_from(&log, &mut target, options, clock)).await
        };
        let restored = restored.await;
        target.closing(restored, options.dry_run).await
    }

    /// Restores what `log` says.
    pub(crate) async fn restore_from(
        &self,
        log: &Log,
        into: &mut Target,
        options: &RestoreOptions,
        clock: &dyn Clock,
    ) -> Result<RestoreReport> {
        let chosen = choose(log, options.point)?;
        let newest = newest(&chosen.chain)?;
        let is_new = into.is_new();
        if is_new && options.dry_run {
            return Err(Error::invalid(
                "there is no store to compare with; a restore would make one, and fill it",
            ));
        }
        if is_new {
            self.verify_chosen(&chosen, options).await?;
        }
        let target = &into.live().await?;
        if !target.capabilities().writable {
            return Err(Error::unsupported("the target is open for reading only"));
        }
        let selection = options.selection();
        let mark = mark_key()?;
        let unfinished = target.get(&mark).await?;
        // All that such a store holds goes, which is what is asked for where all of it is to be replaced.
        let takes_over = options.replace && selection.is_everything();
        if let Some(entry) = &unfinished
            && !takes_over
            && entry.value() != mark_of(self, newest.id).as_bytes()
        {
            return Err(unfinished_restore(
                "the target holds an unfinished restore of another backup; finish that one, or ask for what the target holds to \
                 be replaced by the whole backup",
                entry,
            ));
        }
        // What is not restored stays, and is in use.
        let live = unfinished.is_none() && holds_anything(&**target, &Selection::all()).await?;
        if live && !options.replace && holds_anything(&**target, &selection).await? {
            return Err(Error::invalid(
                "the target is not empty; name an empty one, or ask for what it holds to be replaced",
            ));
        }
        if !is_new {
            self.verify_chosen(&chosen, options).await?;
        }
        let restore = Restore {
            repository: self,
            chosen: &chosen,
            options,
            selection: &selection,
            target,
            raise: raised(highest(log).max(options.above)).max(epoch_of(clock.now())),
            shift: Shift::new(options.deadlines, newest.taken(), clock.now()),
            clock,
        };
        if unfinished.is_some() && !takes_over {
            restore.check_untouched().await?;
        }
        match (live, options.dry_run) {
            (true, _) => restore.replace(newest.id, into.take_staging()).await,
            (false, true) => restore.count(newest.id).await,
            (false, false) => {
                let filled = restore.fill(newest.id, mark, unfinished.is_some()).await;
                filled.map_err(|error| cut_short(error, Place::Target))
            }
        }
    }

    async fn verify_chosen(&self, chosen: &Chosen<'_>, options: &RestoreOptions) -> Result<()> {
        self.verify_chain(&chosen.chain, &|done, total| {
            options.report(Phase::Verifying, done, total);
        })
        .await
    }
}

/// A restore under way.
struct Restore<'a> {
    repository: &'a Repository,
    chosen: &'a Chosen<'a>,
    options: &'a RestoreOptions,
    selection: &'a Selection,
    target: &'a Arc<dyn Backend>,
    raise: Revision,
    shift: Shift,
    clock: &'a dyn Clock,
}

impl Restore<'_> {
    fn merge(&self) -> Merge {
        Merge::new(
            self.repository,
            &self.chosen.chain,
            self.selection,
            self.chosen.upto,
        )
        .verified()
    }

    /// That a target which was not finished holds nothing but what is to be written to it: it begins anew.
    async fn check_untouched(&self) -> Result<()> {
        let mut there = There::new(&**self.target, &Selection::all());
        let mut merge = self.merge();
        let mut wanted = merge.next().await?;
        while let Some((key, entry)) = there.next().await? {
            while wanted.as_ref().is_some_and(|wanted| wanted.key < key) {
                wanted = merge.next().await?;
            }
            let of_the_backup = wanted.as_ref().filter(|wanted| wanted.key == key);
            if of_the_backup.and_then(|wanted| wanted.payload.value()) != Some(entry.value()) {
                return Err(Error::invalid(
                    "the target holds more than this restore would write, which was cut short before: it was written to \
                     meanwhile, or another part of the backup was restored; save what is wanted of that, and ask for all that it \
                     holds to be replaced by the whole backup",
                ));
            }
        }
        Ok(())
    }

    fn empty_report(&self, backup: BackupId) -> RestoreReport {
        RestoreReport {
            backup,
            entries: 0,
            expired: 0,
            added: 0,
            changed: 0,
            removed: 0,
            revision: self.raise,
            way: RestoreWay::Fill,
            previous: None,
        }
    }
}

fn mark_key() -> Result<Key> {
    Key::new(&Partition::new([HIDDEN, b"restore"].concat())?, "unfinished")
}

fn mark_of(repository: &Repository, backup: BackupId) -> String {
    format!(
        "stead-restore 1\nrepository {}\nbackup {backup}\n",
        repository.id()
    )
}

/// What is wrong with a store that has a mark, with the name of the backup that it is of, where that can be read.
fn unfinished_restore(message: &'static str, mark: &Entry) -> Error {
    let text = std::str::from_utf8(mark.value()).unwrap_or_default();
    let mut lines = text.lines();
    let error = Error::invalid(message);
    match lines.find_map(|line| line.strip_prefix("backup ")?.parse::<BackupId>().ok()) {
        Some(id) => error.with("backup", id),
        None => error,
    }
}

/// That the store is not the target of a restore that was cut short, and so holds a part of a backup.
///
/// # Errors
///
/// `Invalid` if it is; what the store reports.
pub async fn check_finished(store: &dyn Backend) -> Result<()> {
    match store.get(&mark_key()?).await? {
        None => Ok(()),
        Some(mark) => Err(unfinished_restore(
            "the store holds a part of a backup, since a restore into it was cut short; restore the backup again",
            &mark,
        )),
    }
}

/// The highest revision that any backup says anything of: a partition that became empty has none in the newest, and a store
/// that an older one is restored into may be read by those who read a newer state.
fn highest(log: &Log) -> Revision {
    let reached = log.backups().map(|(_, manifest)| manifest.upto.highest());
    reached.max().unwrap_or(Revision::ZERO)
}

/// A revision that follows from the time, one for each 16 microseconds: above those of a store that was restored before, from
/// the same backup and so with the same revisions, and then lost. Nobody writes as often for long.
fn epoch_of(now: Timestamp) -> Revision {
    let number = now.as_millis().saturating_mul(1000) >> 4;
    // A clock that is far off must not use up those that are left.
    let likely = number < Revision::HIGHEST_RAISE.get() / 2;
    Revision::new(if likely { number } else { 0 })
}

fn raised(above: Revision) -> Revision {
    Revision::new(
        above
            .get()
            .saturating_add(EPOCH)
            .min(Revision::HIGHEST_RAISE.get()),
    )
}

async fn holds_anything(target: &dyn Backend, selection: &Selection) -> Result<bool> {
    There::new(target, selection)
        .next()
        .await
        .map(|found| found.is_some())
}

fn newest<'a>(chain: &[&'a Manifest]) -> Result<&'a Manifest> {
    chain
        .last()
        .copied()
        .ok_or_else(|| Error::internal("a chain of no backups"))
}

async fn apply(target: &dyn Backend, batch: WriteBatch) -> Result<Revision> {
    target.apply(batch).await?.committed()
}
