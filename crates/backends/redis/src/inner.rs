//! What a store, its snapshots and its watches share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use redis::Value;
use stead_core::{Capabilities, Clock, Error, Key, KeyRange, Partition, Result, Revision};
use stead_network::{Failure, Repeat, Retry};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::error;
use crate::net::Net;
use crate::options::RedisOptions;
use crate::record;
use crate::scripts::Script;
use crate::shard::{Shard, of_partition};
use crate::snapshot::Registry;

/// An opened store.
pub(crate) struct Inner {
    pub(crate) net: Net,
    /// Carries what the servers announce; its connections exist while somebody watches.
    pub(crate) ears: Net,
    pub(crate) shards: Arc<[Shard]>,
    pub(crate) lineage: String,
    pub(crate) options: RedisOptions,
    pub(crate) capabilities: Capabilities,
    pub(crate) retry: Retry,
    pub(crate) runtime: Handle,
    pub(crate) counters: Counters,
    pub(crate) gate: Gate,
    pub(crate) snapshots: Registry,
    /// For each shard, the connection of `ears` on which its channel was subscribed; 0 for none.
    pub(crate) heard_by: Vec<tokio::sync::Mutex<u64>>,
    /// For each shard, how many watches there are.
    pub(crate) watchers: Vec<AtomicU64>,
    /// Announcements were refused: watches have to look by themselves.
    pub(crate) deaf: AtomicBool,
    /// Counts the looks of watches that hear announcements.
    pub(crate) looks: AtomicU64,
    /// For each shard, the newest revision that this handle has committed or took a snapshot at.
    pub(crate) reached: Vec<AtomicU64>,
}

/// Numbers since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) expired: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

impl Inner {
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.options.network.clock
    }

    pub(crate) fn shard_of_key(&self, key: &Key) -> usize {
        self.shard_of_bytes(key.partition_bytes())
    }

    pub(crate) fn shard_of_bytes(&self, bytes: &[u8]) -> usize {
        of_partition(bytes, self.count())
    }

    pub(crate) fn shard_of(&self, partition: &Partition) -> usize {
        self.shard_of_bytes(partition.as_bytes())
    }

    /// The shard that holds all of `range`. Ranges over several are refused before.
    pub(crate) fn shard_of_range(&self, range: &KeyRange) -> usize {
        range
            .single_partition()
            .map_or(0, |partition| self.shard_of(partition))
    }

    fn count(&self) -> u16 {
        u16::try_from(self.shards.len()).unwrap_or(1)
    }

    /// Runs a script on a shard, again and again where that is safe, and gives its answer behind the first word.
    pub(crate) async fn script(
        &self,
        shard: usize,
        script: &Script,
        repeat: Repeat,
        arguments: &[impl AsRef<[u8]>],
    ) -> Result<Answer> {
        let shard = &self.shards[shard];
        let value = self
            .retry
            .run(repeat, || {
                self.net.run(shard.slot, script, &shard.keys, arguments)
            })
            .await?;
        let (word, parts) = record::answer(value)?;
        match &word[..] {
            b"lost" => Err(error::lost(self.net.link(shard.slot).name())),
            b"done" => Ok(Answer::Done(parts)),
            b"again" => Ok(Answer::Again(parts)),
            b"taken" => Ok(Answer::Taken),
            b"gone" => Ok(Answer::Gone),
            b"fault" => Ok(Answer::Fault(parts)),
            _ => Err(record::malformed("answer")),
        }
    }

    /// The same for scripts that have but one answer.
    pub(crate) async fn ask(
        &self,
        shard: usize,
        script: &Script,
        repeat: Repeat,
        arguments: &[impl AsRef<[u8]>],
    ) -> Result<Parts> {
        match self.script(shard, script, repeat, arguments).await? {
            Answer::Done(parts) => Ok(parts),
            _ => Err(record::malformed("answer")),
        }
    }

    /// Calls a command that reads, until it succeeds or the time is up.
    pub(crate) async fn read(&self, shard: usize, command: &redis::Cmd) -> Result<Value> {
        let slot = self.shards[shard].slot;
        self.retry
            .run(Repeat::Read, || async { self.net.call(slot, command).await })
            .await
    }

    /// Notes that a shard has reached a revision.
    pub(crate) fn learn(&self, shard: usize, revision: Revision) {
        self.reached[shard].fetch_max(revision.get(), Ordering::AcqRel);
    }

    /// The newest revision of a shard that is known without asking.
    pub(crate) fn known(&self, shard: usize) -> Revision {
        Revision::new(self.reached[shard].load(Ordering::Acquire))
    }

    pub(crate) fn open_for(&self, operation: &'static str) -> Result<()> {
        match self.gate.is_closed() {
            true => Err(Error::closed().during(operation)),
            false => Ok(()),
        }
    }
}

/// The parts of an answer behind its first word.
pub(crate) type Parts = std::vec::IntoIter<Value>;

/// What a script answered.
pub(crate) enum Answer {
    Done(Parts),
    /// The request was done before; this was its outcome.
    Again(Parts),
    /// The request id belongs to another batch.
    Taken,
    /// The snapshot's lease ran out.
    Gone,
    /// A check found something.
    Fault(Parts),
}

/// Lets writes in until it is closed, and waits for those that are inside.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: parking_lot::Mutex<GateState>,
    empty: Notify,
}

#[derive(Debug, Default)]
struct GateState {
    inside: usize,
    closed: bool,
}

/// A write that is inside.
pub(crate) struct Inside {
    inner: Arc<Inner>,
    /// No other was when it came.
    pub(crate) alone: bool,
}

impl Drop for Inside {
    fn drop(&mut self) {
        let gate = &self.inner.gate;
        let mut state = gate.state.lock();
        state.inside -= 1;
        if state.closed && state.inside == 0 {
            gate.empty.notify_waiters();
        }
    }
}

impl Gate {
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    pub(crate) fn enter(inner: &Arc<Inner>) -> Result<Inside> {
        let mut state = inner.gate.state.lock();
        if state.closed {
            return Err(Error::closed());
        }
        state.inside += 1;
        let alone = state.inside == 1;
        drop(state);
        Ok(Inside {
            inner: Arc::clone(inner),
            alone,
        })
    }

    /// Closes, and tells whether it was open.
    pub(crate) fn close(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().closed, true)
    }

    pub(crate) async fn emptied(&self) {
        loop {
            let emptied = self.empty.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.state.lock().inside == 0 {
                return;
            }
            emptied.await;
        }
    }
}

/// A failure that has nothing to do with retries.
pub(crate) fn unwrapped(failure: Failure) -> Error {
    match failure {
        Failure::NotDone(error) | Failure::Unanswered(error) | Failure::Final(error) => error,
    }
}
