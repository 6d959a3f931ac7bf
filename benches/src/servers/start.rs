//! The servers of a run.

use std::sync::Arc;

use stead_core::Backend;
use stead_servers::{AppendFsync, PostgresOptions, PostgresServer, RedisCluster, RedisOptions, RedisServer};
use tokio::runtime::{Builder, Runtime};

/// The kinds of servers, by the names of `--server`.
pub(crate) const SERVERS: [&str; 3] = ["redis", "redis-cluster", "postgres"];

/// A private server, gone with the value.
pub(super) enum Server {
    Redis(RedisServer),
    Cluster(RedisCluster),
    Postgres(PostgresServer),
}

impl Server {
    /// # Panics
    ///
    /// When the server is not installed or does not start; the message says what to do.
    pub(super) fn start(name: &str) -> Self {
        let started = match name {
            "redis" => RedisServer::start(redis()).map(Server::Redis),
            "redis-cluster" => RedisCluster::start_with(redis()).map(Server::Cluster),
            _ => PostgresServer::start(postgres()).map(Server::Postgres),
        };
        started.unwrap_or_else(|error| panic!("{error:#}"))
    }

    pub(super) fn url(&self) -> String {
        match self {
            Server::Redis(server) => server.url(),
            Server::Cluster(server) => server.url(),
            Server::Postgres(server) => server.url(),
        }
    }

    /// Opens a store of Stead, with `options` as in a URL.
    pub(super) async fn open(&self, options: &str) -> Arc<dyn Backend> {
        self.open_at(&self.url(), options).await
    }

    /// The same by another way to the server.
    pub(super) async fn open_at(&self, url: &str, options: &str) -> Arc<dyn Backend> {
        let url = format!("{url}?{options}").parse().expect("a valid URL");
        let store = match self {
            Server::Redis(_) | Server::Cluster(_) => stead_redis::open_url(url).await,
            Server::Postgres(_) => stead_postgres::open_url(url).await,
        };
        store.expect("it opens")
    }

    /// The option that gives a store a place of its own.
    pub(super) fn place(&self, name: &str) -> String {
        match self {
            Server::Redis(_) | Server::Cluster(_) => format!("prefix={name}:"),
            Server::Postgres(_) => format!("schema={name}"),
        }
    }
}

/// What is acknowledged is on the disk; the append-only file is not written anew in the middle of a round.
fn redis() -> RedisOptions {
    RedisOptions::default()
        .with_append_only(AppendFsync::Always)
        .with_setting("auto-aof-rewrite-percentage", "0")
}

/// As it comes, without a checkpoint in the middle of a round.
fn postgres() -> PostgresOptions {
    PostgresOptions::default()
        .with_setting("max_wal_size", "4GB")
        .with_setting("checkpoint_timeout", "30min")
}

/// A runtime with as many threads as there are cores, as programs have it.
pub(super) fn runtime() -> Runtime {
    let runtime = Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime")
}
