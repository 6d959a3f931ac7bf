//! Objects in two steps: what takes its time first, and the name that makes them count when all else is there.

use bytes::Bytes;
use stead_core::Result;

use crate::error;
use crate::location::Staged;
use crate::repository::Repository;
use crate::task::blocking;

/// An object that gets its name later. Dropped before, it never was.
pub(crate) struct Prepared<'a> {
    repository: &'a Repository,
    name: String,
    /// In a directory, the bytes are on the disk.
    staged: Option<Staged>,
    bytes: Bytes,
}

impl<'a> Prepared<'a> {
    /// Does what can be done before the object may be there.
    ///
    /// # Errors
    ///
    /// What the place reports.
    pub(crate) async fn new(repository: &'a Repository, name: &str, bytes: Bytes) -> Result<Self> {
        let mut prepared = Prepared {
            repository,
            name: name.to_owned(),
            staged: None,
            bytes,
        };
        if repository.local_lock().is_some() {
            let (location, bytes) = (repository.location().clone(), prepared.bytes.clone());
            let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
            let (folder, file) = (folder.to_owned(), file.to_owned());
            let stage = move || location.stage_local(&folder, &file, &bytes).transpose();
            prepared.staged = blocking(stage).await?;
        }
        Ok(prepared)
    }

    /// Writes it, durably, unless there is one: then `false`.
    ///
    /// # Errors
    ///
    /// What the place reports.
    pub(crate) async fn put_new(self) -> Result<bool> {
        match self.staged {
            Some(staged) => named(staged, Staged::link).await,
            None => self.repository.put_new(&self.name, self.bytes).await,
        }
    }

    /// Writes it, durably, whatever was there.
    ///
    /// # Errors
    ///
    /// What the place reports.
    pub(crate) async fn put(self) -> Result<()> {
        match self.staged {
            Some(staged) => named(staged, Staged::replace).await,
            None => self.repository.put(&self.name, self.bytes).await,
        }
    }
}

async fn named<T: Send + 'static>(
    staged: Staged,
    give: impl FnOnce(Staged) -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    let path = staged.path().to_owned();
    blocking(move || give(staged).map_err(|cause| error::file(cause, &path))).await
}
