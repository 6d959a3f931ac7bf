//! Opening a store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use redis::{PushInfo, PushKind, Value};
use stead_core::{Backend, Error, Reply, Result, Revision, StoreUrl};
use stead_network::{Failure, ask};
use tokio::runtime::Handle;

use crate::batch::Argument;
use crate::connector::Connector;
use crate::inner::{Counters, Gate, Inner, Parts, unwrapped};
use crate::link::Listener;
use crate::net::Net;
use crate::options::RedisOptions;
use crate::probe::probe;
use crate::record;
use crate::scripts::{FIND_ROOT, FIND_SHARD, ROOT, SHARD, STATS};
use crate::shard::{self, Shard};
use crate::store::RedisBackend;

/// The format of the keys: docs/src/formats/redis.md.
const FORMAT: &str = "1";

/// How many shards a new store on a Cluster has.
const CLUSTER_SHARDS: u16 = 64;

/// Opens the store that `options` describe, and makes it where there is none.
///
/// ```no_run
/// # async fn run() -> stead_core::Result<()> {
/// use stead_core::{BackendExt, Key, Partition};
/// use stead_redis::RedisOptions;
///
/// let options = RedisOptions::from_url("redis://localhost?prefix=jobs:".parse()?)?;
/// let store = stead_redis::open(options).await?;
/// store.put(Key::new(&Partition::new("jobs")?, "7")?, "waiting").await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// - `Unavailable` when the server cannot be reached or is a replica;
/// - `Denied` for a wrong user or password;
/// - `Unsupported` for a server before Redis 7.0;
/// - `Invalid` for a server that may evict entries, a prefix that is in use by something else, a URL that does not fit
///   the server, and TLS that does not come about;
/// - `Corrupt` for a store of a newer format, and for one of which a part is missing.
///
/// # Panics
///
/// Outside a tokio runtime. The store belongs to the runtime that it was opened on.
pub async fn open(options: RedisOptions) -> Result<Arc<RedisBackend>> {
    let runtime = Handle::current();
    let net = Net::new(Connector::new(&options)?, runtime.clone(), None)?;
    net.refresh(None).await.map_err(unwrapped)?;
    let probed = probe(&net, &options).await?;
    let (lineage, count) = find(&net, &options).await?;
    let shards: Arc<[Shard]> = shard::all(&options.prefix, count).into();
    let ears = Net::new(
        Connector::new(&options)?,
        runtime.clone(),
        Some(listener(Arc::clone(&shards))),
    )?;
    ears.follow(&net);
    let inner = Inner {
        net,
        ears,
        lineage,
        capabilities: probed.capabilities(&options, shards.len()),
        retry: options.network.retry(),
        runtime,
        counters: Counters::default(),
        gate: Gate::default(),
        snapshots: crate::snapshot::Registry::default(),
        heard_by: shards.iter().map(|_| tokio::sync::Mutex::new(0)).collect(),
        watchers: shards.iter().map(|_| AtomicU64::new(0)).collect(),
        reached: shards.iter().map(|_| AtomicU64::new(0)).collect(),
        deaf: AtomicBool::new(false),
        looks: AtomicU64::new(0),
        shards,
        options,
    };
    Ok(Arc::new(RedisBackend::new(Arc::new(inner))))
}

/// Opens the store at `url`; see [`RedisOptions::from_url`].
///
/// # Errors
///
/// As [`RedisOptions::from_url`] and [`open`]; `Invalid` outside a tokio runtime.
pub fn open_url(url: StoreUrl) -> Reply<'static, Arc<dyn Backend>> {
    Reply::pending(async move {
        if Handle::try_current().is_err() {
            return Err(Error::invalid(
                "a store on Redis is opened on a tokio runtime, and this is none",
            ));
        }
        let store = open(RedisOptions::from_url(url)?).await?;
        Ok(store as Arc<dyn Backend>)
    })
}

/// Wakes the watches of a shard when a commit is announced, and all when a connection ends.
fn listener(shards: Arc<[Shard]>) -> Listener {
    Arc::new(move |info: &PushInfo| match (&info.kind, &info.data[..]) {
        (PushKind::SMessage, [Value::BulkString(channel), ..]) => {
            let heard = shards.iter().find(|shard| shard.channel.as_bytes() == channel);
            if let Some(shard) = heard {
                shard.signal.notify();
            }
        }
        (PushKind::Disconnection | PushKind::SUnsubscribe, _) => {
            for shard in shards.iter() {
                shard.signal.notify();
            }
        }
        _ => {}
    })
}

