//! Making backups of a store.

use std::fmt;
use std::sync::Arc;

use stead_core::{Backend, Clock, Error, Random, Result, SystemClock, SystemRandom};

use crate::increment::MOST_CHANGED_BYTES;
use crate::manifest::{BackupId, MAX_TAGS, check_tag};
use crate::metadata::BackupMetadata;
use crate::repository::Repository;
use crate::writer::SpareParts;

/// What a backup is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupType {
    /// Everything.
    Full,
    /// What changed since this backup, deletions and expiries included.
    Incremental {
        /// The backup to stand on.
        base_backup_id: BackupId,
    },
    /// What changed since the newest backup; everything where there is none.
    IncrementalFromNewest,
    /// What changed since the newest full backup; everything where there is none.
    Differential,
}

/// How a backup is made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CreateOptions {
    /// What it is to hold.
    pub kind: BackupType,
    /// Words to find it by, and to keep it for.
    pub tags: Vec<String>,
}

impl CreateOptions {
    /// A backup of `kind` without tags.
    #[must_use]
    pub fn new(kind: BackupType) -> Self {
        CreateOptions {
            kind,
            tags: Vec::new(),
        }
    }

    /// With a tag more: 1 to 64 letters, digits, `-`, `_` and `.`, at most 32 of them.
    #[must_use]
    pub fn with_tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.tags.len() > MAX_TAGS {
            return Err(Error::invalid("a backup has more tags than the limit")
                .with("tags", self.tags.len())
                .with("limit", MAX_TAGS));
        }
        self.tags.iter().try_for_each(|tag| check_tag(tag))
    }
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Entries of the store are read and written to the repository.
    Reading,
    /// Chunks of the repository are read and compared.
    Verifying,
    /// Entries of a backup are written to a store.
    Restoring,
    /// What was written is compared with the backup.
    Comparing,
    /// Objects are removed from the repository.
    Removing,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Entries, or chunks, that are done.
    pub done: u64,
    /// How many there are, as far as is known.
    pub total: u64,
}

/// Who is told how far it is. Called on the task that does the work: it had better be quick.
pub type Observer = Arc<dyn Fn(&Progress) + Send + Sync>;

/// Makes backups of a store into a repository, while the store is written to.
///
/// Runs on a tokio runtime, of whatever kind: chunks are hashed, compressed and written on its blocking threads, several at
/// a time. Some of the memory for that is kept for the next backup until the manager and its clones are gone, about 10 MiB with
/// small values and 64 at the most: what is fresh from the operating system takes an increment longer than to fill it.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// use std::sync::Arc;
///
/// use stead_backup::{BackupManager, BackupType, Repository};
/// use stead_core::{BackendExt, Key, Partition, SystemClock, SystemRandom};
/// use stead_memory::MemoryBackend;
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let url = dir.path().join("backups");
/// # let url = url.to_str().unwrap();
/// let store = Arc::new(MemoryBackend::default());
/// let key = Key::new(&Partition::new("notes")?, "today")?;
/// store.put(key, "write the docs").await?;
///
/// let repository = Repository::init(url, &SystemClock, &SystemRandom).await?;
/// let manager = BackupManager::new(repository, store);
/// let full = manager.create_backup(BackupType::Full).await?;
/// manager.create_backup(BackupType::Incremental { base_backup_id: full }).await?;
/// assert_eq!(manager.repository().backups().await?.len(), 2);
/// # Ok::<(), stead_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct BackupManager {
    pub(crate) repository: Repository,
    pub(crate) store: Arc<dyn Backend>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) observer: Option<Observer>,
    /// How much of what changed an increment keeps in memory.
    pub(crate) most_changed_bytes: usize,
    pub(crate) spare: Arc<SpareParts>,
}

impl BackupManager {
    /// Backups of `store` in `repository`.
    #[must_use]
    pub fn new(repository: Repository, store: Arc<dyn Backend>) -> Self {
        BackupManager {
            repository,
            store,
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            observer: None,
            most_changed_bytes: MOST_CHANGED_BYTES,
            spare: Arc::default(),
        }
    }

    /// With another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// With another source of randomness.
    #[must_use]
    pub fn with_random(mut self, random: Arc<dyn Random>) -> Self {
        self.random = random;
        self
    }

    /// Tells `observer` how far it is.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Where the backups are kept.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Makes a backup. Its id; [`create`](BackupManager::create) tells more.
    ///
    /// # Errors
    ///
    /// As [`create`](BackupManager::create).
    pub async fn create_backup(&self, kind: BackupType) -> Result<BackupId> {
        self.create(&CreateOptions::new(kind))
            .await
            .map(|metadata| metadata.id)
    }

    /// Makes a backup: of one revision of the store, while others write to it. It is there, on disk, when this returns, and
    /// not before.
    ///
    /// An increment reads the store's log of changes. Where that does not reach back to its base, a full backup is made
    /// instead, and [`BackupMetadata::forced`] says why.
    ///
    /// # Errors
    ///
    /// - `Invalid` for tags that are none, a base that is not there, one of another store, and one that the store stands
    ///   behind;
    /// - `Unsupported` where the store has no snapshots;
    /// - `Conflict` while another process writes to the repository;
    /// - `Corrupt` where the log of the repository is damaged;
    /// - `Full` and others that the store or the repository report. There is no backup then, and what was written for it is
    ///   removed by the next prune.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves no backup, unless it was being published.
    pub async fn create(&self, options: &CreateOptions) -> Result<BackupMetadata> {
        options.check()?;
        self.check_store()?;
        Box::pin(self.create_inner(options))
            .await
            .map_err(|error| error.during("backup"))
    }

    /// That there can be backups of the store.
    pub(crate) fn check_store(&self) -> Result<()> {
        if self.store.capabilities().snapshots {
            return Ok(());
        }
        Err(
            Error::unsupported("the store has no snapshots, so there is no one instant to back up")
                .with("backend", self.store.capabilities().name),
        )
    }

    pub(crate) fn report(&self, phase: Phase, done: u64, total: u64) {
        if let Some(observer) = &self.observer {
            observer(&Progress { phase, done, total });
        }
    }
}

impl fmt::Debug for BackupManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupManager")
            .field("repository", &self.repository)
            .finish_non_exhaustive()
    }
}
