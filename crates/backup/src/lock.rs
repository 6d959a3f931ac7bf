//! One writer at a time.
//!
//! In a directory, the operating system holds the lock, and lets go of it when the process ends however it ends. An object
//! store has none: there an object says who writes and until when, and is renewed while the writer lives.
//!
//! Neither is what keeps two writers from harming each other: each record of the log is made under the next free number
//! only, and what a writer prepared counts only if no other was faster. The lock saves them the wasted work.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::{ObjectMeta, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, UpdateVersion};
use serde::{Deserialize, Serialize};
use stead_core::{Clock, Error, Result};
use tokio::task::JoinHandle;

use crate::repository::Repository;
use crate::sealed;
use crate::task::blocking;

const NAME: &str = "lock";
/// How long a writer on an object store is believed to live without a sign of life.
const LIFETIME_MS: u64 = 60_000;
const RENEWED_AFTER: Duration = Duration::from_secs(15);

/// The right to write. Gives it back when dropped; [`release`](Lock::release) waits until that is done.
pub(crate) struct Lock(Held);

enum Held {
    File(File),
    Object {
        repository: Repository,
        renewal: JoinHandle<()>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Holder {
    process: u32,
    until_ms: u64,
}

impl Lock {
    /// Takes the lock, at once.
    ///
    /// # Errors
    ///
    /// `Conflict` while somebody else has it.
    pub(crate) async fn acquire(repository: &Repository, clock: &Arc<dyn Clock>) -> Result<Self> {
        match repository.local_lock() {
            Some(path) => {
                let name = repository.name().to_owned();
                let locked = blocking(move || lock_file(&path, &name)).await;
                locked.map(|file| Lock(Held::File(file)))
            }
            None => lock_object(repository, clock).await,
        }
    }

    /// Gives the lock back.
    pub(crate) async fn release(mut self) -> Result<()> {
        match &mut self.0 {
            Held::File(_) => Ok(()),
            Held::Object { repository, renewal } => {
                renewal.abort();
                // Whether it ended by itself says nothing.
                let _ = renewal.await;
                repository.remove(NAME).await
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        match &self.0 {
            // A process that was started a moment ago has a copy of the file until it runs its own program. Without this, the
            // lock would be held until then.
            Held::File(file) => {
                let _ = file.unlock();
            }
            Held::Object { renewal, .. } => renewal.abort(),
        }
    }
}

fn taken(repository: &str) -> Error {
    Error::conflict("another process writes to the repository; wait until it is done")
        .with("repository", repository)
}

fn lock_file(path: &std::path::Path, repository: &str) -> Result<File> {
    let failed = |cause| {
        Error::unavailable("the repository cannot be locked")
            .with("path", path.display())
            .because(cause)
    };
    let file = File::open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(taken(repository)),
        Err(std::fs::TryLockError::Error(cause)) => Err(failed(cause)),
    }
}

fn holder(clock: &dyn Clock) -> Result<Bytes> {
    let holder = Holder {
        process: std::process::id(),
        until_ms: clock.now().as_millis() + LIFETIME_MS,
    };
    Ok(sealed::encode(&holder)?.0)
}

async fn lock_object(repository: &Repository, clock: &Arc<dyn Clock>) -> Result<Lock> {
    if !repository.put_new(NAME, holder(&**clock)?).await? {
        take_over(repository, &**clock).await?;
    }
    let renewal = tokio::spawn(renew(repository.clone(), Arc::clone(clock)));
    Ok(Lock(Held::Object {
        repository: repository.clone(),
        renewal,
    }))
}

/// Takes the lock of a writer that gave no sign of life for long: one of those who try, for the object that was read is
/// replaced and no other.
async fn take_over(repository: &Repository, clock: &dyn Clock) -> Result<()> {
    let path = repository.path(NAME);
    let Ok(meta) = repository.objects().head(&path).await else {
        return Err(taken(repository.name()));
    };
    let Some(bytes) = repository.get_small(NAME).await? else {
        return Err(taken(repository.name()));
    };
    // One that cannot be read was torn when its writer ended.
    let lives =
        sealed::decode::<Holder>(&bytes).is_ok_and(|(holder, _)| holder.until_ms > clock.now().as_millis());
    if lives || !replace(repository, meta, holder(clock)?).await {
        return Err(taken(repository.name()));
    }
    Ok(())
}

/// Replaces the lock that `meta` is of. Whether nobody else had.
async fn replace(repository: &Repository, meta: ObjectMeta, bytes: Bytes) -> bool {
    let version = UpdateVersion {
        e_tag: meta.e_tag,
        version: meta.version,
    };
    let options = PutOptions::from(PutMode::Update(version));
    let path = repository.path(NAME);
    let put = repository
        .objects()
        .put_opts(&path, PutPayload::from(bytes), options)
        .await;
    put.is_ok()
}

/// Says now and then that the writer lives, until somebody took the lock away: the log then refuses what it does.
async fn renew(repository: Repository, clock: Arc<dyn Clock>) {
    loop {
        tokio::time::sleep(RENEWED_AFTER).await;
        let path = repository.path(NAME);
        let Ok(meta) = repository.objects().head(&path).await else {
            return;
        };
        let Ok(bytes) = holder(&*clock) else {
            return;
        };
        if !replace(&repository, meta, bytes).await {
            return;
        }
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let _ = sealed::decode::<Holder>(bytes);
}

#[cfg(test)]
mod tests {
    use stead_core::{ErrorKind, SystemClock, SystemRandom};

    use super::*;

    #[tokio::test]
    async fn a_lock_that_was_given_back_is_free_though_another_process_has_a_copy_of_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let url = directory.path().join("repository").display().to_string();
        let repository = Repository::init(&url, &SystemClock, &SystemRandom).await.unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let lock = Lock::acquire(&repository, &clock).await.unwrap();
        let Held::File(file) = &lock.0 else {
            panic!("a directory is locked by a file");
        };
        let _copy = file.try_clone().unwrap();
        let refused = Lock::acquire(&repository, &clock).await.err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        lock.release().await.unwrap();
        drop(Lock::acquire(&repository, &clock).await.unwrap());
        Lock::acquire(&repository, &clock).await.unwrap();
    }
}
