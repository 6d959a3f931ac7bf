//! The whole suite on real servers: directly, with buffered writes as the default, and through a proxy that pools
//! transactions.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use stead_conformance::{Offers, OpenOptions, Place, Subject};
use stead_core::{Backend, Capabilities, Durability, Error, Reply, Strength};
use stead_postgres::{NetworkOptions, PostgresBackend, PostgresConfig};
use stead_servers::{PgBouncer, PostgresOptions, PostgresServer};

struct Postgres {
    name: &'static str,
    durability: Durability,
    server: Arc<PostgresServer>,
    url: String,
    /// What the URL leads to, if that is not the server.
    _bouncer: Option<PgBouncer>,
}

impl Postgres {
    fn config(&self, place: &Place) -> Result<PostgresConfig, Error> {
        let mut config = PostgresConfig::from_url(&mut self.url.parse()?)?;
        config.schema = place.name().to_owned();
        config.connections = 8;
        // One case holds a hundred snapshots of different revisions.
        config.snapshots = 110;
        config.poll_interval = Duration::from_millis(10);
        Ok(config)
    }
}

impl Subject for Postgres {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            buffered: Strength::Volatile,
            durable: Strength::ProcessCrash,
            default_durability: self.durability,
            persistent: true,
            ..Capabilities::volatile("postgres")
        }
    }

    fn offers(&self) -> Offers {
        Offers::default().change_retention().limits().read_only()
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn open<'a>(&'a self, place: &'a Place, options: &'a OpenOptions) -> Reply<'a, Arc<dyn Backend>> {
        let config = match self.config(place) {
            Ok(config) => config,
            Err(error) => return Reply::fail(error),
        };
        let settings = NetworkOptions {
            clock: Arc::clone(&options.clock),
            change_retention: options.change_retention as u64,
            sweep_interval: options.sweep_interval,
            durability: self.durability,
            limits: options.limits.unwrap_or_default(),
            read_only: options.read_only,
            timeout: Duration::from_secs(30),
            ..NetworkOptions::default()
        };
        Reply::pending(async move {
            let store = PostgresBackend::open(config, settings).await?;
            Ok(store as Arc<dyn Backend>)
        })
    }

    fn remove(&self, place: &Place) {
        // What is left goes with the server.
        let name = place.name();
        let _ = self
            .server
            .sql(&format!("DROP SCHEMA IF EXISTS \"{name}\" CASCADE"));
    }
}

fn subjects() -> Result<Vec<Arc<dyn Subject>>> {
    // Without fsync, which every case would wait for; the other tests have servers with it.
    let options = PostgresOptions::default()
        .without_fsync()
        .with_setting("max_connections", "400");
    let server = Arc::new(PostgresServer::start(options).context("the suite needs a PostgreSQL server")?);
    let settings = [("default_pool_size", "150"), ("max_client_conn", "1000")];
    let bouncer = PgBouncer::start_with(&server, &settings).context("the suite needs PgBouncer")?;
    let subject = |name, durability, url: String, bouncer| {
        Arc::new(Postgres {
            name,
            durability,
            server: Arc::clone(&server),
            url,
            _bouncer: bouncer,
        }) as Arc<dyn Subject>
    };
    Ok(vec![
        subject("postgres", Durability::Durable, server.url(), None),
        subject("postgres-buffered", Durability::Buffered, server.url(), None),
        subject(
            "postgres-pgbouncer",
            Durability::Durable,
            bouncer.url(),
            Some(bouncer),
        ),
    ])
}

fn main() -> ExitCode {
    match subjects() {
        Ok(subjects) => stead_conformance::main(subjects),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
