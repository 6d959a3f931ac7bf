//! Where a store is, and how it is reached.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use stead_core::{Error, Limits, Result, StoreUrl};
use stead_network::{Address, ExposeSecret, SecretString};

/// How a connection is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    Disable,
    /// Where the server offers it, without a look at its certificate: what PostgreSQL's own clients do unless told
    /// otherwise. Keeps out who only listens.
    #[default]
    Prefer,
    /// Always, without a look at the server's certificate unless an authority is given. Keeps out who only listens.
    Require,
    /// Always, with a certificate for the host's name by a known authority. Keeps out who stands in between.
    VerifyFull,
}

/// What stands between the store and the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooler {
    /// Found out at opening: a proxy that pools transactions does not let the settings of a session through.
    #[default]
    Detect,
    /// A proxy that pools transactions, such as PgBouncer: nothing is left in a session, and watches poll.
    Transaction,
}

/// One server, or one of several of which the first that takes writes is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// Over TCP.
    Tcp(String, u16),
    /// Over the unix socket `.s.PGSQL.PORT` in a directory.
    Unix(PathBuf, u16),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Tcp(name, port) => stead_network::Host {
                name: name.clone(),
                port: *port,
            }
            .fmt(f),
            Host::Unix(directory, port) => write!(f, "{}/.s.PGSQL.{port}", directory.display()),
        }
    }
}

/// Where a store is, and how it is reached. Shown by `Debug` without its password.
///
/// ```
/// use stead_postgres::{Host, PostgresConfig, TlsMode};
///
/// let mut url = "postgres://app:s3cret@db.internal/shop?schema=memory&sslmode=verify-full".parse()?;
/// let config = PostgresConfig::from_url(&mut url)?;
/// assert_eq!(config.hosts, [Host::Tcp("db.internal".into(), 5432)]);
/// assert_eq!((config.database.as_str(), config.schema.as_str()), ("shop", "memory"));
/// assert_eq!(config.tls, TlsMode::VerifyFull);
/// assert!(!format!("{config:?}").contains("s3cret"));
/// # Ok::<(), stead_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PostgresConfig {
    /// The servers, in the order in which they are tried.
    pub hosts: Vec<Host>,
    /// The user.
    pub user: String,
    /// The password, where the server asks for one.
    pub password: Option<SecretString>,
    /// The database.
    pub database: String,
    /// The schema that holds the store: `stead` unless configured. It is made where it is missing.
    pub schema: String,
    /// How connections are encrypted.
    pub tls: TlsMode,
    /// A file with the certificates of the authorities that are trusted, in place of the system's.
    pub ca: Option<PathBuf>,
    /// What stands between.
    pub pooler: Pooler,
    /// The most connections for reads and writes: 16 unless configured. One of them commits for all.
    pub connections: usize,
    /// The most connections that snapshots hold, each one while it lives, beside the others: 8 unless configured.
    pub snapshots: usize,
    /// How often watches look for what other processes committed, where the server cannot tell them: 200 milliseconds
    /// unless configured. Where it can they look every second all the same.
    pub poll_interval: Duration,
}

/// The port unless one is given.
const PORT: u16 = 5432;
/// What a single value of PostgreSQL can hold is 1 GiB, and a batch is sent as one array.
const LARGEST_BATCH: usize = 512 << 20;

impl PostgresConfig {
    /// The store of `user` in the schema `stead` of `database`, on one server, with everything else as it is by default.
    #[must_use]
    pub fn new(host: Host, user: impl Into<String>, database: impl Into<String>) -> Self {
        PostgresConfig {
            hosts: vec![host],
            user: user.into(),
            password: None,
            database: database.into(),
            schema: "stead".into(),
            tls: TlsMode::default(),
            ca: None,
            pooler: Pooler::default(),
            connections: 16,
            snapshots: 8,
            poll_interval: Duration::from_millis(200),
        }
    }

