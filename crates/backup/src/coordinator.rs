//! Checkpoints on a schedule.

mod backoff;
mod checkpoint;
mod event;
mod known;
mod latest;
mod options;
mod schedule;
mod stats;
mod trial;
mod trials;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use stead_core::{Backend, Error, Result};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub use event::{CheckpointEvent, CheckpointObserver, FullReason};
pub use latest::{LatestReport, PassedOver};
pub use options::{CheckpointOptions, CheckpointRetention, TrialOptions, TrialStore};
pub use schedule::{CronExpression, Schedule};
pub use stats::CheckpointStats;
pub use trial::TrialReport;
use worker::{Command, Demand, SharedStats, Wish, Worker, closed};

use crate::manager::BackupManager;
use crate::metadata::CheckpointMetadata;
use crate::repository::Repository;
use crate::restore::RestoreOptions;

/// Makes checkpoints of a store: on a schedule, on demand, and a final one at the end.
///
/// A checkpoint is a backup in the repository of a [`BackupManager`], whose clock, randomness and observer of progress are
/// used. It works on a task of its own, one thing after the other:
///
/// - *Ticks.* [`Schedule`] says when. No two checkpoints overlap. Ticks that went by while one was made, while the process was
///   paused or did not run, or while the clock jumped, make one checkpoint. A clock that is set back delays none for longer
///   than the schedule does; that it was is noticed within 30 s.
/// - *Kinds.* What changed since the newest backup; a full one where there is none, as often as the options say, and where
///   the newest cannot be stood on, because it is damaged or of another store. So a repository is for one store.
/// - *Failures.* A tick that failed is tried again, after waits that grow with jitter, until a checkpoint is there; meanwhile
///   other ticks wait with it. That another process writes to the repository is such a failure. No failure ends the schedule.
/// - *Retention* follows checkpoints, and removes what was forgotten long enough ago.
/// - *Trial restores* of the newest backup run beside the schedule. What passes is noted in the repository, for retention
///   never forgets the last full backup that was verified. Damage makes the next checkpoint a full one, at once, which is
///   then tried; until one passes, nothing is forgotten. In a directory a full checkpoint also writes anew what it finds
///   damaged of what it needs.
///
/// It lives until [`shutdown`](CheckpointCoordinator::shutdown), which waits for the checkpoint under way and makes a final
/// one. Dropping it ends everything at once: no final checkpoint is made, and one under way leaves no backup, unless it was
/// being published.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// use std::sync::Arc;
///
/// use stead_backup::{BackupManager, CheckpointCoordinator, CheckpointOptions, Repository, RestoreOptions, RestorePoint, Schedule};
/// use stead_core::{Backend, BackendExt, Key, Partition, SystemClock, SystemRandom};
/// use stead_memory::MemoryBackend;
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let url = dir.path().join("backups");
/// # let url = url.to_str().unwrap();
/// let store: Arc<dyn Backend> = Arc::new(MemoryBackend::default());
/// let repository = Repository::init(url, &SystemClock, &SystemRandom).await?;
/// let manager = BackupManager::new(repository.clone(), Arc::clone(&store));
/// let options = CheckpointOptions::new(Schedule::cron("*/15 * * * *")?);
/// let coordinator = CheckpointCoordinator::start(manager, options)?;
///
/// let key = Key::new(&Partition::new("notes")?, "today")?;
/// store.put(key.clone(), "write the docs").await?;
/// let checkpoint = coordinator.checkpoint_now().await?;
/// assert_eq!(coordinator.stats().last_checkpoint, Some(checkpoint.id));
/// coordinator.shutdown().await?;
///
/// // Another process, after the machine of this one was lost.
/// let target: Arc<dyn Backend> = Arc::new(MemoryBackend::default());
/// let latest = repository.restore_latest(&target, &RestoreOptions::new(RestorePoint::Latest), &SystemClock).await?;
/// assert!(latest.passed_over.is_empty());
/// assert!(target.get(&key).await?.is_some());
/// # Ok::<(), stead_core::Error>(())
/// # }).unwrap();
/// ```
pub struct CheckpointCoordinator {
    manager: BackupManager,
    commands: mpsc::UnboundedSender<Command>,
    stats: SharedStats,
    task: JoinHandle<()>,
}

/// What became of a demand for a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointAnswer {
    /// It was made.
    Made(CheckpointMetadata),
    /// The newest one is younger than the minimum interval.
    TooSoon {
        /// The newest one.
        newest: CheckpointMetadata,
        /// How long until it is not.
        wait: Duration,
    },
}

impl CheckpointAnswer {
    /// The newest checkpoint, whether it was made for this demand or not.
    #[must_use]
    pub fn into_newest(self) -> CheckpointMetadata {
        match self {
            CheckpointAnswer::Made(newest) | CheckpointAnswer::TooSoon { newest, .. } => newest,
        }
    }
}

