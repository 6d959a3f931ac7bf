//! Settings of the engine.

use std::path::{Path, PathBuf};

use stead_core::{Error, Result};

/// How RocksDB packs the blocks of its files. Files that are there already stay as they are until they are rewritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Fast, and a little smaller.
    #[default]
    Lz4,
    /// Slower, and much smaller.
    Zstd,
}

impl Compression {
    /// The word for it in a URL: `none`, `lz4` or `zstd`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }

    /// Reads [`as_str`](Compression::as_str).
    ///
    /// # Errors
    ///
    /// `Invalid` for any other word.
    pub fn parse(text: &str) -> Result<Self> {
        [Compression::None, Compression::Lz4, Compression::Zstd]
            .into_iter()
            .find(|compression| compression.as_str() == text)
            .ok_or_else(|| {
                Error::invalid("compression is none, lz4 or zstd").with("value", text.escape_default())
            })
    }
}

/// The least number of files that RocksDB can work with.
const LEAST_OPEN_FILES: u32 = 20;

/// The least that a memory for writes is good for.
const LEAST_WRITE_BUFFER: usize = 64 << 10;

/// Where a store is and how RocksDB treats it.
///
/// ```
/// use stead_rocksdb::{Compression, RocksDbConfig};
///
/// let config = RocksDbConfig::new("./stead-data")
///     .with_cache_capacity(64 << 20)
///     .with_compression(Compression::Zstd)
///     .with_max_open_files(500);
/// # let _ = config;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RocksDbConfig {
    path: PathBuf,
    max_open_files: Option<u32>,
    cache_capacity: usize,
    compression: Compression,
    write_buffer_size: usize,
    read_only: bool,
}

/// `./stead-data`, with a cache of 256 MiB, 64 MiB for writes, LZ4, and as many open files as there are.
impl Default for RocksDbConfig {
    fn default() -> Self {
        RocksDbConfig::new("stead-data")
    }
}

impl RocksDbConfig {
    /// The store in the directory `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        RocksDbConfig {
            path: path.into(),
            max_open_files: None,
            cache_capacity: 256 << 20,
            compression: Compression::default(),
            write_buffer_size: 64 << 20,
            read_only: false,
        }
    }

    /// The store in another directory.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = path.into();
        self
    }

    /// Lets RocksDB hold at most about this many files open, at least 20; otherwise all that there are, which is fastest:
    /// one for 64 MiB of data and a dozen more. With a limit, files are opened as they are read.
    #[must_use]
    pub fn with_max_open_files(mut self, files: u32) -> Self {
        self.max_open_files = Some(files.max(LEAST_OPEN_FILES));
        self
    }

    /// Lets RocksDB keep at most this many bytes of unpacked blocks in memory; otherwise 256 MiB. The indexes and filters
    /// of open files come on top: about a hundredth of the data.
    #[must_use]
    pub fn with_cache_capacity(mut self, size_bytes: usize) -> Self {
        self.cache_capacity = size_bytes;
        self
    }

    /// Packs new files in another way; otherwise LZ4.
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Writes the newest entries to files once they take this many bytes of memory, at least 64 KiB; otherwise 64 MiB.
    /// More of it makes fewer, larger files; less makes opening after a crash quicker. While files are being written,
    /// about twice as much is in use, and the log on disk grows to twice as much.
    #[must_use]
    pub fn with_write_buffer_size(mut self, size_bytes: usize) -> Self {
        self.write_buffer_size = size_bytes.max(LEAST_WRITE_BUFFER);
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

    /// The bound on open files, or `None` where there is none.
    #[must_use]
    pub fn max_open_files(&self) -> Option<u32> {
        self.max_open_files
    }

    /// The bound on RocksDB's cache in bytes.
    #[must_use]
    pub fn cache_capacity(&self) -> usize {
        self.cache_capacity
    }

    /// How blocks are packed.
    #[must_use]
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// How many bytes of new entries stay in memory.
    #[must_use]
    pub fn write_buffer_size(&self) -> usize {
        self.write_buffer_size
    }

    /// Whether the files are opened for reading only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }
}
