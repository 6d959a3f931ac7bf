//! Connections to the server.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType, Timeouts,
};
use stead_core::{Error, Result};
use stead_network::{Failure, NetworkOptions};
use tokio::time::timeout;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Connection, Row, Socket, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{Host, Pooler, PostgresConfig, TlsMode, error, tls};

/// What every session of ours is told at its beginning. The plans of our statements are meant to walk the indexes: one that
/// was made for a small table and is kept while the table grows must not read all of it, and no sort must read a whole
/// range to give its first page. They are the same for all parameters, and so planned once.
const SESSION_SETTINGS: &str = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off \
     -c enable_hashjoin=off -c enable_mergejoin=off -c enable_sort=off -c jit=off \
     -c default_transaction_isolation=read\\ committed";

/// The stream of an encrypted connection.
type TlsStream = <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<Socket>>::Stream;

/// A statement and the types of its parameters, so that it can be sent without asking for them.
pub(crate) struct Sql {
    pub(crate) text: String,
    pub(crate) types: Vec<Type>,
}

/// The server, and the ways to it.
pub(crate) struct Server {
    settings: tokio_postgres::Config,
    tls: MakeRustlsConnect,
    /// Whether a session is ours for as long as its connection: statements can be prepared, and notices come.
    pub(crate) sessions: bool,
    timeout: Duration,
    reads: Lane,
    writes: Lane,
    snapshots: Lane,
}

/// A pool and the option that bounds it.
struct Lane {
    pool: Pool,
    option: &'static str,
    limit: usize,
}

/// What a connection is wanted for. Each has connections of its own, so that none waits for the others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Read,
    Write,
    Snapshot,
}

impl Server {
    /// Looks what stands between and makes the pools. Opens one connection, which is closed again.
    ///
    /// # Errors
    ///
    /// As a failure to connect.
    pub(crate) async fn find(config: &PostgresConfig, options: &NetworkOptions) -> Result<Self, Failure> {
        let tls = tls::connector(config).map_err(Failure::Final)?;
        let mut settings = settings(config, options);
        let sessions =
            config.pooler == Pooler::Detect && keeps_sessions(&settings, &tls, options.timeout).await?;
        if sessions {
            settings.options(SESSION_SETTINGS);
        }
        let lane = |option, limit| {
            let recycling_method = RecyclingMethod::Fast;
            let manager =
                Manager::from_config(settings.clone(), tls.clone(), ManagerConfig { recycling_method });
            let pool = Pool::builder(manager)
                .max_size(limit)
                .runtime(Runtime::Tokio1)
                .wait_timeout(Some(options.timeout))
                .create_timeout(Some(options.timeout))
                .build()
                .map_err(|error| Failure::Final(Error::internal("the pool cannot be made").because(error)))?;
            Ok(Lane { pool, option, limit })
        };
        Ok(Server {
            reads: lane("connections", config.connections.saturating_sub(1).max(1))?,
            writes: lane("connections", 1)?,
            snapshots: lane("snapshots", config.snapshots)?,
            settings,
            tls,
            sessions,
            timeout: options.timeout,
        })
    }

    /// A session out of the pool.
    pub(crate) async fn session(&self, purpose: Purpose) -> Result<Session, Failure> {
        let lane = match purpose {
            Purpose::Read => &self.reads,
            Purpose::Write => &self.writes,
            Purpose::Snapshot => &self.snapshots,
        };
        // Most of the time there is one, and no timer needs to be set for the wait.
        let at_once = Timeouts {
            wait: Some(Duration::ZERO),
            ..lane.pool.timeouts()
        };
        let object = match lane.pool.timeout_get(&at_once).await {
            Err(PoolError::Timeout(TimeoutType::Wait)) => lane.pool.get().await,
            other => other,
        };
        Ok(Session {
            object: Some(object.map_err(|error| error::pooling(error, lane.option, lane.limit))?),
            prepares: self.sessions,
            timeout: self.timeout,
            broken: AtomicBool::new(false),
            wanders: !self.sessions && purpose != Purpose::Snapshot,
            under_way: AtomicUsize::new(0),
        })
    }

    /// A connection of its own.
    pub(crate) async fn connect(&self) -> Result<(Client, Connection<Socket, TlsStream>), Failure> {
        connect(&self.settings, &self.tls, self.timeout).await
    }

    /// Lets go of the connections that nobody uses; those of writes and snapshots are not given out any more.
    pub(crate) fn close(&self) {
        self.writes.pool.close();
        self.snapshots.pool.close();
        // Watches may still have to read what is left.
        self.reads.pool.retain(|_, _| false);
    }
}

async fn connect(
    settings: &tokio_postgres::Config,
    tls: &MakeRustlsConnect,
    limit: Duration,
) -> Result<(Client, Connection<Socket, TlsStream>), Failure> {
    match timeout(limit, settings.connect(tls.clone())).await {
        Ok(connected) => connected.map_err(error::connecting),
        Err(_) => Err(Failure::NotDone(error::unanswered_connect())),
    }
}