/// The lineage and the number of shards of the store, which is made where there is none.
async fn find(net: &Net, options: &RedisOptions) -> Result<(String, u16)> {
    let (root, slot) = shard::root(&options.prefix);
    let may_make = !options.network.read_only;
    let wanted = options
        .shards
        .unwrap_or(if options.is_cluster() { CLUSTER_SHARDS } else { 1 });
    let lineage = format!("{:032x}", options.network.random.next_u128());
    let script = if may_make { &*ROOT } else { &*FIND_ROOT };
    let arguments: [Argument; 4] = [
        FORMAT.to_owned().into(),
        lineage.into(),
        wanted.to_string().into(),
        Argument::Fixed(if may_make { b"1" } else { b"0" }),
    ];
    let keys = [root.clone()];
    let mut parts = understood(net.run(slot, script, &keys, &arguments).await, &root)?;
    let mut text = || {
        let part = record::next(&mut parts)?;
        Ok::<_, Error>(String::from_utf8_lossy(record::bytes(&part)?).into_owned())
    };
    let (format, lineage, count, ready) = (text()?, text()?, text()?, text()?);
    if format != FORMAT {
        return Err(
            Error::corrupt("the store was made by a newer version of Stead; open it with that one")
                .with("format", format)
                .with("understood", FORMAT)
                .with("key", root),
        );
    }
    let count: u16 = count.parse().map_err(|_| record::malformed("shards"))?;
    if options.shards.is_some_and(|shards| shards != count) {
        return Err(
            Error::invalid("the store was made with another number of shards, which it keeps")
                .with("option", "shards")
                .with("shards", count),
        );
    }
    let make = may_make && ready != "1";
    for shard in shard::all(&options.prefix, count) {
        let script = if make { &*SHARD } else { &*FIND_SHARD };
        let arguments = [lineage.as_str(), if make { "1" } else { "0" }];
        understood(
            net.run(shard.slot, script, &shard.keys, &arguments).await,
            shard.meta(),
        )?;
    }
    if make {
        understood(net.run(slot, &ROOT, &keys, &["ready"]).await, &root)?;
    }
    Ok((lineage, count))
}

/// What a script that finds or makes a record answered about `key`.
fn understood(answer: Result<Value, Failure>, key: &str) -> Result<Parts> {
    let (word, mut parts) = record::answer(answer.map_err(unwrapped)?)?;
    match &word[..] {
        b"done" => Ok(parts),
        b"used" => {
            let key = match parts.next() {
                Some(Value::BulkString(name)) => String::from_utf8_lossy(&name).into_owned(),
                _ => key.to_owned(),
            };
            Err(Error::invalid(
                "the prefix is in use by something that is no store of Stead; choose another by the option prefix",
            )
            .with("key", key))
        }
        b"missing" => Err(Error::corrupt(
            "there is no store under this prefix, or a part of it is missing; was a server replaced or flushed?",
        )
        .with("key", key)),
        b"other" => Err(Error::corrupt(
            "a part of the store belongs to another store that was made under the same prefix",
        )
        .with("key", key)),
        _ => Err(record::malformed("answer")),
    }
}

/// The newest revision of a shard, asked by a connection of its own while the caller waits.
pub(crate) fn newest(inner: &Inner, shard: usize) -> Result<Revision> {
    let limit = inner.options.network.timeout;
    ask(limit, || async {
        let net = Net::new(Connector::new(&inner.options)?, Handle::current(), None)?;
        net.follow(&inner.net);
        let shard = &inner.shards[shard];
        let arguments = [inner.lineage.as_str()];
        let value = inner
            .retry
            .run(stead_network::Repeat::Read, || {
                net.run(shard.slot, &STATS, &shard.keys, &arguments)
            })
            .await?;
        let (word, mut parts) = record::answer(value)?;
        if word != b"done" {
            return Err(crate::error::lost(net.link(shard.slot).name()));
        }
        Ok(Revision::new(record::number(&record::next(&mut parts)?)?))
    })
}
