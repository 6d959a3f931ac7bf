//! Snapshots: registered on the server, with a lease.
//!
//! Redis keeps no older values. While a snapshot is registered in a shard, commits put what they replace aside, and reads
//! of the snapshot look there first. A process that dies leaves its registration behind; the lease runs out, and the
//! sweeper of any process lets go of it. Reads of a snapshot whose lease ran out fail; they never give other data.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use stead_core::kit::{admit_keys, admit_scan};
use stead_core::{
    Cursor, Entry, Error, Key, KeyRange, Partition, Read, Reply, Result, Revision, Scan, Snapshot,
};
use stead_network::Repeat;

use crate::batch::Argument;
use crate::cursor::RedisCursor;
use crate::inner::{Answer, Inner, Parts};
use crate::partitions;
use crate::record::{self, halves};
use crate::scripts::{SNAPSHOT, Script, VIEW};
use crate::sweep::LEASE;

/// The snapshots of this handle that are held.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<BTreeMap<String, Weak<View>>>);

impl Registry {
    pub(crate) fn ids(&self) -> Vec<String> {
        self.0.lock().keys().cloned().collect()
    }

    fn add(&self, view: &Arc<View>) {
        self.0.lock().insert(view.id.clone(), Arc::downgrade(view));
    }

    fn remove(&self, id: &str) {
        self.0.lock().remove(id);
    }
}

/// One instant of each shard.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) id: String,
    revisions: Vec<Revision>,
}

impl View {
    /// Runs a script that reads as of this view.
    pub(crate) async fn ask(
        &self,
        inner: &Inner,
        shard: usize,
        script: &Script,
        arguments: &[impl AsRef<[u8]>],
    ) -> Result<Parts> {
        match inner.script(shard, script, Repeat::Read, arguments).await? {
            Answer::Done(parts) => Ok(parts),
            Answer::Gone => Err(Error::unavailable(
                "the server let go of the snapshot, because its lease was not renewed in time; take a new one",
            )
            .with("lease_ms", LEASE.as_millis())),
            _ => Err(record::malformed("answer")),
        }
    }
}

/// A snapshot of the store.
pub(crate) struct RedisSnapshot {
    inner: Arc<Inner>,
    view: Arc<View>,
}

impl RedisSnapshot {
    pub(crate) async fn take(inner: &Arc<Inner>) -> Result<Self> {
        let id = format!("{:032x}", inner.options.network.random.next_u128());
        let tasks: Vec<_> = (0..inner.shards.len())
            .map(|shard| {
                let (inner, id) = (Arc::clone(inner), id.clone());
                async move {
                    let mut parts = register(&inner, shard, "t", &[id]).await?;
                    let revision = Revision::new(record::number(&record::next(&mut parts)?)?);
                    inner.learn(shard, revision);
                    Ok(revision)
                }
            })
            .map(|take| inner.runtime.spawn(take))
            .collect();
        let mut revisions = Vec::new();
        let mut failed = None;
        for task in tasks {
            match task.await.map_err(|_| Error::closed()).and_then(|taken| taken) {
                Ok(revision) => revisions.push(revision),
                Err(error) => failed = Some(error),
            }
        }
        let view = Arc::new(View { id, revisions });
        inner.snapshots.add(&view);
        let snapshot = RedisSnapshot {
            inner: Arc::clone(inner),
            view,
        };
        // Dropping it lets go of what was taken.
        match failed {
            Some(error) => Err(error),
            None => Ok(snapshot),
        }
    }
}

/// Takes (`t`), renews (`r`) or lets go of (`d`) the snapshots `ids` in one shard.
pub(crate) async fn register(
    inner: &Inner,
    shard: usize,
    what: &'static str,
    ids: &[String],
) -> Result<Parts> {
    let mut arguments: Vec<Argument> = vec![
        inner.lineage.clone().into(),
        Argument::Fixed(what.as_bytes()),
        LEASE.as_micros().to_string().into(),
    ];
    arguments.extend(ids.iter().cloned().map(Argument::from));
    // It changes nothing that anybody else sees, so its failure is no unknown outcome.
    inner.ask(shard, &SNAPSHOT, Repeat::Read, &arguments).await
}

impl Drop for RedisSnapshot {
    fn drop(&mut self) {
        self.inner.snapshots.remove(&self.view.id);
        let (inner, id) = (Arc::clone(&self.inner), self.view.id.clone());
        // If this fails, the lease runs out.
        self.inner.runtime.spawn(async move {
            for shard in 0..inner.shards.len() {
                drop(register(&inner, shard, "d", std::slice::from_ref(&id)).await);
            }
        });
    }
}

impl Read for RedisSnapshot {
    fn get<'a>(&'a self, key: &'a Key) -> Reply<'a, Option<Entry>> {
        self.get_many(std::slice::from_ref(key))
            .map_result(|entries| match entries?.pop() {
                Some(entry) => Ok(entry),
                None => Err(record::malformed("records")),
            })
    }

    fn get_many<'a>(&'a self, keys: &'a [Key]) -> Reply<'a, Vec<Option<Entry>>> {
        let admitted = self
            .inner
            .open_for("get_many")
            .and_then(|()| admit_keys(&self.inner.capabilities, keys));
        if let Err(error) = admitted {
            return Reply::fail(error.during("get_many"));
        }
        Reply::pending(async move {
            let read = |shard: usize, keys: Vec<Key>| {
                let (inner, view) = (Arc::clone(&self.inner), Arc::clone(&self.view));
                async move {
                    let [now_high, now_low] = halves(inner.clock().now());
                    let mut arguments: Vec<Argument> = vec![
                        inner.lineage.clone().into(),
                        view.id.clone().into(),
                        now_high.into(),
                        now_low.into(),
                        Argument::Fixed(b"g"),
                    ];
                    arguments.extend(keys.into_iter().map(Argument::Key));
                    let parts = view.ask(&inner, shard, &VIEW, &arguments).await?;
                    parts.map(|part| record::entry(&part)).collect()
                }
            };
            let entries = self.inner.by_shard(keys, read).await;
            entries.map_err(|error| error.during("get_many"))
        })
    }

    fn scan<'a>(&'a self, scan: &Scan) -> Result<Box<dyn Cursor + 'a>> {
        self.inner.open_for("scan")?;
        admit_scan(&self.inner.capabilities, scan).map_err(|error| error.during("scan"))?;
        Ok(Box::new(RedisCursor::new(&self.inner, scan, Some(&self.view))))
    }

    fn partitions<'a>(&'a self, range: &KeyRange, limit: usize) -> Reply<'a, Vec<Partition>> {
        if let Err(error) = self.inner.open_for("partitions") {
            return Reply::fail(error);
        }
        let range = range.clone();
        Reply::pending(async move {
            let listed = partitions::list(&self.inner, &range, limit, Some(&self.view)).await;
            listed.map_err(|error| error.during("partitions"))
        })
    }
}

impl Snapshot for RedisSnapshot {
    fn revision(&self, partition: &Partition) -> Revision {
        self.view.revisions[self.inner.shard_of(partition)]
    }
}
