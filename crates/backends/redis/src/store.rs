//! The store.

use std::sync::Arc;

use stead_core::kit::{LogWatcher, admit, admit_keys, admit_scan, admit_watch};
use stead_core::{
    Backend, Capabilities, CheckReport, Cursor, Entry, Error, Key, KeyRange, Outcome, Partition, Read, Reply,
    Result, Scan, Snapshot, Stats, WatchFrom, WatchSpec, Watcher, WriteBatch,
};
use stead_network::{Background, begin};
use tokio::sync::oneshot;

use crate::cursor::RedisCursor;
use crate::inner::{Gate, Inner, count};
use crate::snapshot::RedisSnapshot;
use crate::watch::Source;
use crate::{check, open, partitions, sweep};

/// A store on a Redis server or on a Redis Cluster.
///
/// Opened by [`open`](crate::open). Each read, write or page is one script or command, and one round trip; all share one
/// connection to each server. Reads of single keys that come at the same time go together, in one message. What fails is
/// repeated as far as that is safe, until
/// [`NetworkOptions::retry_deadline`](stead_network::NetworkOptions::retry_deadline):
///
/// - reads, and writes with a request id, always;
/// - other writes only while it is certain that the server did not do them. If that is not certain, the write is of
///   `UnknownOutcome`.
///
/// # Cancellation
///
/// A write goes on in a task of its own when its reply is dropped.
pub struct RedisBackend {
    inner: Arc<Inner>,
    tasks: Vec<Background>,
}

impl std::fmt::Debug for RedisBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisBackend")
            .field("prefix", &self.inner.options.prefix)
            .field("shards", &self.inner.shards.len())
            .finish_non_exhaustive()
    }
}

impl RedisBackend {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        let mut tasks = Vec::new();
        let interval = inner.options.network.sweep_interval;
        if inner.capabilities.writable {
            let swept = Arc::downgrade(&inner);
            tasks.push(Background::every(interval, move || sweep::round(swept.upgrade())));
        }
        let renewed = Arc::downgrade(&inner);
        tasks.push(Background::every(sweep::RENEWAL, move || {
            sweep::renew(renewed.upgrade())
        }));
        let looked = Arc::downgrade(&inner);
        tasks.push(Background::every(sweep::LOOK, move || {
            sweep::look(looked.upgrade())
        }));
        RedisBackend { inner, tasks }
    }
}

impl Read for RedisBackend {
    fn get<'a>(&'a self, key: &'a Key) -> Reply<'a, Option<Entry>> {
        let inner = &*self.inner;
        if let Err(error) = inner.open_for("get") {
            return Reply::fail(error);
        }
        Reply::pending(async move {
            let entry = self
                .inner
                .live_one(key)
                .await
                .map_err(|error| error.during("get"))?;
            let entry = inner.visible(entry);
            let counter = match entry {
                Some(_) => &inner.counters.hits,
                None => &inner.counters.misses,
            };
            count(counter, 1);
            Ok(entry)
        })
    }

    fn get_many<'a>(&'a self, keys: &'a [Key]) -> Reply<'a, Vec<Option<Entry>>> {
        let inner = &*self.inner;
        let admitted = inner
            .open_for("get_many")
            .and_then(|()| admit_keys(&inner.capabilities, keys));
        if let Err(error) = admitted {
            return Reply::fail(error.during("get_many"));
        }
        Reply::pending(async move {
            let read = |shard: usize, keys: Vec<Key>| {
                let inner = Arc::clone(&self.inner);
                async move { inner.live(shard, &keys).await }
            };
            let entries = inner
                .by_shard(keys, read)
                .await
                .map_err(|error| error.during("get_many"))?;
            let found = entries.into_iter().map(|entry| inner.visible(entry));
            let entries: Vec<_> = found.collect();
            let hits = entries.iter().flatten().count() as u64;
            count(&inner.counters.hits, hits);
            count(&inner.counters.misses, entries.len() as u64 - hits);
            Ok(entries)
        })
    }

