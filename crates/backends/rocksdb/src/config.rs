//! Settings of the engine.

use std::path::{Path, PathBuf};

use stead_core::{Error, Result, StoreUrl};
use stead_embedded::{EngineConfig, StoreDirectory};

use crate::RocksDbEngine;

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
/// let config = RocksDbConfig {
///     path: "./stead-data".into(),
///     max_open_files: Some(500),
///     cache_capacity: 64 * 1024 * 1024,
///     compression: Compression::Zstd,
///     ..Default::default()
/// };
/// let same = RocksDbConfig::new("./stead-data")
///     .with_max_open_files(500)
///     .with_cache_capacity(64 * 1024 * 1024)
///     .with_compression(Compression::Zstd);
/// assert_eq!(config, same);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RocksDbConfig {
    /// The directory of the store. `stead-data` unless said otherwise.
    pub path: PathBuf,
    /// About how many files RocksDB holds open at most, at least 20. `None`, which it is unless said otherwise, is all
    /// that there are and the fastest: one for 64 MiB of data and a dozen more. With a bound, files are opened as they are
    /// read.
    pub max_open_files: Option<u32>,
    /// How many bytes of unpacked blocks RocksDB keeps in memory at most. The indexes and filters of open files come on
    /// top: about a hundredth of the data. 256 MiB unless said otherwise.
    pub cache_capacity: usize,
    /// How new files are packed: by LZ4 unless said otherwise.
    pub compression: Compression,
    /// At how many bytes of memory the newest entries are written to files, at least 64 KiB. More of it makes fewer,
    /// larger files; less makes opening after a crash quicker. While files are being written, about twice as much is in
    /// use, and the log on disk grows to twice as much. 64 MiB unless said otherwise.
    pub write_buffer_size: usize,
    /// Whether the files are opened for reading only. Several processes may do that at once, while none has the store
    /// open for writing. Not so unless said otherwise.
    pub read_only: bool,
}

impl Default for RocksDbConfig {
    fn default() -> Self {
        RocksDbConfig {
            path: "stead-data".into(),
            max_open_files: None,
            cache_capacity: 256 << 20,
            compression: Compression::default(),
            write_buffer_size: 64 << 20,
            read_only: false,
        }
    }
}

impl RocksDbConfig {
    /// The store in the directory `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        RocksDbConfig::default().with_path(path)
    }

    /// Sets [`path`](Self::path).
    #[must_use]
    pub fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = path.into();
        self
    }

    /// Sets a bound in [`max_open_files`](field@Self::max_open_files).
    #[must_use]
    pub fn with_max_open_files(mut self, files: u32) -> Self {
        self.max_open_files = Some(files);
        self
    }

    /// Sets [`cache_capacity`](field@Self::cache_capacity).
    #[must_use]
    pub fn with_cache_capacity(mut self, size_bytes: usize) -> Self {
        self.cache_capacity = size_bytes;
        self
    }

    /// Sets [`compression`](field@Self::compression).
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets [`write_buffer_size`](field@Self::write_buffer_size).
    #[must_use]
    pub fn with_write_buffer_size(mut self, size_bytes: usize) -> Self {
        self.write_buffer_size = size_bytes;
        self
    }

    /// Sets [`read_only`](Self::read_only).
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    pub(crate) fn max_open_files(&self) -> Option<u32> {
        self.max_open_files.map(|files| files.max(LEAST_OPEN_FILES))
    }

    pub(crate) fn write_buffer_size(&self) -> usize {
        self.write_buffer_size.max(LEAST_WRITE_BUFFER)
    }
}

impl EngineConfig for RocksDbConfig {
    type Engine = RocksDbEngine;

    const RECORDS: &'static [&'static str] = &[crate::session::FILE];

    fn from_url(url: &mut StoreUrl) -> Result<Self> {
        let mut config = RocksDbConfig::new(url.place());
        if let Some(size_bytes) = url.take_bytes("cache")? {
            config.cache_capacity = usize::try_from(size_bytes).unwrap_or(usize::MAX);
        }
        if let Some(compression) = url.take_as("compression", Compression::parse)? {
            config.compression = compression;
        }
        if let Some(files) = url.take_number("max_open_files")? {
            config.max_open_files = Some(u32::try_from(files).unwrap_or(u32::MAX));
        }
        if let Some(size_bytes) = url.take_bytes("write_buffer")? {
            config.write_buffer_size = usize::try_from(size_bytes).unwrap_or(usize::MAX);
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
        StoreDirectory::new(&self.path, "rocksdb", "state.rocksdb")
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn reading_only(self) -> Result<Self> {
        Ok(self.read_only())
    }

    fn open_engine(&self) -> Result<RocksDbEngine> {
        RocksDbEngine::open(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_small_counts_as_the_least() {
        let config = RocksDbConfig {
            max_open_files: Some(0),
            write_buffer_size: 0,
            ..Default::default()
        };
        assert_eq!(config.max_open_files(), Some(LEAST_OPEN_FILES));
        assert_eq!(config.write_buffer_size(), LEAST_WRITE_BUFFER);
        assert_eq!(RocksDbConfig::default().max_open_files(), None);
    }
}
