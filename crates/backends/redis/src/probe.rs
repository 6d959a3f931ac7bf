//! What the servers really give: their version, their part, and what a write survives on them.

use std::sync::Arc;

use redis::{Cmd, ErrorKind, Value};
use stead_core::{Capabilities, Error, Extent, Key, Limits, Result, Strength};

use crate::error;
use crate::inner::unwrapped;
use crate::link::{Link, Trouble};
use crate::net::Net;
use crate::options::RedisOptions;

/// What a server tells of itself.
#[derive(Debug)]
struct Server {
    strength: Option<Strength>,
    evicts: Option<String>,
    bulk_bytes: Option<u64>,
    is_replica: bool,
    has_replicas: bool,
}

/// What all servers together give.
#[derive(Debug)]
pub(crate) struct Probed {
    strength: Strength,
    bulk_bytes: Option<u64>,
}

/// Asks every master.
///
/// # Errors
///
/// `Unsupported` for servers that are too old; `Invalid` for those that do not fit the URL, or may evict what is stored.
pub(crate) async fn probe(net: &Net, options: &RedisOptions) -> Result<Probed> {
    let mut probed = Probed {
        strength: Strength::PowerLoss,
        bulk_bytes: None,
    };
    for link in net.masters() {
        let server = ask(&link, options).await?;
        if server.is_replica && !options.network.read_only {
            return Err(Error::unavailable(
                "the server is a replica and takes no writes; connect to the master, or open with read_only=true",
            )
            .with("server", link.name()));
        }
        if let Some(policy) = server.evicts
            && !options.allow_eviction
        {
            return Err(Error::invalid(
                "the server may evict what is stored when its memory is full; set maxmemory-policy to noeviction, or \
                 accept the loss by allow_eviction=true",
            )
            .with("server", link.name())
            .with("maxmemory_policy", policy));
        }
        let mut strength = server.strength.or(options.survives).unwrap_or(Strength::Volatile);
        if options.is_cluster() && server.has_replicas {
            // A replica takes over without the writes that had not reached it.
            strength = Strength::Volatile;
        }
        probed.strength = probed.strength.min(strength);
        probed.bulk_bytes = match (probed.bulk_bytes, server.bulk_bytes) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    Ok(probed)
}

async fn ask(link: &Arc<Link>, options: &RedisOptions) -> Result<Server> {
    let info = text(call(link, redis::cmd("INFO").arg("everything")).await?);
    let field = |name: &str| {
        info.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    let version = field("redis_version").unwrap_or("unknown");
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < 7) {
        return Err(error::too_old(version, link.name()));
    }
    let clustered = field("redis_mode") == Some("cluster") || field("cluster_enabled") == Some("1");
    if clustered && !options.is_cluster() {
        return Err(
            Error::invalid("the server is a node of a Cluster; write redis+cluster://")
                .with("server", link.name()),
        );
    }
    let setting = async |name: &str| -> Result<Option<String>> {
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg(name);
        Ok(match link.call(&command).await {
            Ok(Value::Map(pairs)) => pairs.into_iter().next().map(|(_, value)| text(value)),
            Ok(Value::Array(pair)) => pair.into_iter().nth(1).map(text),
            // Those who run servers for others forbid it, or take the command away.
            Ok(_) => None,
            Err(Trouble::Answer(error))
                if matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) =>
            {
                None
            }
            Err(trouble) => return Err(failed(trouble, link)),
        })
    };
    let append_only = setting("appendonly").await?;
    let fsync = setting("appendfsync").await?;
    let policy = setting("maxmemory-policy")
        .await?
        .or_else(|| field("maxmemory_policy").map(str::to_owned));
    Ok(Server {
        strength: append_only.map(|append_only| strength(&append_only, fsync.as_deref())),
        evicts: policy.filter(|policy| policy.starts_with("allkeys")),
        bulk_bytes: setting("proto-max-bulk-len")
            .await?
            .and_then(|bytes| bytes.parse().ok()),
        is_replica: field("role") == Some("slave"),
        has_replicas: field("connected_slaves").is_some_and(|replicas| replicas != "0"),
    })
}

/// What an acknowledged write survives.
fn strength(append_only: &str, fsync: Option<&str>) -> Strength {
    match (append_only, fsync) {
        // Answers are sent after the fsync.
        ("yes", Some("always")) => Strength::PowerLoss,
        // Answers are sent after the write to the file, which the system completes when the process ends.
        ("yes", Some("no")) => Strength::ProcessCrash,
        // While an fsync of the second before is under way the server holds the write back, for up to two seconds, and
        // answers all the same: what it holds back is gone with the process.
        _ => Strength::Volatile,
    }
}

impl Probed {
    /// What a store of so many shards can do.
    pub(crate) fn capabilities(&self, options: &RedisOptions, shards: usize) -> Capabilities {
        let extent = if shards == 1 {
            Extent::Store
        } else {
            Extent::Partition
        };
        let mut limits = options.network.limits;
        if let Some(bytes) = self.bulk_bytes {
            // A record is one string of the server, beside 16 bytes and the key.
            let room = usize::try_from(bytes).unwrap_or(usize::MAX);
            limits.value_bytes = limits
                .value_bytes
                .min(room.saturating_sub(Key::MAX_ENCODED_BYTES + 16));
        }
        Capabilities {
            atomicity: extent,
            revision_order: extent,
            buffered: self.strength,
            durable: self.strength,
            default_durability: options.network.durability,
            persistent: true,
            writable: !options.network.read_only,
            limits: Limits {
                batch_bytes: limits.batch_bytes.max(limits.value_bytes),
                ..limits
            },
            ..Capabilities::volatile("redis")
        }
    }
}

async fn call(link: &Arc<Link>, command: &Cmd) -> Result<Value> {
    link.call(command).await.map_err(|trouble| failed(trouble, link))
}

fn failed(trouble: Trouble, link: &Link) -> Error {
    unwrapped(match trouble {
        Trouble::Connecting(failure) => failure,
        Trouble::Answer(error) => error::of_answer(error, link.name()),
    })
}

fn text(value: Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_fsync_before_the_answer_survives_a_power_failure() {
        assert_eq!(strength("yes", Some("always")), Strength::PowerLoss);
        assert_eq!(strength("yes", Some("no")), Strength::ProcessCrash);
        assert_eq!(strength("yes", Some("everysec")), Strength::Volatile);
        assert_eq!(strength("yes", None), Strength::Volatile);
        assert_eq!(strength("no", Some("always")), Strength::Volatile);
    }
}
