//! Settings of the engine.

use std::path::{Path, PathBuf};

use stead_core::{Result, StoreUrl};
use stead_embedded::{EngineConfig, StoreDirectory};

use crate::RedbEngine;

/// Where a store is and how redb treats it.
///
/// ```
/// use stead_redb::RedbConfig;
///
/// let config = RedbConfig {
///     path: "./stead-data".into(),
///     cache_bytes: 64 << 20,
///     ..Default::default()
/// };
/// assert_eq!(config, RedbConfig::new("./stead-data").with_cache_bytes(64 << 20));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedbConfig {
    /// The directory of the store. `stead-data` unless said otherwise.
    pub path: PathBuf,
    /// How many bytes of pages redb keeps in memory at most. 256 MiB unless said otherwise.
    pub cache_bytes: usize,
    /// Whether the files are opened for reading only. Several processes may do that at once, while none has the store
    /// open for writing. Not so unless said otherwise.
    pub read_only: bool,
}

impl Default for RedbConfig {
    fn default() -> Self {
        RedbConfig {
            path: "stead-data".into(),
            cache_bytes: 256 << 20,
            read_only: false,
        }
    }
}

impl RedbConfig {
    /// The store in the directory `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        RedbConfig::default().with_path(path)
    }

    /// Sets [`path`](Self::path).
    #[must_use]
    pub fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = path.into();
        self
    }

    /// Sets [`cache_bytes`](Self::cache_bytes).
    #[must_use]
    pub fn with_cache_bytes(mut self, size_bytes: usize) -> Self {
        self.cache_bytes = size_bytes;
        self
    }

    /// Sets [`read_only`](Self::read_only).
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }
}

impl EngineConfig for RedbConfig {
    type Engine = RedbEngine;

    fn from_url(url: &mut StoreUrl) -> Result<Self> {
        let mut config = RedbConfig::new(url.place());
        if let Some(size_bytes) = url.take_bytes("cache")? {
            config.cache_bytes = usize::try_from(size_bytes).unwrap_or(usize::MAX);
        }
        Ok(config)
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn at(self, path: &Path) -> Self {
        self.with_path(path)
    }

    fn directory(&self) -> StoreDirectory {
        StoreDirectory::new(&self.path, "redb", "state.redb")
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn reading_only(self) -> Result<Self> {
        Ok(self.read_only())
    }

    fn open_engine(&self) -> Result<RedbEngine> {
        RedbEngine::open(self)
    }
}