impl CheckpointCoordinator {
    /// Begins. Where the repository has no backup, or a tick went by since its newest, a checkpoint is made at once.
    ///
    /// # Errors
    ///
    /// - `Invalid` for options that cannot be, and where no tokio runtime with a timer runs;
    /// - `Unsupported` where the store has no snapshots.
    ///
    /// What the repository answers is told later, as failures of checkpoints.
    pub fn start(manager: BackupManager, options: CheckpointOptions) -> Result<Self> {
        options.check(manager.clock.now())?;
        manager.check_store()?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|cause| {
            Error::invalid("a coordinator of checkpoints runs on a tokio runtime; start it on one")
                .because(cause)
        })?;
        let (commands, receiver) = mpsc::unbounded_channel();
        let stats = SharedStats::default();
        let (of_worker, shown) = (manager.clone(), stats.clone());
        let task = runtime.spawn(async move {
            let worker = Box::pin(Worker::new(of_worker, options, shown, receiver)).await;
            worker.run().await;
        });
        Ok(CheckpointCoordinator {
            manager,
            commands,
            stats,
            task,
        })
    }

    /// Makes a checkpoint now, whatever the minimum interval: of an instant behind this call. Where one is under way, another
    /// follows it. Those who ask meanwhile share that one.
    ///
    /// # Errors
    ///
    /// `Closed` behind a shutdown; else as [`BackupManager::create`]. It is not tried again: the schedule goes on as it would
    /// have.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the demand: the checkpoint is made.
    #[doc(alias = "create_checkpoint")]
    pub async fn checkpoint_now(&self) -> Result<CheckpointMetadata> {
        self.demand(Wish::Now).await.map(CheckpointAnswer::into_newest)
    }

    /// As [`checkpoint_now`](CheckpointCoordinator::checkpoint_now), and a full one.
    ///
    /// # Errors
    ///
    /// As [`checkpoint_now`](CheckpointCoordinator::checkpoint_now).
    pub async fn full_checkpoint_now(&self) -> Result<CheckpointMetadata> {
        self.demand(Wish::Full).await.map(CheckpointAnswer::into_newest)
    }

    /// As [`checkpoint_now`](CheckpointCoordinator::checkpoint_now), unless the newest checkpoint is younger than
    /// [`CheckpointOptions::min_interval`]: then the answer says so, and is the newest one.
    ///
    /// # Errors
    ///
    /// As [`checkpoint_now`](CheckpointCoordinator::checkpoint_now).
    pub async fn checkpoint_unless_recent(&self) -> Result<CheckpointAnswer> {
        self.demand(Wish::UnlessRecent).await
    }

    async fn demand(&self, wish: Wish) -> Result<CheckpointAnswer> {
        let (answer, answered) = oneshot::channel();
        let demand = Demand { wish, answer };
        self.commands
            .send(Command::Checkpoint(demand))
            .map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Restores the newest backup of the repository that is whole: [`Repository::restore_latest`].
    ///
    /// # Errors
    ///
    /// As [`Repository::restore_latest`].
    pub async fn restore_latest(
        &self,
        target: &Arc<dyn Backend>,
        options: &RestoreOptions,
    ) -> Result<LatestReport> {
        let restored = self
            .manager
            .repository
            .restore_latest(target, options, &*self.manager.clock)
            .await;
        self.stats
            .change(|stats| stats.restore_failures += u64::from(restored.is_err()));
        restored
    }

    /// What it did so far.
    #[must_use]
    pub fn stats(&self) -> CheckpointStats {
        let mut stats = self.stats.read();
        let now = self.manager.clock.now();
        stats.newest_verified_age = stats.newest_verified.map(|(_, taken)| taken.until(now));
        stats
    }

    /// Where the checkpoints are kept.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        self.manager.repository()
    }

    /// Ends: waits for the checkpoint under way and for those that were asked for, makes the final one, and gives it back.
    /// `None` where [`CheckpointOptions::final_checkpoint`] says that there is none, and where it was shut down before.
    ///
    /// # Errors
    ///
    /// That of the last attempt at the final checkpoint. It has ended all the same.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the shutdown: it goes on as long as the coordinator is there.
    pub async fn shutdown(&self) -> Result<Option<CheckpointMetadata>> {
        let (answer, answered) = oneshot::channel();
        if self.commands.send(Command::Shutdown(answer)).is_err() {
            return Ok(None);
        }
        // Without an answer, another shutdown was faster.
        answered.await.unwrap_or(Ok(None))
    }
}

impl Drop for CheckpointCoordinator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for CheckpointCoordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointCoordinator")
            .field("repository", self.repository())
            .finish_non_exhaustive()
    }
}
