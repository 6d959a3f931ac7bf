//! Opening a store.

use std::sync::Arc;

use stead_core::{Backend, Error, Reply, Result, StoreUrl};
use stead_network::{Failure, NetworkOptions, Repeat};
use tokio::runtime::Handle;

use crate::config::check_limits;
use crate::probe::probe;
use crate::server::{Purpose, Server};
use crate::shared::{Found, Shared, newest_of};
use crate::statements::Statements;
use crate::{PostgresBackend, PostgresConfig, error, schema};

/// Reads a URL such as `postgres://app:password@db.internal/shop?schema=memory`, with the options that
/// [`PostgresConfig::from_url`] and [`NetworkOptions::from_url`] take, and opens nothing.
///
/// # Errors
///
/// `Invalid` for a malformed URL, unknown options and malformed values.
pub fn parse_url(mut url: StoreUrl) -> Result<(PostgresConfig, NetworkOptions)> {
    let mut parsed = || {
        let config = PostgresConfig::from_url(&mut url)?;
        let options = NetworkOptions::from_url(&mut url)?;
        Ok((config, options))
    };
    let parsed = parsed().and_then(|parsed| url.finish().map(|()| parsed));
    parsed.map_err(|error: Error| error.during("open"))
}

/// Opens the store at a URL as [`parse_url`] reads it.
///
/// # Errors
///
/// Those of [`parse_url`] and [`PostgresBackend::open`].
pub fn open_url(url: StoreUrl) -> Reply<'static, Arc<dyn Backend>> {
    match parse_url(url) {
        Ok((config, options)) => Reply::pending(async move {
            let store = PostgresBackend::open(config, options).await?;
            Ok(store as Arc<dyn Backend>)
        }),
        Err(error) => Reply::fail(error),
    }
}

/// Finds the server, makes the schema where it is missing, and looks where the store stands.
pub(crate) async fn open(config: PostgresConfig, options: NetworkOptions) -> Result<Arc<Shared>> {
    let runtime = Handle::try_current().map_err(|_| {
        Error::invalid("a store on a server is opened inside a tokio runtime, which moves its connections")
    })?;
    config.check()?;
    check_limits(&options.limits)?;
    // Making a schema twice finds the first.
    let found = options
        .retry()
        .run(Repeat::Read, || attempt(&config, &options))
        .await?;
    Ok(Arc::new(Shared::new(found, runtime)))
}

async fn attempt(config: &PostgresConfig, options: &NetworkOptions) -> Result<Found, Failure> {
    let server = Server::find(config, options).await?;
    let session = server.session(Purpose::Write).await?;
    let probe = probe(&session).await?;
    if probe.standby && !options.read_only {
        return Err(Failure::Final(error::read_only().with("option", "read_only")));
    }
    let lineage = schema::ready(&session, &config.schema, options.read_only, &*options.random).await;
    if lineage.is_err() {
        // It may be in the middle of a transaction.
        session.abandon();
    }
    let lineage = lineage?;
    let sql = Statements::new(&config.schema, server.sessions);
    let row = session.row(&sql.newest, &[]).await?;
    let (newest, floor) = newest_of(&row).map_err(Failure::Final)?;
    drop(session);
    Ok(Found {
        server,
        sql,
        config: config.clone(),
        options: options.clone(),
        probe,
        lineage,
        newest,
        floor,
    })
}
