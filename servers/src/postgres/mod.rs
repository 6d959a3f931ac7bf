//! PostgreSQL.

mod options;
mod server;
mod shared_memory;
mod small_disk;
mod standby;
mod template;

pub use options::{PostgresOptions, SynchronousCommit};
pub use server::PostgresServer;
pub(crate) use server::{USER, psql};
pub(crate) use shared_memory::remove as remove_shared_memory;
pub(crate) use template::programs;
