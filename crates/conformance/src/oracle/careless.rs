//! Layers with a defect in how they answer, which show that a check of histories bites.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stead_core::{
    Backend, Capabilities, CheckReport, Cursor, Durability, Entry, Error, ErrorKind, Key, KeyRange, Outcome,
    Partition, Read, Reply, Result, Revision, Scan, Snapshot, Stats, WatchSpec, Watcher, WriteBatch,
};

/// What a [`Careless`] layer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Loses the answer of every seventh write, and the write itself of every eleventh, and says that their outcome is
    /// unknown, as over a connection that breaks. That is no defect.
    Loses,
    /// Asks for every write to be durable. That is no defect either.
    Insists,
    /// Answers a write of unknown outcome as committed.
    Acknowledges,
    /// Does a write of unknown outcome once more, whether it has a request id or not.
    Repeats,
    /// Answers a write of unknown outcome as if nothing had been written.
    Denies,
}

/// A layer that is careless with the outcome of writes.
pub struct Careless {
    inner: Arc<dyn Backend>,
    manner: Manner,
    writes: AtomicU64,
}

impl Careless {
    /// Wraps `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Backend>, manner: Manner) -> Self {
        Careless {
            inner,
            manner,
            writes: AtomicU64::new(0),
        }
    }

    async fn write(&self, batch: WriteBatch) -> Result<Outcome> {
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        if self.manner == Manner::Loses {
            if number % 11 == 10 {
                return Err(Error::unknown_outcome("the write was lost"));
            }
            let outcome = self.inner.apply(batch).await;
            if number % 7 == 6 {
                return Err(Error::unknown_outcome("the answer was lost"));
            }
            return outcome;
        }
        if self.manner == Manner::Insists {
            return self.inner.apply(batch.durability(Durability::Durable)).await;
        }
        match self.inner.apply(batch.clone()).await {
            Err(error) if error.kind() == ErrorKind::UnknownOutcome => match self.manner {
                Manner::Acknowledges => {
                    let stats = self.inner.stats().await;
                    Ok(Outcome::Committed(
                        stats.map_or(Revision::new(1), |stats| stats.revision),
                    ))
                }
                Manner::Denies => Err(Error::unavailable("the connection broke")),
                Manner::Repeats | Manner::Loses | Manner::Insists => self.inner.apply(batch).await,
            },
            answer => answer,
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl Read for Careless {
    fn get<'a>(&'a self, key: &'a Key) -> Reply<'a, Option<Entry>> {
        self.inner.get(key)
    }

    fn get_many<'a>(&'a self, keys: &'a [Key]) -> Reply<'a, Vec<Option<Entry>>> {
        self.inner.get_many(keys)
    }

    fn scan<'a>(&'a self, scan: &Scan) -> Result<Box<dyn Cursor + 'a>> {
        self.inner.scan(scan)
    }

    fn partitions<'a>(&'a self, range: &KeyRange, limit: usize) -> Reply<'a, Vec<Partition>> {
        self.inner.partitions(range, limit)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Backend for Careless {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn apply(&self, batch: WriteBatch) -> Reply<'_, Outcome> {
        Reply::pending(self.write(batch))
    }

    fn snapshot(&self) -> Reply<'_, Arc<dyn Snapshot>> {
        self.inner.snapshot()
    }

    fn watch(&self, spec: &WatchSpec) -> Result<Box<dyn Watcher>> {
        self.inner.watch(spec)
    }

    fn sync(&self) -> Reply<'_, ()> {
        self.inner.sync()
    }

    fn stats(&self) -> Reply<'_, Stats> {
        self.inner.stats()
    }

    fn check<'a>(&'a self, progress: &'a (dyn Fn(u64) + Send + Sync)) -> Reply<'a, CheckReport> {
        self.inner.check(progress)
    }

    fn close(&self) -> Reply<'_, ()> {
        self.inner.close()
    }
}
