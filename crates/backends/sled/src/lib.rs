//! The sled engine of Stead: an embedded store in one directory, in pure Rust.
//!
//! - `Durable` batches survive a power failure: sled's log is flushed and synced, and N concurrent writers share that.
//! - `Buffered` batches are visible at once and durable within the flush interval, or after
//!   [`SledConfig::flush_every`] of them; what is younger is gone with the process, but never a part of a batch nor
//!   one without its predecessors. One that makes more than about 1.5 MiB of sled's log unsynced waits for the disk.
//! - One process at a time has the store open, also for reading: sled cannot open a database without writing to it.
//!
//! ```
//! use futures_executor::block_on;
//! use stead_core::{Backend, BackendExt, Key, Partition, Read};
//! use stead_sled::{EmbeddedOptions, SledConfig};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("store");
//! let config = SledConfig::new(&path);
//! let store = stead_sled::open(&config, EmbeddedOptions::default())?;
//! let key = Key::new(&Partition::new("agent:1")?, "plan")?;
//! block_on(store.put(key.clone(), "buy milk"))?;
//! block_on(store.close())?;
//!
//! let store = stead_sled::open(&config, EmbeddedOptions::default())?;
//! assert_eq!(block_on(store.get(&key))?.unwrap().value(), b"buy milk");
//! # Ok::<(), stead_core::Error>(())
//! ```
//!
//! # When to choose it
//!
//! sled 0.34 is beta software by its authors' own word, and they work on its successor instead. Choose it if you have
//! sled in your program already, or want its fast small commits without C++; choose redb otherwise.
//!
//! # What is made up for here
//!
//! | sled 0.34 | this engine |
//! |---|---|
//! | batches over several trees are not atomic | all keyspaces lie in one tree |
//! | no snapshots | what commits replace is kept in memory for as long as views of earlier commits live |
//! | flushes with `sync_file_range`, which ends in the disk's cache | syncs the log with every durable commit, and before three quarters of a segment are unsynced |
//! | large values go to files that are never synced, and are skipped in silence when they are lost | values lie in parts of 16 KiB in the log |
//! | takes a damaged piece of its log for free space, and a damaged end for that of a crash | see below |
//! | a snapshot file that a crash cut short makes the database unreadable | is removed |
//! | its compression cannot be linked beside our zstd | the feature `compression` compresses records here |
//! | dropping a database leaves its lock to background threads | the close waits for them |
//!
//! # Damage
//!
//! - After a clean close everything that is missing is told: the close makes sled write a snapshot, by which each page is
//!   read by its address and checked, and a file `LEDGER` beside it says which commit is the last.
//! - After an unclean end, opening reads the whole store once and compares the number of records and the sum of their
//!   checksums with what the last commit says of them; what sled lost in the middle is told. A file `DURABLE`
//!   says which commit was durable last, so that a log which lost its end is told too. That file is synced only now and
//!   then: after a power failure, and damage besides, up to 4,096 durable commits at the end can be missing in silence.
//! - sled overwrites what it takes for the end of its log when it opens it. Copy a damaged store before you try to open it
//!   again.
//!
//! The bytes on disk are described in `docs/src/formats/sled.md`.

mod commit;
mod compress;
mod config;
mod engine;
mod error;
mod files;
mod layers;
mod ledger;
mod nudge;
mod record;
mod scan;
mod seal;
mod shared;
mod view;

pub use config::SledConfig;
pub use engine::SledEngine;
pub use stead_embedded::{Embedded, EmbeddedOptions};
pub use view::SledView;

use std::sync::Arc;

use stead_core::{Backend, Reply, Result, StoreUrl};

/// Opens the store that `config` names, or makes one there.
///
/// Blocks for as long as the disk takes: some milliseconds after a clean close; after an unclean end the whole store is
/// read once.
///
/// # Errors
///
/// - `Invalid`: the path is a file, or a directory that holds something else.
/// - `Unavailable`: another process or another handle has it open, the path may not be written, or the disk failed.
/// - `Corrupt`: the files are damaged, are no store, or were written by a newer format.
/// - `Unsupported`: the store is to be opened for reading only, or compression is not compiled in.
pub fn open(config: &SledConfig, options: EmbeddedOptions) -> Result<Arc<Embedded<SledEngine>>> {
    stead_embedded::open_store(config, options)
}

/// Opens the store at a URL such as `sled:./data?durability=durable&cache=256MiB`, on a thread of its own.
///
/// Besides the options of [`EmbeddedOptions::from_url`] it takes those of [`SledConfig`]:
///
/// | option | what it sets |
/// |---|---|
/// | `cache` | the bound on sled's page cache, as in `256MiB` |
/// | `compression` | `true` compresses large records |
/// | `flush_every` | after how many batches buffered writes are made durable |
///
/// # Errors
///
/// As [`open`], and `Invalid` for a URL without a path, unknown options and malformed values.
pub fn open_url(url: StoreUrl) -> Reply<'static, Arc<dyn Backend>> {
    stead_embedded::open_url::<SledConfig>(url)
}

/// What [`open_url`] opens `url` with. Touches no file.
///
/// # Errors
///
/// `Invalid` for a URL without a path, unknown options and malformed values.
pub fn parse_url(url: StoreUrl) -> Result<(SledConfig, EmbeddedOptions)> {
    stead_embedded::parse_url(url)
}
