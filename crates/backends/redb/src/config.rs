//! Settings of the engine.

use std::path::{Path, PathBuf};

/// Where a store is and how redb treats it.
///
/// ```
/// use stead_redb::RedbConfig;
///
/// let config = RedbConfig::new("./stead-data").with_cache_bytes(64 << 20);
/// # let _ = config;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedbConfig {
    path: PathBuf,
    cache_bytes: usize,
    read_only: bool,
}

/// `./stead-data`, with a cache of 256 MiB.
impl Default for RedbConfig {
    fn default() -> Self {
        RedbConfig::new("stead-data")
    }
}

impl RedbConfig {
    /// The store in the directory `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        RedbConfig {
            path: path.into(),
            cache_bytes: 256 << 20,
            read_only: false,
        }
    }

    /// The store in another directory.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = path.into();
        self
    }

    /// Lets redb keep at most this many bytes of pages in memory; otherwise 256 MiB.
    #[must_use]
    pub fn with_cache_bytes(mut self, size_bytes: usize) -> Self {
        self.cache_bytes = size_bytes;
        self
    }

    /// Opens the files for reading only. Several processes may do that at once, while none has the store open for
    /// writing.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bound on redb's cache in bytes.
    #[must_use]
    pub fn cache_bytes(&self) -> usize {
        self.cache_bytes
    }

    /// Whether the files are opened for reading only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }
}
