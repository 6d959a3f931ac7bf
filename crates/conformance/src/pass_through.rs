//! A layer that only forwards.

use std::sync::Arc;

use stead_core::{
    Backend, Capabilities, CheckReport, Cursor, Entry, Key, KeyRange, Layer, Outcome, Partition, Read, Reply,
    Result, Scan, Snapshot, Stats, WatchSpec, Watcher, WriteBatch,
};

/// A layer that forwards everything: the least that a layer does, for running the suite through one and for measuring
/// what one costs. A good place to start a layer from.
pub struct PassThrough(Arc<dyn Backend>);

impl PassThrough {
    /// Wraps `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Backend>) -> Self {
        PassThrough(inner)
    }

    /// The layer, to put into a stack.
    #[must_use]
    pub fn layer() -> impl Layer {
        PassThroughLayer
    }
}

struct PassThroughLayer;

impl Layer for PassThroughLayer {
    fn wrap(&self, inner: Arc<dyn Backend>) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(PassThrough::new(inner)))
    }
}

#[deny(clippy::missing_trait_methods)]
impl Read for PassThrough {
    fn get<'a>(&'a self, key: &'a Key) -> Reply<'a, Option<Entry>> {
        // A layer that changes answers goes through `map`; so does this one, for an honest figure.
        self.0.get(key).map(|entry| entry)
    }

    fn get_many<'a>(&'a self, keys: &'a [Key]) -> Reply<'a, Vec<Option<Entry>>> {
        self.0.get_many(keys)
    }

    fn scan<'a>(&'a self, scan: &Scan) -> Result<Box<dyn Cursor + 'a>> {
        self.0.scan(scan)
    }

    fn partitions<'a>(&'a self, range: &KeyRange, limit: usize) -> Reply<'a, Vec<Partition>> {
        self.0.partitions(range, limit)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Backend for PassThrough {
    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    fn apply(&self, batch: WriteBatch) -> Reply<'_, Outcome> {
        self.0.apply(batch)
    }

    fn snapshot(&self) -> Reply<'_, Arc<dyn Snapshot>> {
        self.0.snapshot()
    }

    fn watch(&self, spec: &WatchSpec) -> Result<Box<dyn Watcher>> {
        self.0.watch(spec)
    }

    fn sync(&self) -> Reply<'_, ()> {
        self.0.sync()
    }

    fn stats(&self) -> Reply<'_, Stats> {
        self.0.stats()
    }

    fn check<'a>(&'a self, progress: &'a (dyn Fn(u64) + Send + Sync)) -> Reply<'a, CheckReport> {
        self.0.check(progress)
    }

    fn close(&self) -> Reply<'_, ()> {
        self.0.close()
    }
}
