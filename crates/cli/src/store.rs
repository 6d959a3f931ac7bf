//! Which store, and opening it.

use std::path::Path;
use std::sync::Arc;

use stead::core::{Backend, StoreUrl};
use stead::state::StateManager;
use stead::{Config, Error};

use crate::exit::{Failure, Result};

/// The settings file that is looked for in the working directory.
const CONFIG_FILE: &str = "stead.toml";
/// The store where nothing else is said.
const DEFAULT_STORE: &str = "redb:./stead-data";
/// The schemes whose place is a directory.
const DIRECTORIES: &[&str] = &[
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
    if purpose == Purpose::Find {
        look(url)?;
    }
    let backend = stead::open(url).await?;
    Ok(Store {
        state: StateManager::new(Arc::clone(&backend)),
        backend,
    })
}

/// Whoever looks for something does not want an empty store to be made at a mistyped path.
fn look(text: &str) -> Result<()> {
    let url: StoreUrl = text.parse()?;
    let place = Path::new(url.place());
    let missing = DIRECTORIES.contains(&url.scheme()) && matches!(place.try_exists(), Ok(false));
    if !missing {
        return Ok(());
    }
    // A URL that is wrong stays wrong once the store is there.
    stead::check_url(text)?;
    Err(Failure::NotThere(
        Error::invalid("there is no store; write to it once to make one, or name another with --store")
            .with("path", place.display()),
    ))
}
