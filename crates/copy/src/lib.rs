//! Moves a store into another one: any backend to any other, while the source is written to.
//!
//! ```
//! # futures_executor::block_on(async {
//! use std::sync::Arc;
//!
//! use stead_copy::{Copier, CopyOptions};
//! use stead_core::{Backend, BackendExt, Key, Partition, Read};
//! use stead_memory::MemoryBackend;
//!
//! let old: Arc<dyn Backend> = Arc::new(MemoryBackend::default());
//! let new: Arc<dyn Backend> = Arc::new(MemoryBackend::default());
//! let key = Key::new(&Partition::new("notes")?, "today")?;
//! old.put(key.clone(), "write the docs").await?;
//!
//! let copier = Copier::begin(Arc::clone(&old), Arc::clone(&new), CopyOptions::new("old")).await?;
//! let report = copier.run().await?;
//! assert_eq!(report.verified.entries, 1);
//! assert_eq!(new.get(&key).await?.unwrap().value(), b"write the docs");
//! # Ok::<(), stead_core::Error>(())
//! # }).unwrap();
//! ```
//!
//! # How a copy goes
//!
//! 1. Everything that a snapshot of the source holds is written to the target, in batches of bounded size.
//! 2. What changed meanwhile is read from the source's feed of changes, and written with the values of a newer snapshot.
//!    This is repeated until hardly anything changes between two rounds. Where the log of changes no longer reaches back,
//!    both stores are read side by side and what differs is written.
//! 3. Both stores are read side by side and compared: the number of entries and a hash of them, partition by partition.
//!
//! # What holds
//!
//! - The target ends as the source was at the revision that the report names, entry by entry, deadlines included.
//! - Revisions go on: every commit of the target has a higher one than the source had then. A watch that goes on at the
//!   target from a position in the source misses nothing: it is told `Compacted`, or gets every change behind its
//!   position, some perhaps twice.
//! - Where the copy stands is kept in the target, in the partition [`PARTITION`], until it is done. A copy that was
//!   interrupted in any way, be it SIGKILL, goes on from there when it is begun again with the same options.
//! - Memory does not grow with the store, but for 30 bytes for each partition of a source whose revisions are ordered
//!   within partitions only.
//! - Writers of the source do not wait. Nothing else may write to the target until the copy is done; what is found there
//!   that does not belong there is an error.
//!
//! # Cancellation
//!
//! All of it can be dropped at any point, as a kill would end it. A batch that was handed over is still committed. It gives
//! way to other tasks after each page, also between stores that answer at once.

mod batcher;
mod bulk;
mod catch_up;
mod copier;
mod digest;
mod join;
mod options;
mod record;
mod report;
mod verify;

pub use copier::Copier;
pub use options::{CopyOptions, Occupied};
pub use record::PARTITION;
pub use report::{Observer, Phase, Progress, Report, Round, Verified};
