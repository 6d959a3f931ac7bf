//! Settings of the engine.

use std::path::{Path, PathBuf};

use stead_core::{Error, Result, StoreUrl};
use stead_embedded::{EmbeddedOptions, EngineConfig, StoreDirectory};

use crate::SledEngine;

/// Where a store is and how sled treats it.
///
/// ```
/// use stead_sled::SledConfig;
///
/// let config = SledConfig {
///     path: "./stead-data".into(),
///     cache_capacity: 64 * 1024 * 1024,
///     use_compression: true,
///     flush_every: 500,
/// };
/// let same = SledConfig::new("./stead-data")
///     .with_cache_capacity(64 * 1024 * 1024)
///     .with_compression(true)
///     .with_flush_every(500);
/// assert_eq!(config, same);
///
/// let small = SledConfig { cache_capacity: 1 << 20, ..Default::default() };
/// assert_eq!(small, SledConfig::default().with_cache_capacity(1 << 20));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SledConfig {
    /// The directory of the store. `stead-data` unless said otherwise.
    pub path: PathBuf,
    /// About how many bytes of pages sled keeps in memory at most. It counts what the pages hold and not what they cost,
    /// so the process takes more than this. 256 MiB unless said otherwise.
    pub cache_capacity: u64,
    /// Whether records of 1 KiB and more are compressed with zstd where that makes them smaller. Not so unless said
    /// otherwise.
    ///
    /// This says how records are written. How one is read says the record itself, so it can be changed at every open.
    /// Reading and writing compressed records takes the crate's feature `compression`; without it, opening with this
    /// setting and reading such a record are `Unsupported`.
    pub use_compression: bool,
    /// After how many batches buffered writes are made durable, at least one. It happens on the store's own thread, which
    /// takes along what is committed until it gets to it, and at the latest after
    /// [`EmbeddedOptions::with_flush_interval`](crate::EmbeddedOptions::with_flush_interval). 1,000 unless said otherwise.
    pub flush_every: u64,
}

impl Default for SledConfig {
    fn default() -> Self {
        SledConfig {
            path: "stead-data".into(),
            cache_capacity: 256 << 20,
            use_compression: false,
            flush_every: 1000,
        }
    }
}

impl SledConfig {
    /// The store in the directory `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        SledConfig::default().with_path(path)
    }

    /// Sets [`path`](Self::path).
    #[must_use]
    pub fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = path.into();
        self
    }

    /// Sets [`cache_capacity`](field@Self::cache_capacity).
    #[must_use]
    pub fn with_cache_capacity(mut self, size_bytes: u64) -> Self {
        self.cache_capacity = size_bytes;
        self
    }

    /// Sets [`use_compression`](field@Self::use_compression).
    #[must_use]
    pub fn with_compression(mut self, compress: bool) -> Self {
        self.use_compression = compress;
        self
    }

    /// Sets [`flush_every`](field@Self::flush_every).
    #[must_use]
    pub fn with_flush_every(mut self, batches: u64) -> Self {
        self.flush_every = batches;
        self
    }
}

impl EngineConfig for SledConfig {
    type Engine = SledEngine;

    fn from_url(url: &mut StoreUrl) -> Result<Self> {
        let mut config = SledConfig::new(url.place());
        if let Some(size_bytes) = url.take_bytes("cache")? {
            config.cache_capacity = size_bytes;
        }
        if let Some(compress) = url.take_bool("compression")? {
            config.use_compression = compress;
        }
        if let Some(batches) = url.take_number("flush_every")? {
            config.flush_every = batches;
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
        StoreDirectory::new(&self.path, "sled", "state.sled")
    }

    fn is_read_only(&self) -> bool {
        false
    }

    fn reading_only(self) -> Result<Self> {
        Err(Error::unsupported(
            "sled cannot open a store without writing to it; open it without `read_only`",
        ))
    }

    fn options(&self, options: EmbeddedOptions) -> EmbeddedOptions {
        options.with_flush_commits(self.flush_every)
    }

    fn open_engine(&self) -> Result<SledEngine> {
        SledEngine::open(self)
    }
}