    /// Takes what it needs out of `postgres://user:password@host:port/database`. The database is the user's own name
    /// where none is given. A host that begins with an escaped slash, as in `postgres://user@%2Frun%2Fpostgresql/database`,
    /// is the directory of a unix socket, and so is the option `host` of a URL without one.
    ///
    /// | option | what it sets |
    /// |---|---|
    /// | `schema` | the schema that holds the store |
    /// | `host` | the directory of the unix socket, or a server's name, where the URL names none |
    /// | `sslmode` | `disable`, `prefer`, `require` or `verify-full` |
    /// | `sslrootcert` | a file with the certificates of trusted authorities |
    /// | `pooler` | `transaction` behind a proxy that pools transactions, where it is not found out |
    /// | `connections` | the most connections for reads and writes |
    /// | `snapshots` | the most connections that snapshots hold |
    /// | `poll` | how often watches look where the server cannot tell them, as in `200ms` |
    ///
    /// # Errors
    ///
    /// `Invalid`, naming the option or the part of the URL, for a value that is malformed.
    pub fn from_url(url: &mut StoreUrl) -> Result<Self> {
        let address = Address::of(url, PORT)?;
        let mut hosts: Vec<_> = address
            .hosts
            .into_iter()
            .map(|host| host_of(host.name, host.port))
            .collect();
        match url.take("host") {
            Some(name) if hosts.is_empty() && !name.is_empty() => hosts.push(host_of(name, PORT)),
            Some(_) => {
                return Err(Error::invalid(
                    "the host is given twice; name it before or behind the question mark",
                )
                .with("option", "host"));
            }
            None => {}
        }
        let Some(first) = hosts.first().cloned() else {
            return Err(Error::invalid(
                "the store's URL names no host; write postgres://user@host/database, or the socket's directory as host=/run/postgresql",
            ));
        };
        let Some(user) = address.user else {
            return Err(Error::invalid(
                "the store's URL names no user; write postgres://user@host/database",
            ));
        };
        let database = if address.path.is_empty() {
            user.clone()
        } else {
            address.path
        };
        let mut config = PostgresConfig::new(first, user, database);
        config.hosts = hosts;
        config.password = address.password;
        config.take_options(url)?;
        config.check()?;
        Ok(config)
    }

    fn take_options(&mut self, url: &mut StoreUrl) -> Result<()> {
        if let Some(schema) = url.take("schema") {
            self.schema = schema;
        }
        if let Some(mode) = url.take_as("sslmode", parse_tls)? {
            self.tls = mode;
        }
        self.ca = url.take("sslrootcert").map(PathBuf::from);
        if let Some(pooler) = url.take_as("pooler", parse_pooler)? {
            self.pooler = pooler;
        }
        if let Some(connections) = url.take_number("connections")? {
            self.connections = usize::try_from(connections).unwrap_or(usize::MAX);
        }
        if let Some(snapshots) = url.take_number("snapshots")? {
            self.snapshots = usize::try_from(snapshots).unwrap_or(usize::MAX);
        }
        if let Some(interval) = url.take_duration("poll")? {
            self.poll_interval = interval;
        }
        Ok(())
    }

    /// Refuses what cannot be.
    ///
    /// # Errors
    ///
    /// `Invalid`, naming the option.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong =
            |option: &'static str, message: &'static str| Err(Error::invalid(message).with("option", option));
        // It stands in statements, where these would have to be escaped in more than one way.
        if self.schema.is_empty()
            || self.schema.len() > 63
            || self.schema.contains(['\0', '%', '\'', '"', '\\'])
        {
            return wrong(
                "schema",
                "the schema's name has 1 to 63 bytes, none of them a quote, %, \\ or NUL",
            );
        }
        if self.schema.starts_with("pg_") || self.schema == "information_schema" {
            return wrong(
                "schema",
                "the schema belongs to PostgreSQL; give the store one of its own",
            );
        }
        // Commits and reads must not wait for each other's connection.
        if !(2..=10_000).contains(&self.connections) {
            return wrong(
                "connections",
                "there are at least 2 connections, and at most 10000",
            );
        }
        if !(1..=10_000).contains(&self.snapshots) {
            return wrong(
                "snapshots",
                "there is at least 1 connection for snapshots, and at most 10000",
            );
        }
        if self.poll_interval.is_zero() {
            return wrong("poll", "the duration must be longer than zero");
        }
        if self.ca.is_some() && self.tls == TlsMode::Disable {
            return wrong(
                "sslrootcert",
                "an authority is named but TLS is disabled; set sslmode",
            );
        }
        Ok(())
    }

    pub(crate) fn password_bytes(&self) -> Option<&[u8]> {
        self.password
            .as_ref()
            .map(|password| password.expose_secret().as_bytes())
    }
}

