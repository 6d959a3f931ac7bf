//! How a coordinator works.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use stead_core::{Backend, Error, Result, Timestamp};

use super::event::{CheckpointEvent, CheckpointObserver};
use super::schedule::Schedule;
use crate::manager::{BackupType, CreateOptions};
use crate::retention::RetentionPolicy;

/// How a [`CheckpointCoordinator`](crate::CheckpointCoordinator) works.
///
/// ```
/// use std::time::Duration;
///
/// use stead_backup::{CheckpointOptions, CheckpointRetention, RetentionPolicy, Schedule};
///
/// let mut options = CheckpointOptions::new(Schedule::Every(Duration::from_secs(15 * 60)));
/// options.full_every = Duration::from_secs(7 * 24 * 3600);
/// options.retention = Some(CheckpointRetention::new(RetentionPolicy::CountBasedPolicy { max_backups: 500 }));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CheckpointOptions {
    /// When checkpoints are made: every five minutes unless set.
    pub schedule: Schedule,
    /// The least time between two checkpoints; none unless set. A tick that comes earlier waits until it is over. Checkpoints
    /// that are asked for with [`checkpoint_now`](crate::CheckpointCoordinator::checkpoint_now) are not held to it.
    pub min_interval: Duration,
    /// A full checkpoint is made when so many checkpoints were, the full one before among them: 100 unless set. 1 makes all
    /// of them full. A restore reads the full one and all that stand on it.
    pub full_every_checkpoints: u32,
    /// A full checkpoint is made when the full one before is so old: a day unless set.
    pub full_every: Duration,
    /// Tags of all checkpoints.
    pub tags: Vec<String>,
    /// Which backups of the repository are kept, whoever made them; all unless set.
    pub retention: Option<CheckpointRetention>,
    /// Which backups are restored on trial: the newest, once a day, unless set. `None` for none.
    pub trials: Option<TrialOptions>,
    /// The longest wait behind the first failure: a second unless set. It doubles with each failure that follows; the wait is
    /// anywhere between half of it and all of it.
    pub retry_first: Duration,
    /// The longest wait behind any failure: five minutes unless set.
    pub retry_longest: Duration,
    /// How long the final checkpoint of a [`shutdown`](crate::CheckpointCoordinator::shutdown) is tried while another process
    /// writes to the repository, or the store or the repository cannot be reached: 30 s unless set. `None` makes no final
    /// checkpoint.
    pub final_checkpoint: Option<Duration>,
    /// Who is told what happens.
    pub observer: Option<CheckpointObserver>,
}

impl Default for CheckpointOptions {
    fn default() -> Self {
        CheckpointOptions::new(Schedule::Every(Duration::from_secs(5 * 60)))
    }
}

impl CheckpointOptions {
    /// Checkpoints at the times of `schedule`.
    #[must_use]
    pub fn new(schedule: Schedule) -> Self {
        CheckpointOptions {
            schedule,
            min_interval: Duration::ZERO,
            full_every_checkpoints: 100,
            full_every: Duration::from_secs(24 * 3600),
            tags: Vec::new(),
            retention: None,
            trials: Some(TrialOptions::default()),
            retry_first: Duration::from_secs(1),
            retry_longest: Duration::from_secs(5 * 60),
            final_checkpoint: Some(Duration::from_secs(30)),
            observer: None,
        }
    }

    /// Tells `observer` what happens. It runs on the task of the coordinator: it had better be quick.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Fn(&CheckpointEvent) + Send + Sync + 'static) -> Self {
        self.observer = Some(CheckpointObserver::new(observer));
        self
    }

    pub(super) fn check(&self, now: Timestamp) -> Result<()> {
        self.schedule.check(now)?;
        if let Schedule::Every(interval) = self.schedule
            && interval < self.min_interval
        {
            return Err(Error::invalid(
                "the minimum interval between checkpoints is longer than their interval; make one the other's size",
            )
            .with("min_interval_ms", self.min_interval.as_millis())
            .with("interval_ms", interval.as_millis()));
        }
        let positive = [
            ("full_every_checkpoints", self.full_every_checkpoints > 0),
            ("full_every", !self.full_every.is_zero()),
            ("retry_first", !self.retry_first.is_zero()),
            ("trials", self.trials.as_ref().is_none_or(TrialOptions::is_sound)),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, sound)| !sound) {
            return Err(
                Error::invalid("an option of checkpoints is zero, and has to be above").with("option", name),
            );
        }
        if let Some(retention) = &self.retention {
            retention.policy.check()?;
        }
        self.create(BackupType::Full).check()
    }

    pub(super) fn create(&self, kind: BackupType) -> CreateOptions {
        let mut options = CreateOptions::new(kind);
        options.tags.clone_from(&self.tags);
        options
    }

    pub(super) fn tell(&self, event: &CheckpointEvent) {
        if let Some(observer) = &self.observer {
            observer.tell(event);
        }
    }
}

