//! How a store on Redis is opened.

use std::path::PathBuf;

use stead_core::{Error, Result, StoreUrl, Strength};
use stead_network::{Address, NetworkOptions};

use crate::shard::SLOTS;

/// Where the server is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// One server, by TCP.
    Server(Address),
    /// Any nodes of a Cluster.
    Cluster(Address),
    /// One server, by the path of its socket.
    Socket(PathBuf, Address),
}

/// How a store on Redis is opened, and the settings that it takes from its URL.
///
/// ```
/// use stead_redis::RedisOptions;
///
/// let url = "redis://app:secret@cache.internal:6379/0?prefix=orders:&timeout=2s";
/// let options = RedisOptions::from_url(url.parse()?)?;
/// assert_eq!(options.prefix, "orders:");
/// assert!(!format!("{options:?}").contains("secret"));
/// # Ok::<(), stead_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RedisOptions {
    pub(crate) place: Place,
    pub(crate) tls: bool,
    pub(crate) database: i64,
    /// What every key of the store begins with: `stead:` unless configured. Stores of different prefixes are strangers.
    pub prefix: String,
    /// Into how many shards a new store is cut: 1 on a single server and 64 on a Cluster unless configured. A store
    /// keeps the number that it was made with.
    pub shards: Option<u16>,
    /// A file with the certificates (PEM) of the authorities that may sign the server's; those of the system otherwise.
    pub ca: Option<PathBuf>,
    /// Opens a store on a server that may evict keys without a time to live, which loses state.
    pub allow_eviction: bool,
    /// What an acknowledged write survives, for servers that do not let their settings be asked for: believed, not
    /// probed.
    pub survives: Option<Strength>,
    /// What every server store takes.
    pub network: NetworkOptions,
}

impl RedisOptions {
    /// Reads a URL.
    ///
    /// | URL | meaning |
    /// |---|---|
    /// | `redis://user:password@host:6379/0` | one server, database 0 |
    /// | `rediss://...` | the same by TLS |
    /// | `redis+cluster://host:6379,host:6380` | a Cluster, found by any of its nodes |
    /// | `rediss+cluster://...` | the same by TLS |
    /// | `redis+unix:///run/redis.sock` | one server by its socket |
    ///
    /// Beside the options of [`NetworkOptions::from_url`]:
    ///
    /// | option | what it sets |
    /// |---|---|
    /// | `prefix` | what every key begins with; `stead:` otherwise |
    /// | `shards` | into how many shards a new store is cut |
    /// | `ca` | a file with the certificates of the authorities to trust |
    /// | `db`, `user`, `pass` | the database number and the login, with a socket |
    /// | `allow_eviction` | `true` opens a store on a server that may evict it |
    /// | `survives` | `nothing`, `process` or `power`: what a write survives, where the server does not tell |
    ///
    /// # Errors
    ///
    /// `Invalid`, naming the option or the part of the URL.
    pub fn from_url(mut url: StoreUrl) -> Result<Self> {
        let (tls, kind) = match url.scheme() {
            "redis" => (false, "redis"),
            "rediss" => (true, "redis"),
            "redis+cluster" => (false, "cluster"),
            "rediss+cluster" => (true, "cluster"),
            "redis+unix" => (false, "unix"),
            scheme => {
                return Err(Error::invalid("this scheme is none of Redis").with("scheme", scheme));
            }
        };
        let network = NetworkOptions::from_url(&mut url)?;
        let mut address = Address::of(&url, 6379)?;
        let mut database = url.take_number("db")?;
        let place = match kind {
            "unix" => {
                if !address.hosts.is_empty() || address.path.is_empty() {
                    return Err(Error::invalid(
                        "the URL of a socket has three slashes and no host, as in redis+unix:///run/redis.sock",
                    ));
                }
                address.user = url.take("user").or(address.user);
                address.password = url.take("pass").map(Into::into).or(address.password);
                let path = PathBuf::from(format!("/{}", address.path));
                Place::Socket(path, address)
            }
            kind => {
                if !address.path.is_empty() {
                    let number = address.path.parse().map_err(|_| {
                        Error::invalid("the path of a redis URL is a database number, as in redis://host/0")
                    })?;
                    database = Some(number);
                }
                address.path.clear();
                if address.hosts.is_empty() {
                    return Err(Error::invalid(
                        "the URL names no host, as in redis://localhost:6379",
                    ));
                }
                match (kind, address.hosts.len()) {
                    ("cluster", _) => Place::Cluster(address),
                    (_, 1) => Place::Server(address),
                    _ => {
                        return Err(Error::invalid(
                            "several hosts are the nodes of a Cluster; write redis+cluster://",
                        ));
                    }
                }
            }
        };
        let options = RedisOptions {
            place,
            tls,
            database: i64::try_from(database.unwrap_or(0)).unwrap_or(i64::MAX),
            prefix: url
                .take_as("prefix", checked_prefix)?
                .unwrap_or_else(|| "stead:".into()),
            shards: url.take_as("shards", checked_shards)?,
            ca: url.take("ca").map(PathBuf::from),
            allow_eviction: url.take_bool("allow_eviction")?.unwrap_or(false),
            survives: url.take_as("survives", parse_strength)?,
            network,
        };
        url.finish()?;
        if matches!(options.place, Place::Cluster(_)) && options.database != 0 {
            return Err(
                Error::invalid("a Cluster has one database, number 0").with("database", options.database)
            );
        }
        Ok(options)
    }

