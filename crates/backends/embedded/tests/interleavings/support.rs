//! Schedulers, stores and batches.

use std::sync::Arc;
use std::time::Duration;

use shuttle::future::block_on;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler, UrwRandomScheduler};
use stead_core::{
    Backend, Durability, Key, ManualClock, Outcome, Partition, Read, Revision, SeededRandom, Timestamp,
    WriteBatch,
};
use stead_embedded::{Embedded, EmbeddedOptions};

use crate::disk::{Disk, Fake};

pub(crate) type Store = Arc<Embedded<Fake>>;

/// Runs `scenario` under each scheduler: one that chooses at random, one that samples whole schedules evenly, and PCT,
/// which finds what takes few but well-chosen switches.
pub(crate) fn explore(scenario: fn()) {
    let number =
        |name: &str, otherwise: u64| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let iterations = usize::try_from(number("STEAD_SHUTTLE_ITERATIONS", 100)).unwrap();
    let seed = number("STEAD_SHUTTLE_SEED", 0x5eed);
    let schedulers: [Box<dyn Scheduler + Send>; 4] = [
        Box::new(RandomScheduler::new_from_seed(seed, iterations)),
        Box::new(UrwRandomScheduler::new_from_seed(seed, iterations)),
        Box::new(PctScheduler::new_from_seed(seed, 2, iterations)),
        Box::new(PctScheduler::new_from_seed(seed, 5, iterations)),
    ];
    for scheduler in schedulers {
        let mut config = shuttle::Config::new();
        config.stack_size = 0x4_0000;
        shuttle::Runner::new(scheduler, config).run(scenario);
    }
}

/// Settings under which nothing happens on its own: limits of an hour never run out here.
pub(crate) fn quiet() -> EmbeddedOptions {
    EmbeddedOptions::default()
        .with_clock(clock())
        .with_random(Arc::new(SeededRandom::new(7)))
        .with_sweep_interval(Duration::from_secs(3600))
        .with_flush_interval(Duration::from_secs(3600))
}

/// Settings under which the store flushes whenever the scheduler lets the time be up.
pub(crate) fn flushing() -> EmbeddedOptions {
    quiet().with_flush_interval(Duration::from_secs(1))
}

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000)))
}

pub(crate) fn open(disk: &Arc<Disk>, options: EmbeddedOptions) -> Store {
    Embedded::open(disk.engine(), options).unwrap()
}

pub(crate) fn key(path: &str) -> Key {
    Key::new(&Partition::new("p").unwrap(), path).unwrap()
}

/// A batch of two keys that always change together.
pub(crate) fn pair(value: String) -> WriteBatch {
    WriteBatch::new()
        .put(key("left"), value.clone())
        .put(key("right"), value)
}

pub(crate) fn put(path: &str, value: &str) -> WriteBatch {
    WriteBatch::new().put(key(path), value.to_owned())
}

/// Every other batch is buffered.
pub(crate) fn mixed(batch: WriteBatch, number: usize) -> WriteBatch {
    if number.is_multiple_of(2) {
        batch.durability(Durability::Durable)
    } else {
        batch.durability(Durability::Buffered)
    }
}

pub(crate) fn buffered(batch: WriteBatch) -> WriteBatch {
    batch.durability(Durability::Buffered)
}

pub(crate) fn commit(store: &Store, batch: WriteBatch) -> Revision {
    match block_on(store.apply(batch)).unwrap() {
        Outcome::Committed(revision) => revision,
        Outcome::Rejected(conflict) => panic!("rejected: {conflict:?}"),
    }
}

pub(crate) fn value(store: &Store, path: &str) -> Option<Vec<u8>> {
    let entry = block_on(store.get(&key(path))).unwrap();
    entry.map(|entry| entry.value().to_vec())
}

pub(crate) fn check(store: &Store) {
    block_on(store.check(&|_| {})).unwrap();
}

pub(crate) fn close(store: &Store) {
    block_on(store.close()).unwrap();
}
