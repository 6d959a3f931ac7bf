//! Which store, and opening it.

use std::path::Path;
use std::sync::Arc;

use stead::backup::repository_around;
use stead::core::{Backend, Read, StoreUrl};
use stead::state::StateManager;
use stead::{Config, Error};

use crate::exit::{Failure, Result};

/// The settings file that is looked for in the working directory.
const CONFIG_FILE: &str = "stead.toml";
/// The store where nothing else is said.
const DEFAULT_STORE: &str = "redb:./stead-data";
/// The schemes whose place is a directory.
pub(crate) const DIRECTORIES: &[&str] = &[
    #[cfg(feature = "fjall")]
    "fjall",
    "redb",
    #[cfg(feature = "rocksdb")]
    "rocksdb",
    #[cfg(feature = "sled")]
    "sled",
];

/// What a command wants of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Reads, or changes what is there: a store that does not exist is not made.
    Find,
    /// Writes something new: a store that does not exist is made.
    Make,
}

/// An opened store.
#[derive(Clone)]
pub(crate) struct Store {
    /// The store itself.
    pub(crate) backend: Arc<dyn Backend>,
    /// Typed state on it. There is no place for ephemeral values, which would not outlive the command.
    pub(crate) state: StateManager,
}

impl Store {
    /// The store as it is now, whatever comes after; where it has no snapshots, the store itself.
    pub(crate) async fn view(&self) -> Result<Arc<dyn Read>> {
        if !self.backend.capabilities().snapshots {
            let store: Arc<dyn Backend> = Arc::clone(&self.backend);
            return Ok(store);
        }
        Ok(self.backend.snapshot().await?)
    }
}

/// The URL of the store: what was `given` with `--store` or `$STEAD_STORE`, else what `stead.toml` says, else the
/// default. An empty one counts as none.
pub(crate) fn which(given: Option<&str>) -> Result<String> {
    if let Some(url) = given.filter(|url| !url.is_empty()) {
        return Ok(url.to_owned());
    }
    let config = Config::from_file(Path::new(CONFIG_FILE))?;
    let configured = config.and_then(|config| config.store);
    Ok(configured.unwrap_or_else(|| DEFAULT_STORE.to_owned()))
}

/// Opens the store at `url`.
pub(crate) async fn open(url: &str, purpose: Purpose) -> Result<Store> {
    match purpose {
        Purpose::Find => look(url)?,
        Purpose::Make => check_place(url)?,
    }
    let backend = stead::open(url).await?;
    Ok(Store {
        state: StateManager::new(Arc::clone(&backend)),
        backend,
    })
}

/// Whoever looks for something does not want an empty store to be made at a mistyped path.
pub(crate) fn look(text: &str) -> Result<()> {
    // A URL that is wrong stays wrong once the store is there.
    if !stead::is_missing(text)? {
        return Ok(());
    }
    let url: StoreUrl = text.parse()?;
    Err(Failure::NotThere(
        Error::invalid("there is no store; write to it once to make one, or name another with --store")
            .with("path", url.place()),
    ))
}

/// A store that is made in a repository of backups would be a foreign file there, and end it.
pub(crate) fn check_place(text: &str) -> Result<()> {
    let url: StoreUrl = text.parse()?;
    let place = Path::new(url.place());
    if !DIRECTORIES.contains(&url.scheme()) {
        return Ok(());
    }
    match repository_around(place) {
        None => Ok(()),
        Some(repository) => Err(Error::invalid(
            "the store would lie among the files of a repository for backups; name a place elsewhere",
        )
        .with("store", place.display())
        .with("repository", repository.display())
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use stead::StateScope;
    use stead::core::{KeyRange, Scan, SystemClock};
    use stead_conformance::reference::{Options, Reference};

    use super::*;

    /// The keys that are left of 600 when all are deleted once the first of them were read.
    async fn read_while_deleted(backend: Arc<dyn Backend>) -> usize {
        let store = Store {
            state: StateManager::new(Arc::clone(&backend)),
            backend,
        };
        let values = (0..600).map(|n| (format!("{n:03}"), n));
        store.state.set_many(StateScope::Global, values).await.unwrap();
        let view = store.view().await.unwrap();
        let mut cursor = view.scan(&Scan::new(KeyRange::all()).page_size(100)).unwrap();
        let mut read = cursor.next_page().await.unwrap().len();
        store.state.clear_scope(StateScope::Global).await.unwrap();
        loop {
            match cursor.next_page().await.unwrap().len() {
                0 => return read,
                more => read += more,
            }
        }
    }

    #[tokio::test]
    async fn a_view_is_of_one_instant_where_the_store_has_snapshots() {
        assert_eq!(
            read_while_deleted(stead::open("memory:").await.unwrap()).await,
            600
        );
        let declared = Options::default().declaring(|capabilities| capabilities.snapshots = false);
        let without = Reference::open(Arc::new(SystemClock), declared);
        assert_eq!(read_while_deleted(Arc::new(without)).await, 100);
    }
}
