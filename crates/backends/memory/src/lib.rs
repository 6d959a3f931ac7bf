//! The in-memory backend of Stead: point reads by hash, ordered scans, atomic batches, snapshots that stop no writer,
//! deadlines, watches, capacity limits and statistics. Nothing survives the process.

mod append;
mod commit;
mod log;
mod options;
mod path;
mod read;
mod shards;
mod slots;
mod store;
mod sweeper;
mod tree;
mod words;

pub use options::MemoryOptions;
pub use store::MemoryBackend;
