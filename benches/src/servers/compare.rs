//! The measurements of one server, both sides taking turns.

use std::cell::Cell;
use std::sync::Arc;

use stead_core::Backend;
use tokio::runtime::Runtime;

use super::data::{BATCH, Data, keys};
use super::side::{Side, Stead};
use super::start::{SERVERS, Server, runtime};
use super::{postgres, redis};
use crate::measure::{elapsed, median, pair_rounds};
use crate::report::{Goal, Report, Unit};

/// Tasks that work at the same time.
const TASKS: usize = 16;
/// Entries in each store.
const ENTRIES: usize = 100_000;
/// Entries of a bulk load.
const LOAD: usize = 100_000;
/// Rounds of each measurement.
const ROUNDS: usize = 9;
/// Rounds of puts and of what tasks gain. What a sync takes wanders, and so does what two cores have left for a server:
/// these rounds are short and many, so that both sides have the same weather.
const SHORT_ROUNDS: usize = 27;
/// Puts of a round.
const PUTS: usize = 200;

/// Measures each server, or the one that is wanted.
pub(crate) fn run(report: &mut Report, wanted: Option<&str>) {
    for name in SERVERS {
        if wanted.is_none_or(|wanted| wanted == name) {
            report.section(&format!(
                "{name}: {ENTRIES} entries of 100 bytes; bare: its client, the same index work"
            ));
            one(name, report);
        }
    }
}

fn one(name: &str, report: &mut Report) {
    let runtime = runtime();
    let server = Server::start(name);
    let store = runtime.block_on(server.open(""));
    match &server {
        Server::Redis(server) => {
            let bare = runtime.block_on(redis::Bare::open(&server.url()));
            Sides::new(&runtime, &store, bare).compare(report);
        }
        Server::Cluster(cluster) => {
            let nodes = cluster.addresses();
            let nodes = nodes.iter().map(|node| format!("redis://{node}")).collect();
            let bare = runtime.block_on(redis::Bare::open_cluster(nodes));
            Sides::new(&runtime, &store, bare).compare(report);
        }
        Server::Postgres(server) => {
            let bare = runtime.block_on(postgres::Bare::open(&server.url(), TASKS));
            let sides = Sides::new(&runtime, &store, bare);
            sides.compare(report);
            sides.in_order().compare_puts(report);
        }
    }
    runtime.block_on(store.close()).expect("it closes");
}

impl<'a> Sides<'a, postgres::Bare> {
    /// The same stores, beside a client whose revisions come in the order of commits, as those of Stead do.
    fn in_order(self) -> Self {
        let bare = Arc::into_inner(self.bare).expect("no round is under way");
        let bare = Arc::new(self.runtime.block_on(bare.in_order()));
        Sides { bare, ..self }
    }

    fn compare_puts(&self, report: &mut Report) {
        report.compare(
            "put, bare revisions in the order of commits",
            self.pair(Work::Put, SHORT_ROUNDS, PUTS),
        );
    }
}

/// What is done again and again.
#[derive(Clone, Copy)]
enum Work {
    Get,
    GetMany,
    Put,
}

impl Work {
    async fn once<S: Side>(self, side: &S, data: &Data, task: usize, place: usize) {
        match self {
            Work::Get => assert_eq!(side.get(task, data.key(place)).await, 100),
            Work::GetMany => assert_eq!(side.get_many(data.hundred(place)).await, 100),
            Work::Put => side.put(task, data.key(place), data.value(place)).await,
        }
    }
}

/// Both sides, loaded with the same keys.
struct Sides<'a, B> {
    runtime: &'a Runtime,
    stead: Arc<Stead>,
    bare: Arc<B>,
    data: Arc<Data>,
    /// How far the walk through the keys has gone: rounds go on where the last one ended.
    place: Cell<usize>,
}

impl<'a, B: Side> Sides<'a, B> {
    fn new(runtime: &'a Runtime, store: &Arc<dyn Backend>, bare: B) -> Self {
        let sides = Sides {
            runtime,
            stead: Arc::new(Stead(Arc::clone(store))),
            bare: Arc::new(bare),
            data: Arc::new(Data::new(ENTRIES)),
            place: Cell::new(0),
        };
        let keys = sides.data.keys.clone();
        sides.load(&sides.stead, &keys);
        sides.load(&sides.bare, &keys);
        sides
    }

    /// The rows in their order.
    fn compare(&self, report: &mut Report) {
        report.at_most("get", self.pair(Work::Get, ROUNDS, 2_000), 1.15);
        report.compare("get_many of 100", self.pair(Work::GetMany, ROUNDS, 300));
        report.at_most("put", self.pair(Work::Put, SHORT_ROUNDS, PUTS), 1.25);
        self.gain("put", Work::Put, report);
        self.gain("get", Work::Get, report);
        self.bulk(report);
    }

