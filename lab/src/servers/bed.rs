//! The servers, and stores on them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use stead_conformance::crash::partition;
use stead_core::{Backend, Clock, StoreUrl};
use stead_network::NetworkOptions;
use stead_postgres::{PostgresBackend, PostgresConfig};
use stead_servers::{AppendFsync, PostgresOptions, PostgresServer, RedisCluster, RedisOptions, RedisServer};

/// What kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// A Redis server with `appendfsync always`.
    Redis,
    /// A Redis Cluster, each node with `appendfsync always`.
    RedisCluster,
    /// A PostgreSQL server.
    Postgres,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Redis => "redis",
            Kind::RedisCluster => "redis-cluster",
            Kind::Postgres => "postgres",
        }
    }
}

/// A server that runs, with settings that lose nothing of what it acknowledged.
pub(super) enum Bed {
    Redis(RedisServer),
    Cluster(RedisCluster),
    Postgres(PostgresServer),
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    /// The prefix or the schema.
    pub(super) name: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) timeout: Duration,
    /// Zero never repeats.
    pub(super) retry: Duration,
    pub(super) sweep: Duration,
}

impl Bed {
    /// Starts one. The replicas of a Cluster take over from their masters, or never.
    pub(super) fn start(kind: Kind, fails_over: bool) -> Result<Bed> {
        let durable = || RedisOptions::default().with_append_only(AppendFsync::Always);
        Ok(match kind {
            Kind::Redis => Bed::Redis(RedisServer::start(durable())?),
            Kind::RedisCluster => {
                let stays = if fails_over { "no" } else { "yes" };
                let options = durable()
                    .with_setting("cluster-replica-no-failover", stays)
                    // The other shards go on while one is away.
                    .with_setting("cluster-require-full-coverage", "no");
                Bed::Cluster(RedisCluster::start_with(options)?)
            }
            Kind::Postgres => {
                let options = PostgresOptions::default().with_setting("max_connections", "400");
                Bed::Postgres(PostgresServer::start(options)?)
            }
        })
    }

    /// Starts one that forgets by SIGKILL: Redis without its file.
    pub(super) fn forgetful(kind: Kind) -> Result<Bed> {
        Ok(match kind {
            Kind::Redis => Bed::Redis(RedisServer::start(RedisOptions::default())?),
            Kind::RedisCluster => {
                let options = RedisOptions::default().with_setting("cluster-replica-no-failover", "yes");
                Bed::Cluster(RedisCluster::start_with(options)?)
            }
            Kind::Postgres => bail!("a PostgreSQL server does not forget what was durable"),
        })
    }

    pub(super) fn is_postgres(&self) -> bool {
        matches!(self, Bed::Postgres(_))
    }

    pub(super) fn url(&self) -> String {
        match self {
            Bed::Redis(server) => server.url(),
            Bed::Cluster(cluster) => cluster.url(),
            Bed::Postgres(server) => server.url(),
        }
    }

    /// Where clients connect that write: the server, or the masters of a Cluster as it was started.
    pub(super) fn addresses(&self) -> Result<Vec<SocketAddr>> {
        Ok(match self {
            Bed::Redis(server) => vec![server.address().context("the server has a port")?],
            Bed::Cluster(cluster) => cluster.addresses().into_iter().take(3).collect(),
            Bed::Postgres(server) => vec![server.address()],
        })
    }

    /// The shard of the Cluster (0 to 2) that has the partition of [`crash::partition`](stead_conformance::crash::partition).
    pub(super) fn writers_shard(&self) -> Result<usize> {
        let Bed::Cluster(cluster) = self else {
            return Ok(0);
        };
        // The slots of the 64 shards of a store on a Cluster are in the order of the slots of their partitions.
        let name = partition().to_string();
        let slot = cluster.node(0).command(&["CLUSTER", "KEYSLOT", &name])?.text();
        Ok(usize::from(slot.parse::<u16>()?) * 3 / 16_384)
    }

    /// Kills the server, or a master of the Cluster, with SIGKILL.
    pub(super) fn kill(&self, shard: usize) -> Result<Killed> {
        match self {
            Bed::Redis(server) => server.kill()?,
            Bed::Cluster(cluster) => return cluster.kill_master(shard % 3).map(Killed),
            Bed::Postgres(server) => server.kill()?,
        }
        Ok(Killed(0))
    }

    /// Starts again what was killed.
    pub(super) fn restart(&self, killed: &Killed) -> Result<()> {
        match self {
            Bed::Redis(server) => server.restart(),
            Bed::Cluster(cluster) => cluster.node(killed.0).restart(),
            Bed::Postgres(server) => server.restart(),
        }
    }

    /// Waits until the Cluster serves all slots again and its replicas follow. The others answer when they have started.
    pub(super) fn wait_ready(&self) -> Result<()> {
        match self {
            Bed::Cluster(cluster) => cluster.wait_ready(),
            Bed::Redis(_) | Bed::Postgres(_) => Ok(()),
        }
    }

    /// Opens a store on it.
    pub(super) async fn open(&self, opening: &Opening) -> stead_core::Result<Arc<dyn Backend>> {
        open_at(&self.url(), opening).await
    }
}

/// The node that was killed.
pub(super) struct Killed(usize);

/// Opens a store at the URL of a server, or of a proxy before it.
pub(super) async fn open_at(url: &str, opening: &Opening) -> stead_core::Result<Arc<dyn Backend>> {
    let mut url: StoreUrl = url.parse()?;
    let fill = |network: &mut NetworkOptions| {
        network.clock = Arc::clone(&opening.clock);
        network.timeout = opening.timeout;
        network.retry_deadline = opening.retry;
        network.sweep_interval = opening.sweep;
    };
    if url.scheme() == "postgres" {
        let mut config = PostgresConfig::from_url(&mut url)?;
        config.schema.clone_from(&opening.name);
        config.connections = 4;
        let mut network = NetworkOptions::default();
        fill(&mut network);
        return Ok(PostgresBackend::open(config, network).await? as Arc<dyn Backend>);
    }
    let mut options = stead_redis::RedisOptions::from_url(url)?;
    options.prefix = format!("{}:", opening.name);
    fill(&mut options.network);
    Ok(stead_redis::open(options).await? as Arc<dyn Backend>)
}