    fn scan<'a>(&'a self, scan: &Scan) -> Result<Box<dyn Cursor + 'a>> {
        self.inner.open_for("scan")?;
        admit_scan(&self.inner.capabilities, scan).map_err(|error| error.during("scan"))?;
        Ok(Box::new(RedisCursor::new(&self.inner, scan, None)))
    }

    fn partitions<'a>(&'a self, range: &KeyRange, limit: usize) -> Reply<'a, Vec<Partition>> {
        if let Err(error) = self.inner.open_for("partitions") {
            return Reply::fail(error);
        }
        let range = range.clone();
        Reply::pending(async move {
            let listed = partitions::list(&self.inner, &range, limit, None).await;
            listed.map_err(|error| error.during("partitions"))
        })
    }
}

impl Backend for RedisBackend {
    fn capabilities(&self) -> &Capabilities {
        &self.inner.capabilities
    }

    fn apply(&self, batch: WriteBatch) -> Reply<'_, Outcome> {
        let handed_over = self
            .inner
            .open_for("apply")
            .and_then(|()| admit(&self.inner.capabilities, &batch))
            .and_then(|()| Gate::enter(&self.inner));
        let inside = match handed_over {
            Ok(inside) => inside,
            Err(error) => return Reply::fail(error.during("apply")),
        };
        let inner = Arc::clone(&self.inner);
        let encoded = match inner.encode(&batch) {
            Ok(encoded) => encoded,
            Err(error) => return Reply::fail(error.during("apply")),
        };
        let (done, outcome) = oneshot::channel();
        let alone = inside.alone;
        let commit = async move {
            let outcome = inner.commit(&encoded).await;
            drop(inside);
            // Nobody may wait for it.
            let _ = done.send(outcome);
        };
        // Where several write at a time, those that take their turn together are sent together, and share a sync.
        match alone {
            true => begin(&self.inner.runtime, commit),
            false => drop(self.inner.runtime.spawn(commit)),
        }
        Reply::pending(async move {
            let gone = |_| Error::unknown_outcome("the runtime that the store was opened on has ended");
            outcome
                .await
                .map_err(gone)
                .and_then(|outcome| outcome)
                .map_err(|error| error.during("apply"))
        })
    }

    fn snapshot(&self) -> Reply<'_, Arc<dyn Snapshot>> {
        if let Err(error) = self.inner.open_for("snapshot") {
            return Reply::fail(error);
        }
        Reply::pending(async move {
            let snapshot = RedisSnapshot::take(&self.inner).await;
            let snapshot = snapshot.map_err(|error| error.during("snapshot"))?;
            Ok(Arc::new(snapshot) as Arc<dyn Snapshot>)
        })
    }

    fn watch(&self, spec: &WatchSpec) -> Result<Box<dyn Watcher>> {
        let inner = &self.inner;
        inner.open_for("watch")?;
        admit_watch(&inner.capabilities, spec).map_err(|error| error.during("watch"))?;
        let shard = inner.shard_of_range(&spec.range);
        let newest = match spec.from {
            WatchFrom::After(revision) if revision <= inner.known(shard) => inner.known(shard),
            _ => open::newest(inner, shard).map_err(|error| error.during("watch"))?,
        };
        let source = Arc::new(Source::new(Arc::clone(inner), shard, newest));
        let watcher = LogWatcher::new(Arc::clone(&source), spec).map_err(|error| error.during("watch"))?;
        // So that the first read does not wait for it.
        inner.runtime.spawn(async move { source.listen().await });
        Ok(Box::new(watcher))
    }

    fn sync(&self) -> Reply<'_, ()> {
        // What was acknowledged is as safe as this store makes it.
        Reply::from(self.inner.open_for("sync"))
    }

    fn stats(&self) -> Reply<'_, Stats> {
        if let Err(error) = self.inner.open_for("stats") {
            return Reply::fail(error);
        }
        Reply::pending(async move { self.inner.stats().await.map_err(|error| error.during("stats")) })
    }

    fn check<'a>(&'a self, progress: &'a (dyn Fn(u64) + Send + Sync)) -> Reply<'a, CheckReport> {
        if let Err(error) = self.inner.open_for("check") {
            return Reply::fail(error);
        }
        Reply::pending(async move {
            check::run(&self.inner, progress)
                .await
                .map_err(|error| error.during("check"))
        })
    }

    fn close(&self) -> Reply<'_, ()> {
        Reply::pending(async move {
            self.inner.gate.close();
            self.inner.gate.emptied().await;
            for task in &self.tasks {
                task.stop().await;
            }
            for shard in self.inner.shards.iter() {
                shard.signal.notify();
            }
            Ok(())
        })
    }
}
