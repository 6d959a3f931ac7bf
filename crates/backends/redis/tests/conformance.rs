//! The whole suite on a real server, and on a real Cluster of three masters and three replicas.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use stead_conformance::{Offers, OpenOptions, Place, Subject};
use stead_core::{Backend, Capabilities, Durability, Extent, Limits, Reply, Strength};
use stead_redis::RedisOptions;
use stead_servers::{AppendFsync, RedisCluster, RedisServer};

/// Stores on one server, or on one Cluster, each under a prefix of its own.
struct Redis {
    name: &'static str,
    url: String,
    extent: Extent,
    strength: Strength,
}

impl Subject for Redis {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "redis",
            atomicity: self.extent,
            revision_order: self.extent,
            buffered: self.strength,
            durable: self.strength,
            default_durability: Durability::Durable,
            persistent: true,
            writable: true,
            ttl: true,
            range_preconditions: true,
            reverse_scans: true,
            snapshots: true,
            watch: true,
            request_ids: true,
            limits: Limits::default(),
        }
    }

    fn offers(&self) -> Offers {
        Offers::default().change_retention().limits().read_only()
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn open<'a>(&'a self, place: &'a Place, wanted: &'a OpenOptions) -> Reply<'a, Arc<dyn Backend>> {
        Reply::pending(async move {
            let mut options = RedisOptions::from_url(self.url.parse()?)?;
            options.prefix = format!("{}:", place.name());
            options.network.clock = Arc::clone(&wanted.clock);
            options.network.change_retention = wanted.change_retention as u64;
            options.network.sweep_interval = wanted.sweep_interval;
            options.network.read_only = wanted.read_only;
            if let Some(limits) = wanted.limits {
                options.network.limits = limits;
            }
            Ok(stead_redis::open(options).await? as Arc<dyn Backend>)
        })
    }
}

fn main() -> ExitCode {
    let server =
        RedisServer::start(stead_servers::RedisOptions::default().with_append_only(AppendFsync::Always));
    let server = server.unwrap();
    let cluster = RedisCluster::start().unwrap();
    let single = Redis {
        name: "redis",
        url: server.url(),
        extent: Extent::Store,
        strength: Strength::PowerLoss,
    };
    let sharded = Redis {
        name: "redis-cluster",
        url: cluster.url(),
        extent: Extent::Partition,
        // A failover may lose what had not reached the replica.
        strength: Strength::Volatile,
    };
    stead_conformance::main(vec![Arc::new(single), Arc::new(sharded)])
}
