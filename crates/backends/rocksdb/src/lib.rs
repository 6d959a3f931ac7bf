//! The RocksDB engine of Stead: an embedded store for large states and many writes, without a server.
//!
//! Choose it for stores much larger than memory, for write rates that outgrow the other engines, and where small files
//! matter. It is C++: compiling it takes many minutes once, and needs libclang. `stead-redb` is the default, and opens and
//! reads small stores faster.
//!
//! - `Durable` batches survive a power failure: RocksDB syncs its log before they are acknowledged, and N concurrent
//!   writers share a sync.
//! - `Buffered` batches are visible at once and survive the end of the process; a power failure may take those of the
//!   last flush interval, but never a part of a batch nor one without its predecessors. A writer that outruns the disk for
//!   long waits for it.
//! - One process at a time has the store open for writing.
//!
//! ```
//! use futures_executor::block_on;
//! use stead_core::{Backend, BackendExt, Key, Partition, Read};
//! use stead_rocksdb::{EmbeddedOptions, RocksDbConfig};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("store");
//! let config = RocksDbConfig::new(&path);
//! let store = stead_rocksdb::open(&config, EmbeddedOptions::default())?;
//! let key = Key::new(&Partition::new("agent:1")?, "plan")?;
//! block_on(store.put(key.clone(), "buy milk"))?;
//! block_on(store.close())?;
//!
//! let store = stead_rocksdb::open(&config, EmbeddedOptions::default())?;
//! assert_eq!(block_on(store.get(&key))?.unwrap().value(), b"buy milk");
//! # Ok::<(), stead_core::Error>(())
//! ```
//!
//! # Damage
//!
//! What is damaged or missing is told when it is opened or read, and nothing is dropped in silence:
//!
//! - Every block of a file has a checksum, which each read from disk compares; [`check`](stead_core::Backend::check)
//!   reads all of them, past the caches.
//! - A clean close leaves nothing in the log, and records the last write in the file `SESSION`. The next open compares.
//! - After a crash the log and the manifest, RocksDB's list of its files, are examined before RocksDB sees them. A torn
//!   end is cut off, as long as nothing is lost that was synced; damage before a synced batch gives `Corrupt` as soon as
//!   any batch was written after that sync, and so does damage to what was in the manifest when the store was opened.
//!
//! One thing cannot be told, for want of a witness: damage to the very last synced batch after a crash, before anything
//! was written behind it, looks like a batch that the crash interrupted. The same holds for the last record of the
//! manifest, if it was added since the store was opened.

mod config;
mod database;
mod engine;
mod error;
mod options;
mod recovery;
mod session;
mod wal;

pub use config::{Compression, RocksDbConfig};
pub use engine::{RocksDbEngine, RocksDbView};
pub use stead_embedded::{Embedded, EmbeddedOptions};

use std::sync::Arc;

use stead_core::{Backend, Reply, Result, StoreUrl};

/// Opens the store that `config` names, or makes one there.
///
/// Blocks for as long as the disk takes: milliseconds after a clean close; after a crash the log is read, at most about
/// three times the size of the write buffer.
///
/// # Errors
///
/// - `Invalid`: the path is a file, or a directory that holds something else, or there is no store and it was to be
///   opened for reading only.
/// - `Unavailable`: another process or another handle has it open, the path may not be written, or the disk failed.
/// - `Full`: there is no room for the files of a store.
/// - `Corrupt`: the files are damaged or missing, are no store, or were written by a newer format.
pub fn open(config: &RocksDbConfig, options: EmbeddedOptions) -> Result<Arc<Embedded<RocksDbEngine>>> {
    stead_embedded::open_store(config, options)
}

/// Opens the store at a URL such as `rocksdb:./data?cache=256MiB&compression=zstd`, on a thread of its own.
///
/// It takes the options of [`EmbeddedOptions::from_url`], and:
///
/// | option | what it sets |
/// |---|---|
/// | `cache` | [`RocksDbConfig::with_cache_capacity`], as in `256MiB` |
/// | `compression` | [`RocksDbConfig::with_compression`]: `none`, `lz4` or `zstd` |
/// | `max_open_files` | [`RocksDbConfig::with_max_open_files`] |
/// | `write_buffer` | [`RocksDbConfig::with_write_buffer_size`], as in `64MiB` |
///
/// # Errors
///
/// As [`open`], and `Invalid` for a URL without a path, unknown options and malformed values.
pub fn open_url(url: StoreUrl) -> Reply<'static, Arc<dyn Backend>> {
    stead_embedded::open_url::<RocksDbConfig>(url)
}

/// What [`open_url`] opens `url` with. Touches no file.
///
/// # Errors
///
/// `Invalid` for a URL without a path, unknown options and malformed values.
pub fn parse_url(url: StoreUrl) -> Result<(RocksDbConfig, EmbeddedOptions)> {
    stead_embedded::parse_url(url)
}
