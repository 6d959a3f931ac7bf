//! Private servers for tests: real processes in temporary directories, on loopback ports and unix sockets.
//!
//! - [`RedisServer`], [`RedisCluster`] (three masters and their replicas), [`PostgresServer`], and [`PgBouncer`] before it.
//! - [`S3Server`], which speaks S3.
//! - [`Faulty`], a proxy whose connections break on command.
//! - [`TlsFiles`], a certificate authority and what it signed.
//!
//! What holds for each server:
//!
//! - `start` returns when it answers. A port that somebody else took meanwhile is exchanged for another.
//! - `kill` is SIGKILL, and returns when nothing of the server runs any more. `restart` brings it up again in the same
//!   directory and on the same port. `pause` is SIGSTOP.
//! - Dropping it kills it and removes its directory. It also dies with the process that started it, even by SIGKILL;
//!   the directory that is left then is removed by whoever starts a server next.
//! - All methods take `&self` and may be called from several threads; those that change the state of the process wait
//!   for each other.
//! - Where the caller is root, PostgreSQL and PgBouncer run as an unprivileged user, which they insist on.
//!
//! A server that is not installed is an error that says what to install; nothing is skipped.
//!
//! ```no_run
//! use stead_servers::{AppendFsync, RedisOptions, RedisServer};
//!
//! # fn main() -> anyhow::Result<()> {
//! let server = RedisServer::start(RedisOptions::default().with_append_only(AppendFsync::Always))?;
//! println!("{}", server.url());
//! server.kill()?;
//! server.restart()?;
//! # Ok(())
//! # }
//! ```
//!
//! It needs Linux, `setpriv` of util-linux, and the servers themselves. `STEAD_REDIS_SERVER` names another server
//! program than the first `redis-server` or `valkey-server` on the PATH, `STEAD_POSTGRES_BIN` another directory of
//! PostgreSQL's programs than the newest, and `STEAD_SERVERS_DIR` another place for the directories than the system's
//! temporary one: a disk, where the price of an fsync matters. `STEAD_S3_PYTHON` names a Python with the packages of the
//! S3 server.

mod directory;
mod faulty;
mod launch;
mod pgbouncer;
mod port;
mod postgres;
mod process;
mod program;
mod redis;
mod s3;
mod tls;
mod url;
mod wait;

pub use faulty::{Faulty, Way};
pub use pgbouncer::PgBouncer;
pub use postgres::{PostgresOptions, PostgresServer, SynchronousCommit};
pub use program::{Need, needs};
pub use redis::{
    Answer, AppendFsync, ClusterNode, RedisCluster, RedisOptions, RedisServer, RedisUser, Role, Transport,
};
pub use s3::{S3_ENVIRONMENT, S3_PACKAGES, S3Server, s3_python};
pub use tls::TlsFiles;