    /// The login and, where there are any, the hosts.
    pub(crate) fn address(&self) -> &Address {
        match &self.place {
            Place::Server(address) | Place::Cluster(address) | Place::Socket(_, address) => address,
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.place, Place::Cluster(_))
    }
}

fn checked_prefix(text: &str) -> Result<String> {
    if text.contains(['{', '}']) {
        return Err(Error::invalid(
            "a prefix has no braces: they mark what Redis Cluster places keys by",
        ));
    }
    if text.len() > 128 {
        return Err(Error::invalid("a prefix is at most 128 bytes long").with("length_bytes", text.len()));
    }
    Ok(text.to_owned())
}

fn checked_shards(text: &str) -> Result<u16> {
    text.parse()
        .ok()
        .filter(|shards| (1..=SLOTS / 16).contains(shards))
        .ok_or_else(|| Error::invalid("the number of shards lies between 1 and 1024"))
}

fn parse_strength(text: &str) -> Result<Strength> {
    match text {
        "nothing" => Ok(Strength::Volatile),
        "process" => Ok(Strength::ProcessCrash),
        "power" => Ok(Strength::PowerLoss),
        _ => {
            Err(Error::invalid("survives is nothing, process or power").with("value", text.escape_default()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> Result<RedisOptions> {
        RedisOptions::from_url(url.parse()?)
    }

    #[test]
    fn urls_are_read() {
        let one =
            options("rediss://u:p@h:1/3?prefix=x:&shards=8&allow_eviction=true&survives=power&ca=/ca.pem")
                .unwrap();
        assert!(one.tls && one.allow_eviction && !one.is_cluster());
        assert_eq!(
            (one.database, one.prefix.as_str(), one.shards),
            (3, "x:", Some(8))
        );
        assert_eq!(one.survives, Some(Strength::PowerLoss));
        let cluster = options("redis+cluster://a,b:7000").unwrap();
        assert!(cluster.is_cluster() && cluster.address().hosts.len() == 2);
        let socket = options("redis+unix:///run/redis.sock?db=2").unwrap();
        assert!(matches!(&socket.place, Place::Socket(path, _) if path.to_str() == Some("/run/redis.sock")));
        assert_eq!(socket.database, 2);
    }

    #[test]
    fn urls_that_cannot_be_are_refused() {
        for url in [
            "redis:",
            "redis://",
            "redis://a,b",
            "redis://a/x",
            "redis+cluster://a/1",
            "redis+unix://a/b",
            "redis+unix://",
            "redis://a?prefix={",
            "redis://a?shards=0",
            "redis://a?shards=1025",
            "redis://a?survives=all",
            "redis://a?unknown=1",
            "memory://a",
        ] {
            assert!(options(url).is_err(), "{url}");
        }
    }
}