    /// `each` times by every one of `tasks`; nanoseconds for one.
    fn round<S: Side>(&self, side: &Arc<S>, work: Work, tasks: usize, each: usize) -> f64 {
        let first = self.place.replace(self.place.get() + tasks * each);
        elapsed(tasks * each, || {
            self.runtime.block_on(async {
                let running: Vec<_> = (0..tasks)
                    .map(|task| {
                        let (side, data) = (Arc::clone(side), Arc::clone(&self.data));
                        tokio::spawn(async move {
                            for index in 0..each {
                                let place = first + task * each + index;
                                work.once(&*side, &data, task, place).await;
                            }
                        })
                    })
                    .collect();
                for task in running {
                    task.await.expect("no task panics");
                }
            });
        })
    }

    fn pair(&self, work: Work, rounds: usize, each: usize) -> crate::measure::Pair {
        pair_rounds(
            rounds,
            &mut || self.round(&self.stead, work, 1, each),
            &mut || self.round(&self.bare, work, 1, each),
        )
    }

    /// What 16 tasks do more than one, on both sides.
    fn gain(&self, name: &str, work: Work, report: &mut Report) {
        let mut samples = Vec::new();
        for round in 0..=SHORT_ROUNDS {
            let mut sample = [[0.0; 2]; 2];
            for turn in 0..2 {
                for (column, tasks) in [1, TASKS].into_iter().enumerate() {
                    let each = 3_000 / if tasks == 1 { 6 } else { tasks };
                    // Whoever begins is not the same in each round.
                    if (turn + round) % 2 == 0 {
                        sample[0][column] = self.round(&self.stead, work, tasks, each);
                    } else {
                        sample[1][column] = self.round(&self.bare, work, tasks, each);
                    }
                }
            }
            if round > 0 {
                samples.push(sample);
            }
        }
        let middle = |value: &dyn Fn(&[[f64; 2]; 2]) -> f64| median(samples.iter().map(value).collect());
        let gain = |[alone, together]: [f64; 2]| alone / together;
        let rates = [0, 1].map(|side| 1e9 / middle(&|sample| sample[side][1]));
        report.line(
            &format!("{name} by {TASKS} tasks"),
            Unit::PerSecond,
            rates,
            rates[0] / rates[1],
            None,
        );
        report.gains(
            &format!("gain of {TASKS} tasks over one, {name}"),
            [0, 1].map(|side| middle(&|sample| gain(sample[side]))),
            middle(&|sample| gain(sample[0]) / gain(sample[1])),
            0.85,
        );
    }

    /// Writes `keys` in batches, one after the other; nanoseconds for an entry.
    fn load<S: Side>(&self, side: &Arc<S>, keys: &[stead_core::Key]) -> f64 {
        elapsed(keys.len(), || {
            self.runtime.block_on(async {
                for batch in keys.chunks(BATCH) {
                    side.put_many(batch, self.data.values(batch.len())).await;
                }
            });
        })
    }

    /// New entries in batches against new entries one at a time, and against the bare client's batches.
    fn bulk(&self, report: &mut Report) {
        let mut samples = Vec::new();
        for round in 0..3 {
            let single = keys(&format!("single{round}"), 2_000);
            let one_by_one = elapsed(single.len(), || {
                self.runtime.block_on(async {
                    for (place, key) in single.iter().enumerate() {
                        self.stead.put(0, key, self.data.value(place)).await;
                    }
                });
            });
            let new = keys(&format!("bulk{round}"), LOAD);
            samples.push([
                one_by_one,
                self.load(&self.stead, &new),
                self.load(&self.bare, &new),
            ]);
        }
        let middle = |value: &dyn Fn(&[f64; 3]) -> f64| median(samples.iter().map(value).collect());
        let rate = |column: usize| 1e9 / middle(&|sample| sample[column]);
        report.line(
            &format!("load of {LOAD}, batches of {BATCH} / Stead, one put at a time"),
            Unit::PerSecond,
            [rate(1), rate(0)],
            middle(&|sample| sample[0] / sample[1]),
            Some(Goal::AtLeast(10.0)),
        );
        report.line(
            &format!("load of {LOAD}, batches of {BATCH} / bare, the same"),
            Unit::PerSecond,
            [rate(1), rate(2)],
            middle(&|sample| sample[2] / sample[1]),
            None,
        );
    }
}
