//! Settings of the engine.

use std::path::{Path, PathBuf};

use stead_core::{Error, Result, StoreUrl};
use stead_embedded::{EngineConfig, StoreDirectory};

use crate::FjallEngine;

/// The least that fjall takes as the bound on its journals.
const LEAST_JOURNAL_BYTES: u64 = 64 << 20;
/// The least that is taken for a write buffer: smaller ones make more files than data.
const LEAST_WRITE_BUFFER_BYTES: u64 = 1 << 20;

/// How the blocks of a store's tables are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// By LZ4, from the third level of the tree down. What is above is young and soon merged; it stays as it is.
    #[default]
    Lz4,
}

impl Compression {
    /// Reads `none` or `lz4`.
    ///
    /// # Errors
    ///
    /// `Invalid` for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "none" => Ok(Compression::None),
            "lz4" => Ok(Compression::Lz4),
            _ => Err(Error::invalid("compression is none or lz4").with("value", text.escape_default())),
        }
    }
}

/// Where a store is and how fjall treats it.
///
/// ```
/// use stead_fjall::{Compression, FjallConfig};
///
/// let config = FjallConfig {
///     path: "./stead-data".into(),
///     cache_bytes: 64 << 20,
///     compression: Compression::None,
///     ..Default::default()
/// };
/// let same = FjallConfig::new("./stead-data")
///     .with_cache_bytes(64 << 20)
///     .with_compression(Compression::None);
/// assert_eq!(config, same);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FjallConfig {
    /// The directory of the store. `stead-data` unless said otherwise.
    pub path: PathBuf,
    /// How many bytes of blocks fjall keeps in memory at most. 256 MiB unless said otherwise.
    pub cache_bytes: u64,
    /// How tables are compressed: by LZ4 unless said otherwise. It holds for a store that is made: fjall keeps with a
    /// store what it was made with.
    pub compression: Compression,
    /// At about how many bytes the buffered writes of a keyspace begin to be written to a table, at least 1 MiB. Writers
    /// wait when two such buffers of a keyspace wait for the disk, so each of the five keyspaces takes up to three times
    /// as much memory. Larger ones make fewer tables and less to merge. 64 MiB unless said otherwise.
    pub write_buffer_bytes: u64,
    /// From how many bytes of journals on buffers are written to tables early where that lets go of journals, at least
    /// 64 MiB. What is in journals is read again by the next open. 512 MiB unless said otherwise.
    pub journal_bytes: u64,
    /// Whether the store is opened for reading only. fjall has no such mode: the store is still open in one place at a
    /// time, and it has to have been closed. Nothing is written to it. Not so unless said otherwise.
    pub read_only: bool,
}

impl Default for FjallConfig {
    fn default() -> Self {
        FjallConfig {
            path: "stead-data".into(),
            cache_bytes: 256 << 20,
            compression: Compression::default(),
            write_buffer_bytes: 64 << 20,
            journal_bytes: 512 << 20,
            read_only: false,
        }
    }
}

impl FjallConfig {
    /// The store in the directory `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        FjallConfig::default().with_path(path)
    }

    /// Sets [`path`](Self::path).
    #[must_use]
    pub fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = path.into();
        self
    }

    /// Sets [`cache_bytes`](Self::cache_bytes).
    #[must_use]
    pub fn with_cache_bytes(mut self, size_bytes: u64) -> Self {
        self.cache_bytes = size_bytes;
        self
    }

    /// Sets [`compression`](field@Self::compression).
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets [`write_buffer_bytes`](field@Self::write_buffer_bytes).
    #[must_use]
    pub fn with_write_buffer_bytes(mut self, size_bytes: u64) -> Self {
        self.write_buffer_bytes = size_bytes;
        self
    }

    /// Sets [`journal_bytes`](field@Self::journal_bytes).
    #[must_use]
    pub fn with_journal_bytes(mut self, size_bytes: u64) -> Self {
        self.journal_bytes = size_bytes;
        self
    }

    /// Sets [`read_only`](Self::read_only).
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    pub(crate) fn write_buffer_bytes(&self) -> u64 {
        self.write_buffer_bytes.max(LEAST_WRITE_BUFFER_BYTES)
    }

    pub(crate) fn journal_bytes(&self) -> u64 {
        self.journal_bytes.max(LEAST_JOURNAL_BYTES)
    }
}

impl EngineConfig for FjallConfig {
    type Engine = FjallEngine;

    const RECORDS: &'static [&'static str] = &[crate::closed::FILE];

    fn from_url(url: &mut StoreUrl) -> Result<Self> {
        let mut config = FjallConfig::new(url.place());
        if let Some(size_bytes) = url.take_bytes("cache")? {
            config.cache_bytes = size_bytes;
        }
        if let Some(compression) = url.take_as("compression", Compression::parse)? {
            config.compression = compression;
        }
        if let Some(size_bytes) = url.take_bytes("write_buffer")? {
            config.write_buffer_bytes = size_bytes;
        }
        if let Some(size_bytes) = url.take_bytes("journal")? {
            config.journal_bytes = size_bytes;
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
        StoreDirectory::new(&self.path, "fjall", "state.fjall")
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn reading_only(self) -> Result<Self> {
        Ok(self.read_only())
    }

    fn open_engine(&self) -> Result<FjallEngine> {
        FjallEngine::open(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_small_counts_as_the_least() {
        let config = FjallConfig {
            write_buffer_bytes: 0,
            journal_bytes: 0,
            ..Default::default()
        };
        assert_eq!(config.write_buffer_bytes(), LEAST_WRITE_BUFFER_BYTES);
        assert_eq!(config.journal_bytes(), LEAST_JOURNAL_BYTES);
    }
}
