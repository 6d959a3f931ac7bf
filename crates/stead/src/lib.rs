//! Durable state for programs that must remember: LLM agents, MCP tools, workflow engines, stream processors.
//!
//! One API over memory and embedded engines, and the same guarantees on each, proved by one public conformance suite:
//! atomic batches with preconditions, revisions that are never reused, deadlines that hold, ordered scans, snapshots,
//! watches that resume exactly, and durability that is declared and kept.
//!
//! This crate stitches the others together. It has no logic of its own: [`open`] takes a URL and gives a
//! [`Backend`](core::Backend); with the feature `state`, `open_state` gives a `StateManager` over it.
//!
//! | feature | what it adds | default |
//! |---|---|---|
//! | `memory` | `memory:`, a store that ends with its process | yes |
//! | `redb` | `redb:./data`, an embedded store in a directory | yes |
//! | `fjall` | `fjall:./data`, the same on an engine for loads that write much | no |
//! | `rocksdb` | `rocksdb:./data`, the same on RocksDB, whose C++ takes long to build | no |
//! | `redis` | `redis://localhost`, a store on a Redis server, or `redis+cluster://` | no |
//! | `postgres` | `postgres://user@host/database`, a store in a schema of a PostgreSQL database | no |
//! | `sled` | `sled:./data`, the same on sled, which is beta upstream | no |
//! | `state` | typed values in scopes, transactions, watches by scope | yes |
//! | `copy` | a store moved into another one, whatever their backends | no |
//! | `backup` | backups of a store, in a directory; `backup-s3`, `backup-azure` and `backup-gcs` for buckets | no |
//! | `config` | settings from a file such as `stead.toml` | no |

#[cfg(feature = "config")]
mod config;
mod open;
#[cfg(feature = "backup")]
mod restore;

#[cfg(feature = "config")]
pub use config::Config;
#[cfg(feature = "state")]
pub use open::open_state;
pub use open::{check_url, is_missing, open};
#[cfg(feature = "backup")]
pub use restore::{restore, restore_latest};
#[cfg(feature = "backup")]
pub use stead_backup as backup;
#[cfg(feature = "state")]
pub use stead_codec as codec;
#[cfg(feature = "copy")]
pub use stead_copy as copy;
pub use stead_core as core;
pub use stead_core::{Error, ErrorKind, Result};
#[cfg(feature = "fjall")]
pub use stead_fjall as fjall;
#[cfg(feature = "memory")]
pub use stead_memory as memory;
#[cfg(feature = "postgres")]
pub use stead_postgres as postgres;
#[cfg(feature = "redb")]
pub use stead_redb as redb;
#[cfg(feature = "redis")]
pub use stead_redis as redis;
#[cfg(feature = "rocksdb")]
pub use stead_rocksdb as rocksdb;
#[cfg(feature = "sled")]
pub use stead_sled as sled;
#[cfg(feature = "state")]
pub use stead_state as state;
#[cfg(feature = "state")]
pub use stead_state::{StateManager, StateScope};

/// Compiles the example of the README.
#[cfg(all(doctest, feature = "redb", feature = "state"))]
#[doc = include_str!("../../../README.md")]
struct Readme;