/// Which backups are kept behind checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointRetention {
    /// Which ones.
    pub policy: RetentionPolicy,
    /// How long what was forgotten stays in the trash: a day unless set.
    pub grace: Duration,
    /// The least time between two looks at it: an hour unless set. Each reads the trees of all backups.
    pub every: Duration,
}

impl CheckpointRetention {
    /// What `policy` keeps, looked at behind a checkpoint once an hour at most, and removed a day later.
    #[must_use]
    pub fn new(policy: RetentionPolicy) -> Self {
        CheckpointRetention {
            policy,
            grace: Duration::from_secs(24 * 3600),
            every: Duration::from_secs(3600),
        }
    }
}

/// When backups are restored on trial, and into what.
#[derive(Clone)]
#[non_exhaustive]
pub struct TrialOptions {
    /// So long after the trial before began: a day unless set. `None` for no time.
    pub every: Option<Duration>,
    /// After so many checkpoints; `None`, for no number, unless set.
    pub every_checkpoints: Option<u32>,
    /// What gives the store to restore into. Without it, the backup is read, compared with its hashes and put together as a
    /// restore does, in constant memory, and written nowhere.
    store: Option<Opener>,
}

type Opened = Pin<Box<dyn Future<Output = Result<TrialStore>> + Send>>;
type Opener = Arc<dyn Fn() -> Opened + Send + Sync>;

impl Default for TrialOptions {
    fn default() -> Self {
        TrialOptions {
            every: Some(Duration::from_secs(24 * 3600)),
            every_checkpoints: None,
            store: None,
        }
    }
}

impl TrialOptions {
    /// Restores into the store that `open` gives, an empty one each time, and compares it there. The store is closed behind
    /// the trial.
    #[must_use]
    pub fn with_store<F, Opening>(mut self, open: F) -> Self
    where
        F: Fn() -> Opening + Send + Sync + 'static,
        Opening: Future<Output = Result<TrialStore>> + Send + 'static,
    {
        self.store = Some(Arc::new(move || Box::pin(open())));
        self
    }

    pub(super) async fn open(&self) -> Result<Option<TrialStore>> {
        match &self.store {
            Some(open) => open().await.map(Some),
            None => Ok(None),
        }
    }

    fn is_sound(&self) -> bool {
        self.every.is_none_or(|every| !every.is_zero()) && self.every_checkpoints != Some(0)
    }
}

impl fmt::Debug for TrialOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrialOptions")
            .field("every", &self.every)
            .field("every_checkpoints", &self.every_checkpoints)
            .field("into_store", &self.store.is_some())
            .finish()
    }
}

/// A store to restore into on trial, and what has to live as long as it does.
pub struct TrialStore {
    pub(super) store: Arc<dyn Backend>,
    /// Dropped behind the store.
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

impl TrialStore {
    /// An empty store, which nobody else uses.
    #[must_use]
    pub fn new(store: Arc<dyn Backend>) -> Self {
        TrialStore { store, _guard: None }
    }

    /// With something that is dropped once the store was closed: a temporary directory.
    #[must_use]
    pub fn with_guard(mut self, guard: impl Any + Send + Sync) -> Self {
        self._guard = Some(Box::new(guard));
        self
    }
}

impl fmt::Debug for TrialStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrialStore")
            .field("backend", &self.store.capabilities().name)
            .finish_non_exhaustive()
    }
}