/// Refuses limits that the server cannot keep.
///
/// # Errors
///
/// `Invalid` with the limit that is too large.
pub(crate) fn check_limits(limits: &Limits) -> Result<()> {
    for (name, limit) in [
        ("value_bytes", limits.value_bytes),
        ("batch_bytes", limits.batch_bytes),
    ] {
        if limit > LARGEST_BATCH {
            return Err(Error::invalid(
                "the limit is larger than what PostgreSQL takes in one piece; lower it",
            )
            .with("limit", name)
            .with("size_bytes", limit)
            .with("largest_bytes", LARGEST_BATCH));
        }
    }
    Ok(())
}

fn host_of(name: String, port: u16) -> Host {
    if name.starts_with('/') {
        Host::Unix(PathBuf::from(name), port)
    } else {
        Host::Tcp(name, port)
    }
}

fn parse_tls(text: &str) -> Result<TlsMode> {
    match text {
        "disable" => Ok(TlsMode::Disable),
        "prefer" => Ok(TlsMode::Prefer),
        "require" => Ok(TlsMode::Require),
        "verify-full" => Ok(TlsMode::VerifyFull),
        _ => Err(
            Error::invalid("sslmode is disable, prefer, require or verify-full")
                .with("value", text.escape_default()),
        ),
    }
}

fn parse_pooler(text: &str) -> Result<Pooler> {
    match text {
        "detect" => Ok(Pooler::Detect),
        "transaction" => Ok(Pooler::Transaction),
        _ => Err(Error::invalid("pooler is detect or transaction").with("value", text.escape_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<PostgresConfig> {
        let mut url = text.parse()?;
        let config = PostgresConfig::from_url(&mut url)?;
        url.finish()?;
        Ok(config)
    }

    #[test]
    fn sockets_and_several_hosts() {
        let unix = |text| config(text).unwrap().hosts;
        let socket = Host::Unix("/run/postgresql".into(), 5433);
        assert_eq!(unix("postgres://me@%2Frun%2Fpostgresql:5433/db"), [socket]);
        let socket = Host::Unix("/run/postgresql".into(), 5432);
        assert_eq!(unix("postgres://me@/db?host=%2Frun%2Fpostgresql"), [socket]);
        let two = config("postgres://me@a,b:6432").unwrap();
        assert_eq!(
            two.hosts,
            [Host::Tcp("a".into(), 5432), Host::Tcp("b".into(), 6432)]
        );
        assert_eq!(two.database, "me");
    }

    #[test]
    fn what_cannot_be_is_refused_by_name_and_without_the_password() {
        for (text, name) in [
            ("postgres://u:hunter2@/db", "host"),
            ("postgres://a/db", "user"),
            ("postgres://u:hunter2@a/db?host=b", "host"),
            ("postgres://u:hunter2@a/db?sslmode=maybe", "sslmode"),
            (
                "postgres://u:hunter2@a/db?sslmode=disable&sslrootcert=x",
                "sslrootcert",
            ),
            ("postgres://u:hunter2@a/db?schema=", "schema"),
            ("postgres://u:hunter2@a/db?schema=pg_catalog", "schema"),
            ("postgres://u:hunter2@a/db?schema=a%27b", "schema"),
            ("postgres://u:hunter2@a/db?connections=1", "connections"),
            ("postgres://u:hunter2@a/db?snapshots=0", "snapshots"),
            ("postgres://u:hunter2@a/db?poll=0s", "poll"),
            ("postgres://u:hunter2@a/db?pooler=session", "pooler"),
            ("postgres://u:hunter2@a/db?shema=x", "schema"),
        ] {
            let error = format!("{:?}", config(text).unwrap_err());
            assert!(error.contains(name), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn limits_beyond_the_server_are_refused() {
        let limits = Limits {
            value_bytes: 1 << 30,
            ..Limits::default()
        };
        assert!(
            check_limits(&limits)
                .unwrap_err()
                .to_string()
                .contains("value_bytes")
        );
        assert!(check_limits(&Limits::default()).is_ok());
    }
}
