//! The redb engine of Stead: an embedded store in one directory, without a server.
//!
//! - `Durable` batches survive a power failure: redb commits them in two phases, and N concurrent writers share a commit.
//! - `Buffered` batches are visible at once and durable within the flush interval; what is younger is gone with the
//!   process, but never a part of a batch nor one without its predecessors.
//! - One process at a time has the store open for writing.
//!
//! ```
//! use futures_executor::block_on;
//! use stead_core::{Backend, BackendExt, Key, Partition, Read};
//! use stead_redb::{EmbeddedOptions, RedbConfig};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("store");
//! let config = RedbConfig::new(&path);
//! let store = stead_redb::open(&config, EmbeddedOptions::default())?;
//! let key = Key::new(&Partition::new("agent:1")?, "plan")?;
//! block_on(store.put(key.clone(), "buy milk"))?;
//! block_on(store.close())?;
//!
//! let store = stead_redb::open(&config, EmbeddedOptions::default())?;
//! assert_eq!(block_on(store.get(&key))?.unwrap().value(), b"buy milk");
//! # Ok::<(), stead_core::Error>(())
//! ```

mod config;
mod engine;
mod error;
mod files;
mod view;

pub use config::RedbConfig;
pub use engine::RedbEngine;
pub use stead_embedded::{Embedded, EmbeddedOptions};
pub use view::RedbView;

use std::sync::Arc;

use stead_core::{Backend, Reply, Result, StoreUrl};

/// Opens the store that `config` names, or makes one there.
///
/// Blocks for as long as the disk takes: milliseconds after a clean close; after a crash redb reads the whole store
/// once.
///
/// # Errors
///
/// - `Invalid`: the path is a file, or a directory that holds something else, or there is no store and it was to be
///   opened for reading only.
/// - `Unavailable`: another process or another handle has it open, the path may not be written, or the disk failed.
/// - `Corrupt`: the files are damaged, are no store, or were written by a newer format.
pub fn open(config: &RedbConfig, options: EmbeddedOptions) -> Result<Arc<Embedded<RedbEngine>>> {
    stead_embedded::open_store(config, options)
}

/// Opens the store at a URL such as `redb:./data?durability=durable&cache=256MiB`, on a thread of its own.
///
/// Besides `cache`, the bound on redb's page cache, it takes the options of [`EmbeddedOptions::from_url`].
///
/// # Errors
///
/// As [`open`], and `Invalid` for a URL without a path, unknown options and malformed values.
pub fn open_url(url: StoreUrl) -> Reply<'static, Arc<dyn Backend>> {
    stead_embedded::open_url::<RedbConfig>(url)
}

/// What [`open_url`] opens `url` with. Touches no file.
///
/// # Errors
///
/// `Invalid` for a URL without a path, unknown options and malformed values.
pub fn parse_url(url: StoreUrl) -> Result<(RedbConfig, EmbeddedOptions)> {
    stead_embedded::parse_url(url)
}