/// Whether what a session is told at its beginning is there later on. A proxy that pools transactions refuses such
/// settings or drops them, for its sessions are everybody's.
async fn keeps_sessions(
    settings: &tokio_postgres::Config,
    tls: &MakeRustlsConnect,
    limit: Duration,
) -> Result<bool, Failure> {
    let mut told = settings.clone();
    told.options(SESSION_SETTINGS);
    let connected = match timeout(limit, told.connect(tls.clone())).await {
        Ok(connected) => connected,
        Err(_) => return Err(Failure::NotDone(error::unanswered_connect())),
    };
    let (client, connection) = match connected {
        Ok(connected) => connected,
        Err(refused) if refused.code() == Some(&SqlState::PROTOCOL_VIOLATION) => return Ok(false),
        Err(other) => return Err(error::connecting(other)),
    };
    let driver = tokio::spawn(connection);
    let question =
        "SELECT current_setting('enable_seqscan') = 'off' AND current_setting('enable_sort') = 'off'";
    let answer = timeout(limit, client.query_typed_one(question, &[])).await;
    driver.abort();
    let row = answer.map_err(|_| error::timed_out())?.map_err(error::asking)?;
    row.try_get(0).map_err(error::asking)
}

fn settings(config: &PostgresConfig, options: &NetworkOptions) -> tokio_postgres::Config {
    let mut settings = tokio_postgres::Config::new();
    let mut over_tcp = false;
    for host in &config.hosts {
        match host {
            Host::Tcp(name, port) => {
                over_tcp = true;
                settings.host(name).port(*port);
            }
            Host::Unix(directory, port) => {
                settings.host_path(directory).port(*port);
            }
        }
    }
    settings
        .user(&config.user)
        .dbname(&config.database)
        .application_name("stead")
        .connect_timeout(options.timeout)
        .ssl_mode(match config.tls {
            _ if !over_tcp => SslMode::Disable,
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require | TlsMode::VerifyFull => SslMode::Require,
        });
    if let Some(password) = config.password_bytes() {
        settings.password(password);
    }
    if config.hosts.len() > 1 && !options.read_only {
        settings.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    settings
}

/// A session of the server for one purpose. Goes back to its pool when dropped, unless it broke.
pub(crate) struct Session {
    object: Option<Object>,
    prepares: bool,
    timeout: Duration,
    broken: AtomicBool,
    /// Whether what comes after a statement may get to another session of the server: outside of a transaction, behind a
    /// proxy.
    wanders: bool,
    /// Statements that were begun and not ended.
    under_way: AtomicUsize,
}

impl Session {
    fn client(&self) -> Result<&Object, Failure> {
        let object = self.object.as_ref();
        object.ok_or_else(|| Failure::NotDone(Error::internal("a session was used after its end")))
    }

    /// Runs one statement. Several may be under way at once: the server takes them in the order of their first poll, as
    /// long as they were [prepared](Self::prepare) before.
    ///
    /// # Errors
    ///
    /// After `Unanswered` the session is of no use and is not given out again.
    pub(crate) async fn rows(&self, sql: &Sql, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Failure> {
        let client = self.client()?;
        let asked = async {
            if self.prepares {
                let statement = client.prepare_typed_cached(&sql.text, &sql.types).await?;
                client.query(&statement, params).await
            } else {
                let typed: Vec<_> = params.iter().copied().zip(sql.types.iter().cloned()).collect();
                client.query_typed(&sql.text, &typed).await
            }
        };
        self.within(asked).await
    }

    /// One row that is always there.
    pub(crate) async fn row(&self, sql: &Sql, params: &[&(dyn ToSql + Sync)]) -> Result<Row, Failure> {
        let mut rows = self.rows(sql, params).await?;
        rows.pop().ok_or_else(|| {
            Failure::Final(Error::corrupt(
                "a row of the store's schema is missing; restore it from a backup",
            ))
        })
    }

    /// Makes sure that the next run of `sql` is one message. Gives what to send then, where sessions are ours.
    pub(crate) async fn prepare(&self, sql: &Sql) -> Result<Option<Statement>, Failure> {
        if !self.prepares {
            return Ok(None);
        }
        let client = self.client()?;
        // Nothing of the caller's is sent.
        let prepared = self.within(client.prepare_typed_cached(&sql.text, &sql.types));
        prepared.await.map(Some).map_err(|failure| match failure {
            Failure::Unanswered(error) => Failure::NotDone(error),
            other => other,
        })
    }

    /// Runs a statement that was [prepared](Self::prepare) on this connection. It is not looked up by its text again.
    pub(crate) async fn run_prepared(
        &self,
        statement: &Statement,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Failure> {
        self.within(self.client()?.query(statement, params)).await
    }

    /// Runs statements that give nothing and take nothing.
    pub(crate) async fn run(&self, statements: &str) -> Result<(), Failure> {
        let client = self.client()?;
        self.within(client.batch_execute(statements)).await
    }

    async fn within<T>(
        &self,
        asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let ended = timeout(self.timeout, asked).await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        let answer = match ended {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error::asking(error),
            Err(_) => error::timed_out(),
        };
        if matches!(answer, Failure::Unanswered(_)) {
            self.abandon();
        }
        Err(answer)
    }

    /// When its connection was made.
    pub(crate) fn connected_at(&self) -> Option<std::time::Instant> {
        self.object.as_ref().map(|object| Object::metrics(object).created)
    }

    /// Closes the connection instead of giving it back.
    pub(crate) fn abandon(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed) || self.object.as_ref().is_none_or(|object| object.is_closed())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A statement whose caller went away is still under way. Another one behind it could be torn by a proxy that gives
        // the server's session to somebody else once the first is answered, and end up in their statement.
        let torn = self.wanders && *self.under_way.get_mut() > 0;
        if (torn || *self.broken.get_mut())
            && let Some(object) = self.object.take()
        {
            drop(Object::take(object));
        }
    }
}
