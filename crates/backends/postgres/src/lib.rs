//! PostgreSQL as a store: the same guarantees as everywhere, in a schema of a database that is operated already.
//!
//! - `Durable` batches survive what the server's settings make of a commit: `fsync`, `full_page_writes`,
//!   `synchronous_commit` and its standbys are looked at when the store is opened, and no more is declared than they give.
//! - `Buffered` batches are visible when they are acknowledged; the end of this process takes nothing of them, but a crash
//!   of the server may.
//! - A batch reaches over the whole store, and revisions become visible in their order.
//! - Any number of processes may have the store open.
//! - Works behind a proxy that pools transactions, such as PgBouncer; watches then poll.
//!
//! PostgreSQL 13 or later. docs/src/formats/postgres.md describes the schema.
//!
//! ```no_run
//! # async fn open() -> stead_core::Result<()> {
//! use stead_core::{Backend, BackendExt, Key, Partition, Read};
//!
//! let url = "postgres://app:password@db.internal/shop?sslmode=verify-full".parse()?;
//! let store = stead_postgres::open_url(url).await?;
//! let key = Key::new(&Partition::new("agent:1")?, "plan")?;
//! store.put(key.clone(), "buy milk").await?;
//! assert_eq!(store.get(&key).await?.unwrap().value(), b"buy milk");
//! store.close().await?;
//! # Ok(())
//! # }
//! ```

mod check;
mod commit;
mod config;
mod convert;
mod error;
mod log;
mod open;
mod ops;
mod plan;
mod probe;
mod queue;
mod read;
mod schema;
mod server;
mod shared;
mod single;
mod snapshot;
mod statements;
mod store;
mod tasks;
mod tls;

pub use config::{Host, Pooler, PostgresConfig, TlsMode};
pub use open::{open_url, parse_url};
pub use stead_network::{NetworkOptions, SecretString};
pub use store::PostgresBackend;
