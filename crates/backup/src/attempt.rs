//! The chunks of a backup that is being made.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stead_core::Result;

use crate::chunk::Chunk;
use crate::hash::Hash;
use crate::repository::{CHUNKS, Repository, chunk_folder, chunk_name};
use crate::task::{Task, blocking};
use crate::writer::SpareParts;

/// Puts chunks into the repository, and can take back what was put.
pub(crate) struct Attempt {
    repository: Repository,
    /// Whether chunks may be there already.
    look: bool,
    /// Those that were not there before, the ones on their way among them.
    made: Mutex<BTreeSet<Hash>>,
    /// The folders that chunks are in.
    folders: Mutex<BTreeSet<String>>,
    pub(crate) spare: Arc<SpareParts>,
}

impl Attempt {
    /// `look` says whether chunks may be there already.
    pub(crate) fn new(repository: &Repository, look: bool, spare: &Arc<SpareParts>) -> Arc<Self> {
        Arc::new(Attempt {
            repository: repository.clone(),
            look,
            made: Mutex::default(),
            folders: Mutex::default(),
            spare: Arc::clone(spare),
        })
    }

    /// Begins to write a chunk unless it is there. The task tells whether it was written when it is. It is durable once
    /// [`sync`](Attempt::sync) was called then.
    ///
    /// In a directory, one that is there is compared: what is damaged is written anew, and with it the backups that need it
    /// are whole again. A bucket answers for the bytes that it keeps, and the length is all that is compared.
    ///
    /// # Errors
    ///
    /// Of the task, `Invalid` where the repository is gone, else what the place reports.
    pub(crate) fn write(self: &Arc<Self>, chunk: Chunk) -> Task<bool> {
        let this = Arc::clone(self);
        Task::spawn(async move {
            match this.repository.location().local() {
                Some(_) => {
                    blocking(move || {
                        let new = this.put_file(&chunk);
                        this.spare.written.give_buffer(chunk.bytes.into());
                        new
                    })
                    .await
                }
                None => this.put_object(chunk).await,
            }
        })
    }

    fn put_file(&self, chunk: &Chunk) -> Result<bool> {
        self.repository.check_directory()?;
        let (id, name) = (chunk.named.id, chunk.named.id.to_string());
        let folder = chunk_folder(&id);
        if self.look && self.repository.holds_file(&chunk_name(&id), &chunk.bytes)? {
            locked(&self.folders).insert(folder);
            return Ok(false);
        }
        locked(&self.made).insert(id);
        let put = self.repository.location().put_local(&folder, &name, &chunk.bytes);
        let new =
            put.unwrap_or_else(|| Err(stead_core::Error::internal("the repository is no directory")))?;
        if !new {
            // Others may need it.
            locked(&self.made).remove(&id);
        }
        locked(&self.folders).insert(folder);
        Ok(true)
    }

    async fn put_object(&self, chunk: Chunk) -> Result<bool> {
        let (id, name) = (chunk.named.id, chunk_name(&chunk.named.id));
        if self.look
            && let Some(size) = self.repository.size_of(&name).await?
        {
            let same = size == u64::from(chunk.named.stored);
            if !same {
                self.repository.put(&name, chunk.bytes).await?;
            }
            return Ok(!same);
        }
        locked(&self.made).insert(id);
        let made = self.repository.put_new(&name, chunk.bytes).await;
        if let Ok(false) = made {
            locked(&self.made).remove(&id);
        }
        made
    }

    /// Makes durable what was put: also chunks that were there, whose writer may have been killed before their names were.
    ///
    /// # Errors
    ///
    /// What the place reports.
    pub(crate) async fn sync(&self) -> Result<()> {
        let mut folders = std::mem::take(&mut *locked(&self.folders));
        folders.insert(CHUNKS.to_owned());
        if !self.look {
            // The first backup of all made the folder of folders.
            folders.insert(String::new());
        }
        self.repository.location().sync_folders(folders).await
    }

    /// Removes what was not there before, as far as it can be: there will be no backup that needs it, and the disk may be
    /// full. Only in a directory, where the lock keeps others from finding a chunk and building on it meanwhile.
    pub(crate) async fn undo(&self) {
        if self.repository.local_lock().is_none() {
            return;
        }
        let made = std::mem::take(&mut *locked(&self.made));
        for id in made {
            // What stays is removed by a prune.
            let _ = self.repository.remove(&chunk_name(&id)).await;
        }
    }

    /// From now on nothing can be taken back: a backup may be there that needs it.
    pub(crate) fn keep(&self) {
        locked(&self.made).clear();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
