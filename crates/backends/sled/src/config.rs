//! Settings of the engine.

use std::path::{Path, PathBuf};

/// Where a store is and how sled treats it.
///
/// ```
/// use stead_sled::SledConfig;
///
/// let config = SledConfig::new("./stead-data")
///     .with_cache_capacity(64 << 20)
///     .with_flush_every(1000);
/// # let _ = config;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SledConfig {
    path: PathBuf,
    cache_capacity: u64,
    use_compression: bool,
    flush_every: u64,
}

/// `./stead-data`, with a cache of 256 MiB and without compression.
impl Default for SledConfig {
    fn default() -> Self {
        SledConfig::new("stead-data")
    }
}

impl SledConfig {
    /// The store in the directory `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        SledConfig {
            path: path.into(),
            cache_capacity: 256 << 20,
            use_compression: false,
            flush_every: 1000,
        }
    }

    /// The store in another directory.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = path.into();
        self
    }

    /// Lets sled keep about this many bytes of pages in memory; otherwise 256 MiB. It counts what the pages hold and
    /// not what they cost, so the process takes more than this.
    #[must_use]
    pub fn with_cache_capacity(mut self, size_bytes: u64) -> Self {
        self.cache_capacity = size_bytes;
        self
    }

    /// Compresses records of 1 KiB and more with zstd where that makes them smaller; otherwise nothing is compressed.
    ///
    /// This says how records are written. How one is read says the record itself, so it can be changed at every open.
    /// Reading and writing compressed records takes the crate's feature `compression`; without it, opening with this
    /// setting and reading such a record are `Unsupported`.
    #[must_use]
    pub fn with_compression(mut self, compress: bool) -> Self {
        self.use_compression = compress;
        self
    }

    /// Makes buffered writes durable after this many batches, at least one; otherwise after 1,000. It happens on the
    /// store's own thread, which takes along what is committed until it gets to it, and at the latest after
    /// [`EmbeddedOptions::with_flush_interval`](crate::EmbeddedOptions::with_flush_interval).
    #[must_use]
    pub fn with_flush_every(mut self, batches: u64) -> Self {
        self.flush_every = batches.max(1);
        self
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bound on sled's cache in bytes.
    #[must_use]
    pub fn cache_capacity(&self) -> u64 {
        self.cache_capacity
    }

    /// Whether large records are compressed when they are written.
    #[must_use]
    pub fn use_compression(&self) -> bool {
        self.use_compression
    }

    /// After how many batches buffered writes are made durable.
    #[must_use]
    pub fn flush_every(&self) -> u64 {
        self.flush_every
    }
}
