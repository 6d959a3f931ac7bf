//! Restoring a backup into the store at a URL.

use stead_backup::{LatestReport, Repository, RestoreOptions, RestoreReport};
use stead_core::{Clock, Result};

/// Restores a backup into the store at `url`, which is opened for it and closed again.
///
/// As [`Repository::restore`], and a store in a directory may hold as much as it likes: what is too much for one batch is
/// restored beside it, compared, and put in its place in one step ([`Repository::restore_staged`]). Nobody else can open the
/// store meanwhile. One in a directory that is not there, or is empty, is made once the backup was compared with its hashes.
/// Runs on a tokio runtime, as all that has to do with backups.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// use stead::backup::{BackupManager, BackupType, Repository, RestoreOptions, RestorePoint};
/// use stead::core::{BackendExt, Key, Partition, SystemClock, SystemRandom};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let (url, place) = (format!("redb:{}/store", dir.path().display()), format!("{}/backups", dir.path().display()));
/// let repository = Repository::init(&place, &SystemClock, &SystemRandom).await?;
/// let store = stead::open(&url).await?;
/// store.put(Key::new(&Partition::new("notes")?, "today")?, "write the docs").await?;
/// BackupManager::new(repository.clone(), store.clone()).create_backup(BackupType::Full).await?;
/// store.close().await?;
///
/// let mut options = RestoreOptions::new(RestorePoint::Latest);
/// options.replace = true;
/// let report = stead::restore(&url, &repository, &options, &SystemClock).await?;
/// assert_eq!(report.entries, 1);
/// # Ok::<(), stead::Error>(())
/// # }).unwrap();
/// ```
///
/// # Errors
///
/// As [`open`](crate::open) and [`Repository::restore_staged`].
pub async fn restore(
    url: &str,
    repository: &Repository,
    options: &RestoreOptions,
    clock: &dyn Clock,
) -> Result<RestoreReport> {
    #[cfg(any(feature = "redb", feature = "fjall", feature = "rocksdb", feature = "sled"))]
    if let Some(staging) = beside::open(url, options).await? {
        return repository.restore_staged(staging, options, clock).await;
    }
    let target = crate::open(url).await?;
    let restored = repository.restore(&target, options, clock).await;
    let closed = target.close().await;
    restored.and_then(|report| closed.map(|()| report))
}

/// Restores the newest backup that is whole into the store at `url`, which is opened for it and closed again.
///
/// As [`restore`](fn@restore), where the newest is damaged from the one before, and so on: see
/// [`Repository::restore_latest`]. The report says which were passed over.
///
/// # Errors
///
/// As [`open`](crate::open) and [`Repository::restore_latest_staged`].
pub async fn restore_latest(
    url: &str,
    repository: &Repository,
    options: &RestoreOptions,
    clock: &dyn Clock,
) -> Result<LatestReport> {
    #[cfg(any(feature = "redb", feature = "fjall", feature = "rocksdb", feature = "sled"))]
    if let Some(staging) = beside::open(url, options).await? {
        return repository.restore_latest_staged(staging, options, clock).await;
    }
    let target = crate::open(url).await?;
    let restored = repository.restore_latest(&target, options, clock).await;
    let closed = target.close().await;
    restored.and_then(|report| closed.map(|()| report))
}

#[cfg(any(feature = "redb", feature = "fjall", feature = "rocksdb", feature = "sled"))]
mod beside {
    use std::path::PathBuf;
    use std::sync::Arc;

    use stead_backup::{RestoreOptions, Staging};
    use stead_core::{Backend, Error, Reply, Result, StoreUrl};
    use stead_embedded::{EngineConfig, Previous};

    /// The store at `url`, if it is one in a directory. One that is not there is not made yet.
    pub(super) async fn open(url: &str, options: &RestoreOptions) -> Result<Option<Box<dyn Staging>>> {
        let is_missing = crate::is_missing(url)?;
        let url: StoreUrl = url.parse()?;
        let previous = if options.keep_previous {
            Previous::Keep
        } else {
            Previous::Remove
        };
        let staging = match url.scheme() {
            #[cfg(feature = "redb")]
            "redb" => at::<stead_redb::RedbConfig>(url, previous, is_missing).await?,
            #[cfg(feature = "fjall")]
            "fjall" => at::<stead_fjall::FjallConfig>(url, previous, is_missing).await?,
            #[cfg(feature = "rocksdb")]
            "rocksdb" => at::<stead_rocksdb::RocksDbConfig>(url, previous, is_missing).await?,
            #[cfg(feature = "sled")]
            "sled" => at::<stead_sled::SledConfig>(url, previous, is_missing).await?,
            _ => return Ok(None),
        };
        Ok(Some(staging))
    }

    async fn at<C: EngineConfig>(
        url: StoreUrl,
        previous: Previous,
        is_missing: bool,
    ) -> Result<Box<dyn Staging>> {
        let staging = match is_missing {
            true => None,
            false => Some(stead_embedded::Staging::<C>::open(url.clone()).await?),
        };
        Ok(Box::new(Beside {
            url,
            previous,
            staging,
        }))
    }

    struct Beside<C: EngineConfig> {
        url: StoreUrl,
        previous: Previous,
        /// None as long as there is no store.
        staging: Option<stead_embedded::Staging<C>>,
    }

    impl<C: EngineConfig> Staging for Beside<C> {
        fn is_there(&self) -> bool {
            self.staging.is_some()
        }

        fn live(&mut self) -> Reply<'_, Arc<dyn Backend>> {
            Reply::pending(async {
                let staging = match &mut self.staging {
                    Some(staging) => staging,
                    none => none.insert(stead_embedded::Staging::open(self.url.clone()).await?),
                };
                Ok(Arc::clone(staging.live()) as Arc<dyn Backend>)
            })
        }

        fn check(&self) -> Result<()> {
            match &self.staging {
                Some(staging) => staging.check(self.previous),
                None => Ok(()),
            }
        }

        fn stage(&mut self) -> Reply<'_, Arc<dyn Backend>> {
            let Some(staging) = &mut self.staging else {
                return Reply::fail(unopened());
            };
            Reply::pending(async {
                let staged: Arc<dyn Backend> = staging.stage(self.previous).await?;
                Ok(staged)
            })
        }

        fn switch(self: Box<Self>) -> Reply<'static, Option<PathBuf>> {
            match self.staging {
                Some(staging) => Reply::pending(staging.switch()),
                None => Reply::fail(unopened()),
            }
        }
    }

    #[cold]
    fn unopened() -> Error {
        Error::internal("a restore beside a store that was not opened")
    }
}
