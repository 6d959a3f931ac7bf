//! Settings of the engine.

use std::path::{Path, PathBuf};

use stead_core::{Error, Result};

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
/// let config = FjallConfig::new("./stead-data")
///     .with_cache_bytes(64 << 20)
///     .with_compression(Compression::None);
/// # let _ = config;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FjallConfig {
    path: PathBuf,
    cache_bytes: u64,
    compression: Compression,
    write_buffer_bytes: u64,
    journal_bytes: u64,
    read_only: bool,
}

/// `./stead-data`, with a cache of 256 MiB.
impl Default for FjallConfig {
    fn default() -> Self {
        FjallConfig::new("stead-data")
    }
}

impl FjallConfig {
    /// The store in the directory `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        FjallConfig {
            path: path.into(),
            cache_bytes: 256 << 20,
            compression: Compression::default(),
            write_buffer_bytes: 64 << 20,
            journal_bytes: 512 << 20,
            read_only: false,
        }
    }

    /// The store in another directory.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = path.into();
        self
    }

    /// Lets fjall keep at most this many bytes of blocks in memory; otherwise 256 MiB.
    #[must_use]
    pub fn with_cache_bytes(mut self, size_bytes: u64) -> Self {
        self.cache_bytes = size_bytes;
        self
    }

    /// Compresses the tables in this way; otherwise by LZ4. It holds for a store that is made: fjall keeps with a store
    /// what it was made with.
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Begins to write the buffered writes of a keyspace to a table once they are about this many bytes, at least
    /// 1 MiB; otherwise 64 MiB. Writers wait when two such buffers of a keyspace wait for the disk, so each of the five
    /// keyspaces takes up to three times as much memory. Larger ones make fewer tables and less to merge.
    #[must_use]
    pub fn with_write_buffer_bytes(mut self, size_bytes: u64) -> Self {
        self.write_buffer_bytes = size_bytes.max(LEAST_WRITE_BUFFER_BYTES);
        self
    }

    /// Writes buffers to tables early where that lets go of journals, once there are more than this many bytes of
    /// them, at least 64 MiB; otherwise 512 MiB. What is in journals is read again by the next open.
    #[must_use]
    pub fn with_journal_bytes(mut self, size_bytes: u64) -> Self {
        self.journal_bytes = size_bytes.max(LEAST_JOURNAL_BYTES);
        self
    }

    /// Opens the store for reading only. fjall has no such mode: the store is still open in one place at a time, and it
    /// has to have been closed. Nothing is written to it.
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

    /// The bound on fjall's cache in bytes.
    #[must_use]
    pub fn cache_bytes(&self) -> u64 {
        self.cache_bytes
    }

    /// How the tables of a store that is made are compressed.
    #[must_use]
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// The size in bytes at which the buffer of a keyspace is written to a table.
    #[must_use]
    pub fn write_buffer_bytes(&self) -> u64 {
        self.write_buffer_bytes
    }

    /// The size in bytes of all journals from which on buffers are written early.
    #[must_use]
    pub fn journal_bytes(&self) -> u64 {
        self.journal_bytes
    }

    /// Whether the store is opened for reading only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }
}
