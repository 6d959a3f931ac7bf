//! Stores to copy between, and what they hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stead_conformance::reference::{Options, Reference};
use stead_copy::{Copier, CopyOptions, Occupied, PARTITION, Report};
use stead_core::{
    Backend, Capabilities, CheckReport, Clock, Cursor, Entry, Error, Extent, Key, KeyRange, ManualClock,
    Outcome, Partition, Read, ReadExt, Reply, Result, Scan, Snapshot, Stats, Timestamp, WatchSpec, Watcher,
    WriteBatch,
};

pub(crate) type Store = Arc<dyn Backend>;

pub(crate) fn key(partition: &str, path: &str) -> Key {
    Key::new(&Partition::new(partition).unwrap(), path).unwrap()
}

/// The time at which the clocks of the tests stand.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_000_000);

/// A clock that several stores share.
pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(NOW))
}

/// What a store declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Store,
    Partition,
}

pub(crate) const ORDERS: [(Order, Order); 4] = [
    (Order::Store, Order::Store),
    (Order::Store, Order::Partition),
    (Order::Partition, Order::Store),
    (Order::Partition, Order::Partition),
];

pub(crate) fn store_with(order: Order, clock: &Arc<ManualClock>, log_sets: usize) -> Store {
    let options = Options::default().with_log_sets(log_sets);
    let options = match order {
        Order::Store => options,
        Order::Partition => options.declaring(|capabilities| {
            capabilities.atomicity = Extent::Partition;
            capabilities.revision_order = Extent::Partition;
        }),
    };
    Arc::new(Reference::open(Arc::clone(clock) as Arc<dyn Clock>, options))
}

pub(crate) fn store(order: Order) -> Store {
    store_with(order, &clock(), 1024)
}

/// 40 partitions of 30 entries.
pub(crate) async fn fill(store: &Store) {
    for partition in 0..40 {
        let mut batch = WriteBatch::new();
        for path in 0..30 {
            let key = key(&format!("agent:{partition:02}"), &format!("k{path:02}"));
            batch = batch.put(key, format!("value {partition} {path}"));
        }
        store.apply(batch).await.unwrap().committed().unwrap();
    }
}

/// All that a store holds: values and deadlines.
pub(crate) async fn content(store: &Store) -> BTreeMap<Vec<u8>, (Vec<u8>, Option<Timestamp>)> {
    let mut content = BTreeMap::new();
    for partition in store.partitions(&KeyRange::all(), usize::MAX).await.unwrap() {
        assert_ne!(partition.as_bytes(), PARTITION, "the mark is still there");
        let scan = Scan::new(KeyRange::partition(&partition));
        for item in store.collect(&scan).await.unwrap() {
            let entry = item.entry.unwrap();
            content.insert(
                item.key.as_bytes().to_vec(),
                (entry.value().to_vec(), entry.deadline()),
            );
        }
    }
    content
}

/// Small batches, so that there are many.
pub(crate) fn options() -> CopyOptions {
    CopyOptions::new("the source").with_batch_bytes(256)
}

pub(crate) fn merging() -> CopyOptions {
    options().with_occupied(Occupied::Merge)
}

pub(crate) async fn begin(source: &Store, target: &Store, options: CopyOptions) -> Result<Copier> {
    Copier::begin(Arc::clone(source), Arc::clone(target), options).await
}

pub(crate) async fn copy(source: &Store, target: &Store, options: CopyOptions) -> Result<Report> {
    begin(source, target, options).await?.run().await
}

/// A store whose writes fail from some point on, as one without room does.
pub(crate) struct Failing {
    inner: Store,
    left: AtomicU64,
}

impl Failing {
    pub(crate) fn after(inner: &Store, writes: u64) -> Store {
        Arc::new(Failing {
            inner: Arc::clone(inner),
            left: AtomicU64::new(writes),
        })
    }
}

#[deny(clippy::missing_trait_methods)]
impl Read for Failing {
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
impl Backend for Failing {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn apply(&self, batch: WriteBatch) -> Reply<'_, Outcome> {
        let left = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(_) => self.inner.apply(batch),
            Err(_) => Reply::fail(Error::full("the disk is full; make room")),
        }
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
