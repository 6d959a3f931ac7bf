//! Watches: the log is the truth, announcements only wake those who read it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use redis::Value;
use stead_core::kit::{ChangeSource, LogRead, Signal};
use stead_core::{Error, Reply, Result, Revision};
use stead_network::Repeat;

use crate::inner::Inner;
use crate::record;
use crate::scripts::LOG;

/// The log of one shard as one watch reads it.
pub(crate) struct Source {
    inner: Arc<Inner>,
    shard: usize,
    newest: Revision,
}

impl Source {
    pub(crate) fn new(inner: Arc<Inner>, shard: usize, newest: Revision) -> Self {
        inner.watchers[shard].fetch_add(1, Ordering::Relaxed);
        Source { inner, shard, newest }
    }

    /// Sees to it that commits in the shard are heard of from now on. Done before the log is read, so that nothing is
    /// missed in between.
    pub(crate) async fn listen(&self) {
        let shard = &self.inner.shards[self.shard];
        let mut heard_by = self.inner.heard_by[self.shard].lock().await;
        let link = self.inner.ears.link(shard.slot);
        if *heard_by != 0 && *heard_by == link.generation() {
            return;
        }
        let mut command = redis::cmd("SSUBSCRIBE");
        command.arg(&shard.channel);
        match self.inner.ears.call(shard.slot, &command).await {
            Ok(_) => *heard_by = self.inner.ears.link(shard.slot).generation(),
            Err(stead_network::Failure::Final(_)) => {
                self.inner.deaf.store(true, Ordering::Relaxed);
            }
            // Reading the log fails as well, or the next look finds the connection mended.
            Err(_) => {}
        }
    }

    async fn read(&self, after: Revision, limit: usize) -> Result<LogRead> {
        // Looked at first: what was committed before the end is then seen below.
        let closed = self.inner.gate.is_closed();
        if !closed && !self.inner.deaf.load(Ordering::Relaxed) {
            self.listen().await;
        }
        let arguments = [
            self.inner.lineage.clone(),
            format!("{}-0", after.next()),
            limit.to_string(),
        ];
        let mut parts = self.inner.ask(self.shard, &LOG, Repeat::Read, &arguments).await?;
        let Value::Array(entries) = record::next(&mut parts)? else {
            return Err(record::malformed("log"));
        };
        let logged = Revision::new(record::number(&record::next(&mut parts)?)?);
        let newest = Revision::new(record::number(&record::next(&mut parts)?)?);
        let mut sets = Vec::with_capacity(entries.len());
        let mut up_to = after;
        for entry in entries {
            let (previous, set) = record::logged(entry)?;
            if previous > up_to {
                // Something between was trimmed, or never was in this log.
                if sets.is_empty() {
                    return Ok(LogRead::Compacted { oldest: previous });
                }
                break;
            }
            up_to = set.revision;
            sets.push(set);
        }
        if up_to >= logged {
            // Behind the last change there are only commits that changed nothing.
            up_to = up_to.max(newest);
        }
        match sets.is_empty() && closed {
            true => Err(Error::closed()),
            false => Ok(LogRead::Sets { sets, up_to }),
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.inner.watchers[self.shard].fetch_sub(1, Ordering::Relaxed);
    }
}

impl ChangeSource for Source {
    fn read_after(&self, after: Revision, limit: usize) -> Reply<'_, LogRead> {
        Reply::pending(self.read(after, limit))
    }

    fn published(&self) -> Revision {
        self.newest
    }

    fn signal(&self) -> &Signal {
        &self.inner.shards[self.shard].signal
    }
}
