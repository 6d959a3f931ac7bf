//! The fjall engine of Stead: an embedded store in one directory, all in Rust, without a server.
//!
//! fjall is a log-structured merge tree: it appends to a journal and sorts later, in the background. Choose it for loads
//! that write much, where no C++ is to be built, and where the store is larger than memory. A load that mostly reads, or
//! that wants one small file, is better off with redb.
//!
//! - `Durable` batches survive a power failure: their commit syncs the journal, and N concurrent writers share a commit.
//! - `Buffered` batches are handed to the operating system at once and survive the end of the process. A power failure may
//!   take those younger than the flush interval, but never a part of a batch nor one without its predecessors.
//! - One handle at a time has the store open. fjall knows no reading only: an open for reading is alone too, needs a store
//!   that was closed, runs no threads and writes nothing.
//! - Two threads write buffers to tables and merge tables. When they fail, the store refuses writes until it is opened anew.
//! - Every open reads the journals, which hold what is not in tables yet. They are files of 64 MiB that are mostly holes
//!   while the store is open, and are cut to size when it is closed.
//!
//! ```
//! use futures_executor::block_on;
//! use stead_core::{Backend, BackendExt, Key, Partition, Read};
//! use stead_fjall::{EmbeddedOptions, FjallConfig};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("store");
//! let config = FjallConfig::new(&path);
//! let store = stead_fjall::open(&config, EmbeddedOptions::default())?;
//! let key = Key::new(&Partition::new("agent:1")?, "plan")?;
//! block_on(store.put(key.clone(), "buy milk"))?;
//! block_on(store.close())?;
//!
//! let store = stead_fjall::open(&config, EmbeddedOptions::default())?;
//! assert_eq!(block_on(store.get(&key))?.unwrap().value(), b"buy milk");
//! # Ok::<(), stead_core::Error>(())
//! ```
//!
//! # Damage
//!
//! fjall by itself opens without a word after some kinds of damage: it cuts a journal off at the first byte that makes no
//! sense, begins a tree anew whose manifest is gone, and a journal too. So the files are judged before it sees them, and
//! what is refused is `Corrupt`, names the file, and is left as it is.
//!
//! - After a clean close any loss is told: the directory holds a record of what was closed (`CLOSED`), with the length of
//!   each journal and the manifest of each tree.
//! - After a crash the end of the newest journal may be torn, and what was not synced is cut off. A commit that follows a
//!   synced one carries a mark, so damage with such a commit behind it is told. What nobody can tell from a crash is
//!   damage to the very last synced commit, and whole commits that are missing at the end of the newest journal, or whole
//!   journals at either end of their row, unless a table holds something younger.
//! - Blocks of tables have checksums that every read compares. `check` reads every table and every journal.

mod closed;
mod config;
mod engine;
mod error;
mod journal;
mod manifest;
mod recovery;
mod view;

pub use config::{Compression, FjallConfig};
pub use engine::FjallEngine;
pub use stead_embedded::{Embedded, EmbeddedOptions};
pub use view::FjallView;

use std::sync::Arc;

use stead_core::{Backend, Reply, Result, StoreUrl};

/// Opens the store that `config` names, or makes one there.
///
/// Blocks for as long as the disk takes: the journals are read, which hold what was not yet written to tables, at most
/// about [`FjallConfig::with_journal_bytes`].
///
/// # Errors
///
/// - `Invalid`: the path is a file, or a directory that holds something else, or there is no store and it was to be
///   opened for reading only.
/// - `Unavailable`: another process or another handle has it open, the path may not be written, or the disk failed.
/// - `Corrupt`: the files are damaged, are no store, or were written by a newer format.
pub fn open(config: &FjallConfig, options: EmbeddedOptions) -> Result<Arc<Embedded<FjallEngine>>> {
    stead_embedded::open_store(config, options)
}

/// Opens the store at a URL such as `fjall:./data?durability=durable&cache=256MiB`, on a thread of its own.
///
/// Besides the options of [`EmbeddedOptions::from_url`] it takes these:
///
/// | option | what it sets |
/// |---|---|
/// | `cache` | [`FjallConfig::with_cache_bytes`], as in `256MiB` |
/// | `compression` | [`FjallConfig::with_compression`]: `none` or `lz4` |
/// | `write_buffer` | [`FjallConfig::with_write_buffer_bytes`], as in `64MiB` |
/// | `journal` | [`FjallConfig::with_journal_bytes`], as in `512MiB` |
///
/// # Errors
///
/// As [`open`], and `Invalid` for a URL without a path, unknown options and malformed values.
pub fn open_url(url: StoreUrl) -> Reply<'static, Arc<dyn Backend>> {
    stead_embedded::open_url::<FjallConfig>(url)
}

/// What [`open_url`] opens `url` with. Touches no file.
///
/// # Errors
///
/// `Invalid` for a URL without a path, unknown options and malformed values.
pub fn parse_url(url: StoreUrl) -> Result<(FjallConfig, EmbeddedOptions)> {
    stead_embedded::parse_url(url)
}
