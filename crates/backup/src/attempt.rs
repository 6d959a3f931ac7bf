//! The chunks of a backup that is being made.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use stead_core::Result;

use crate::chunk::Chunk;
use crate::hash::Hash;
use crate::repository::{Repository, chunk_name};

/// Puts chunks into the repository, and can take back what was put.
pub(crate) struct Attempt {
    repository: Repository,
    /// Whether chunks may be there already.
    look: bool,
    /// Those that were not there before, the ones on their way among them.
    made: Mutex<BTreeSet<Hash>>,
}

impl Attempt {
    /// `look` says whether chunks may be there already.
    pub(crate) fn new(repository: &Repository, look: bool) -> Arc<Self> {
        Arc::new(Attempt {
            repository: repository.clone(),
            look,
            made: Mutex::default(),
        })
    }

    /// Writes a chunk unless it is there. Whether it was written.
    ///
    /// In a directory, one that is there is compared: what is damaged is written anew, and with it the backups that need it
    /// are whole again. A bucket answers for the bytes that it keeps, and the length is all that is compared.
    ///
    /// # Errors
    ///
    /// `Invalid` where the repository is gone; else what the place reports.
    pub(crate) async fn put(&self, chunk: Chunk) -> Result<bool> {
        // A file that is written where nothing is any more would make the folders anew.
        self.repository.check_directory()?;
        let (id, name) = (chunk.named.id, chunk_name(&chunk.named.id));
        if self.look
            && let Some(size) = self.repository.size_of(&name).await?
        {
            let same =
                size == u64::from(chunk.named.stored) && self.repository.holds(&name, &chunk.bytes).await?;
            if !same {
                self.repository.put(&name, chunk.bytes).await?;
            }
            return Ok(!same);
        }
        self.made().insert(id);
        let made = self.repository.put_new(&name, chunk.bytes).await;
        if let Ok(false) = made {
            self.made().remove(&id);
        }
        made
    }

    /// Removes what was not there before, as far as it can be: there will be no backup that needs it, and the disk may be
    /// full. Only in a directory, where the lock keeps others from finding a chunk and building on it meanwhile.
    pub(crate) async fn undo(&self) {
        if self.repository.local_lock().is_none() {
            return;
        }
        let made = std::mem::take(&mut *self.made());
        for id in made {
            // What stays is removed by a prune.
            let _ = self.repository.remove(&chunk_name(&id)).await;
        }
    }

    /// From now on nothing can be taken back: a backup may be there that needs it.
    pub(crate) fn keep(&self) {
        self.made().clear();
    }

    fn made(&self) -> std::sync::MutexGuard<'_, BTreeSet<Hash>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
