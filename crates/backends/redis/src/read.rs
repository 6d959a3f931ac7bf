//! What reads have in common.

use std::future::Future;
use std::sync::atomic::Ordering;

use redis::{Cmd, Value};
use stead_core::{Entry, Error, Key, Result, Revision, Stats};
use stead_network::Repeat;

use crate::error;
use crate::inner::Inner;
use crate::record;
use crate::scripts::STATS;

impl Inner {
    /// The entry, unless its deadline has passed.
    pub(crate) fn visible(&self, entry: Option<Entry>) -> Option<Entry> {
        entry.filter(|entry| {
            entry
                .deadline()
                .is_none_or(|deadline| deadline > self.clock().now())
        })
    }

    /// The command that reads the records under `keys`, which lie in `shard`. It asks for the lineage along with them: a
    /// server that was flushed has an answer like that of an empty store, and must not be taken for one.
    pub(crate) fn records_under<'a>(&self, shard: usize, keys: impl IntoIterator<Item = &'a Key>) -> Cmd {
        let mut command = redis::cmd("HMGET");
        command.arg(self.shards[shard].data()).arg("");
        for key in keys {
            command.arg(key.as_bytes());
        }
        command
    }

    /// What a server answered to that.
    pub(crate) fn entries(&self, shard: usize, answer: Value) -> Result<Vec<Option<Entry>>> {
        let Value::Array(values) = answer else {
            return Err(record::malformed("records"));
        };
        match values.split_first() {
            Some((Value::BulkString(lineage), records)) if *lineage == self.lineage.as_bytes() => {
                records.iter().map(record::entry).collect()
            }
            _ => Err(error::lost(self.net.link(self.shards[shard].slot).name())),
        }
    }

    /// The records under `keys`, which lie in `shard`, in one command.
    pub(crate) async fn live(&self, shard: usize, keys: &[Key]) -> Result<Vec<Option<Entry>>> {
        let command = self.records_under(shard, keys);
        self.entries(shard, self.read(shard, &command).await?)
    }

    /// Reads `keys`, those of each shard together and the shards at the same time, and puts the answers in order.
    pub(crate) async fn by_shard<F>(
        &self,
        keys: &[Key],
        read: impl Fn(usize, Vec<Key>) -> F,
    ) -> Result<Vec<Option<Entry>>>
    where
        F: Future<Output = Result<Vec<Option<Entry>>>> + Send + 'static,
    {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        if self.shards.len() == 1 {
            return complete(read(0, keys.to_vec()).await?, keys.len());
        }
        let mut groups: Vec<(Vec<usize>, Vec<Key>)> = vec![(Vec::new(), Vec::new()); self.shards.len()];
        for (place, key) in keys.iter().enumerate() {
            let group = &mut groups[self.shard_of_key(key)];
            group.0.push(place);
            group.1.push(key.clone());
        }
        let mut under_way = Vec::new();
        for (shard, (places, keys)) in groups.into_iter().enumerate() {
            if !keys.is_empty() {
                under_way.push((places, self.runtime.spawn(read(shard, keys))));
            }
        }
        let mut entries = vec![None; keys.len()];
        for (places, task) in under_way {
            let found = complete(task.await.map_err(|_| Error::closed())??, places.len())?;
            for (place, entry) in places.into_iter().zip(found) {
                entries[place] = entry;
            }
        }
        Ok(entries)
    }
}

fn complete(entries: Vec<Option<Entry>>, wanted: usize) -> Result<Vec<Option<Entry>>> {
    match entries.len() == wanted {
        true => Ok(entries),
        false => Err(record::malformed("records")),
    }
}

impl Inner {
    /// Numbers of all shards together. A watch may begin after the lowest revision of its own shard; the highest of these
    /// does for all.
    pub(crate) async fn stats(&self) -> Result<Stats> {
        let mut stats = Stats::default();
        for shard in 0..self.shards.len() {
            let mut parts = self.ask(shard, &STATS, Repeat::Read, &[&self.lineage]).await?;
            let mut number = || record::number(&record::next(&mut parts)?);
            stats.revision = stats.revision.max(Revision::new(number()?));
            stats.oldest_revision = stats.oldest_revision.max(Revision::new(number()?));
            stats.entries += number()?;
            stats.bytes += number()?;
        }
        let counters = &self.counters;
        stats.hits = counters.hits.load(Ordering::Relaxed);
        stats.misses = counters.misses.load(Ordering::Relaxed);
        stats.commits = counters.commits.load(Ordering::Relaxed);
        stats.conflicts = counters.conflicts.load(Ordering::Relaxed);
        stats.expired = counters.expired.load(Ordering::Relaxed);
        stats.lineage = u128::from_str_radix(&self.lineage, 16).ok();
        Ok(stats)
    }
}
