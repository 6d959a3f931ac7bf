//! The store of Stead on Redis: a single server (7.0 or later, or Valkey), or a Redis Cluster.
//!
//! ```no_run
//! # async fn run() -> stead_core::Result<()> {
//! use stead_core::{Backend, BackendExt, Key, Partition, Read};
//!
//! let store = stead_redis::open_url("redis://localhost:6379/0?prefix=notes:".parse()?).await?;
//! let key = Key::new(&Partition::new("notes")?, "today")?;
//! store.put(key.clone(), "write the docs").await?;
//! assert!(store.get(&key).await?.is_some());
//! store.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! A store is cut into *shards*: one on a single server, 64 on a Cluster. A shard is a group of Redis keys with one hash
//! tag, which lie on one server; a partition belongs to one shard by its hash. Each batch is one script on one shard: it
//! judges the preconditions, writes records and indexes, and adds the change set to the log, a stream. So a batch is
//! atomic in its shard, and so are revisions ordered: in the whole store where there is one shard, in each partition
//! where there are several.
//!
//! - Records carry their deadline; Redis' own expiry is not used, because it would tell nobody.
//! - The order of keys is a sorted set. A page costs what it returns.
//! - A revision is never below the server's time in microseconds: those that a crash or a failover took along do not
//!   come again.
//! - Snapshots are registered on the server with a lease of a minute, and commits keep what they replace for them.
//! - Watches read the log and are woken by sharded publish/subscribe.
//!
//! The keys are described byte by byte in docs/src/formats/redis.md.
//!
//! # What a write survives
//!
//! That is the server's setting, and [`Capabilities`](stead_core::Capabilities) tell it: `PowerLoss` with `appendonly yes`
//! and `appendfsync always`, `ProcessCrash` with `appendfsync no`, and nothing otherwise: with `everysec` the server may
//! hold writes back that it has acknowledged. A Cluster with replicas promises nothing, because a failover may lose what
//! had not reached the replica. Servers that hide their settings are believed what the option `survives` says.
//!
//! # Time
//!
//! Deadlines are judged by the clock of the process that reads or writes. The processes that share a store should agree on
//! the time.

mod batch;
mod check;
mod commit;
mod connector;
mod cursor;
mod error;
mod gather;
mod inner;
mod link;
mod net;
mod open;
mod options;
mod partitions;
mod probe;
mod read;
mod record;
mod scripts;
mod shard;
mod snapshot;
mod store;
mod sweep;
mod watch;

pub use open::{open, open_url};
pub use options::RedisOptions;
pub use stead_network::NetworkOptions;
pub use store::RedisBackend;
