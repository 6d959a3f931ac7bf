//! What reads notice of a checkpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_executor::block_on;
use stead_backup::BackupType;
use stead_core::{Backend, Key};
use tokio::runtime::Runtime;

use super::data;
use super::place::{Place, back_up, runtime};
use crate::measure::{Pair, Stopwatch};
use crate::report::Report;
use crate::workload::shuffled;

const ROUNDS: usize = 7;
/// The reader's pace: so many gets, and a pause.
const BURST: usize = 10;
const PAUSE: Duration = Duration::from_micros(200);

/// Measures `store`, which is empty.
pub(super) fn run(report: &mut Report, name: &str, store: &Arc<dyn Backend>, entries: usize) {
    report.section_of(
        &format!(
            "{name}: gets of {entries} entries, {BURST} and a pause of {} us, with a checkpoint beside them and without",
            PAUSE.as_micros()
        ),
        ["with", "without"],
    );
    let runtime = runtime();
    data::load(store, entries, data::VALUE_BYTES);
    let keys: Vec<Key> = (0..entries).map(data::key).collect();
    let mut rounds: Vec<[(f64, f64); 2]> = Vec::new();
    for round in 0..=ROUNDS {
        let with = beside_checkpoint(&runtime, store, &keys);
        let without = alone(store, &keys, with.took);
        let found = [50, 99].map(|percent| (with.at(percent), without.at(percent)));
        // The first round is not counted.
        if round > 0 {
            rounds.push(found);
        }
    }
    let of = |place: usize| Pair::of(&rounds.iter().map(|round| round[place]).collect::<Vec<_>>());
    report.compare("a get, median", of(0));
    report.at_most("a get, p99", of(1), 2.0);
    block_on(store.close()).expect("it closes");
}

/// What gets took, in order.
struct Latencies {
    nanos: Vec<f64>,
    took: Duration,
}

impl Latencies {
    fn at(&self, percent: usize) -> f64 {
        self.nanos[self.nanos.len() * percent / 100]
    }
}

fn beside_checkpoint(runtime: &Runtime, store: &Arc<dyn Backend>, keys: &[Key]) -> Latencies {
    let place = Place::new(runtime);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read(&**store, keys, &|_| stop.load(Ordering::Relaxed)));
        back_up(runtime, &place.manager(store), BackupType::Full);
        stop.store(true, Ordering::Relaxed);
        reader.join().expect("the reader ends well")
    })
}

/// As long as the checkpoint took.
fn alone(store: &Arc<dyn Backend>, keys: &[Key], time: Duration) -> Latencies {
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| read(&**store, keys, &|passed| passed >= time));
        reader.join().expect("the reader ends well")
    })
}

fn read(store: &dyn Backend, keys: &[Key], ended: &dyn Fn(Duration) -> bool) -> Latencies {
    let whole = Stopwatch::start();
    let mut nanos = Vec::with_capacity(1 << 20);
    while !ended(whole.passed()) {
        for _ in 0..BURST {
            let key = &keys[shuffled(nanos.len(), keys.len())];
            let watch = Stopwatch::start();
            let found = block_on(store.get(key)).expect("it reads");
            nanos.push(watch.nanos());
            assert!(found.is_some(), "every key has an entry");
        }
        std::thread::sleep(PAUSE);
    }
    nanos.sort_by(f64::total_cmp);
    Latencies {
        nanos,
        took: whole.passed(),
    }
}
