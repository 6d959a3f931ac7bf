//! The measurements of one engine, both sides taking turns.

use std::cell::Cell;
use std::hint::black_box;
use std::path::Path;

use stead_core::{Durability, Key};

use super::results::{Row, What};
use super::run::Settings;
use super::{ByHand, Engine, Stead, space};
use crate::measure::{Pair, elapsed, pair_rounds, time};
use crate::report::Unit;
use crate::workload::{end, keys, shuffled};

/// How the stores are loaded.
const LOAD_BATCH: usize = 1_000;
/// Buffered puts of a round: so many that each round syncs several times, and what a side leaves unwritten at the end of
/// one, for which the other side waits, is a small part of it. At 3,000, bare sled put in 20 us what took 100 to write.
const BUFFERED_PUTS: usize = 20_000;
/// The same where each key may be put only once: all rounds together are fewer than the keys.
const FIRST_PUTS: usize = 3_000;
/// Durable puts of a round, all writers together.
const CONCURRENT_PUTS: usize = 1_600;
/// How often the sides take turns where every put waits for the disk: how long that takes changes from one moment to the
/// next, so the rounds are short and many. With 7 rounds of the writers the same code came out between 0.72 and 0.96.
const DURABLE_ROUNDS: usize = 27;

/// Measures `engine` and hands each row to `done` as it comes.
pub(super) fn compare(engine: &Engine, settings: &Settings, done: &mut dyn FnMut(Row)) {
    let mut row = |what: What, pair: Pair| done(in_unit(engine.name, what, pair));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (ours, bare) = (dir.path().join("stead"), dir.path().join("bare"));
    let keys = keys(settings.entries);
    load(engine, &keys, &ours, &bare);
    row(What::Reopen, reopen(engine, &ours, &bare));
    let sides = Sides {
        stead: Stead::open(engine, &ours),
        bare: ByHand::open(engine, &bare),
        keys: &keys,
        ours: Cell::new(0),
        theirs: Cell::new(0),
    };
    row(What::Get, sides.get());
    row(What::Scan, sides.scan());
    row(What::Iterate, sides.iterate());
    row(What::PutFirst, sides.put_buffered(FIRST_PUTS));
    sides.write_all();
    row(What::PutBuffered, sides.put_buffered(BUFFERED_PUTS));
    row(What::PutAfterRead, sides.put_after_read());
    row(What::Batch, sides.batch());
    row(What::PutDurable, sides.put_durable());
    for writers in [16, 64] {
        row(What::ByHand(writers), sides.by_hand(writers));
        row(What::Own(writers), sides.own(writers));
    }
    sides.stead.close();
    sides.bare.close();
    drop(dir);
    space::measure(engine, settings, done);
}

/// A pair as a row: times as they are, throughput turned over.
fn in_unit(engine: &'static str, what: What, pair: Pair) -> Row {
    let turn = |nanos: f64| match what.unit() {
        Unit::PerSecond => 1e9 / nanos,
        Unit::Time | Unit::Mebibytes => nanos,
    };
    Row {
        engine,
        what,
        stead: turn(pair.ours_ns),
        bare: turn(pair.bare_ns),
        ratio: if what.unit() == Unit::PerSecond {
            1.0 / pair.ratio
        } else {
            pair.ratio
        },
    }
}

fn load(engine: &Engine, keys: &[Key], ours: &Path, bare: &Path) {
    let stead = Stead::open(engine, ours);
    stead.load(keys, LOAD_BATCH);
    stead.close();
    let by_hand = ByHand::open(engine, bare);
    by_hand.load(keys, LOAD_BATCH);
    by_hand.close();
}

fn reopen(engine: &Engine, ours: &Path, bare: &Path) -> Pair {
    pair_rounds(
        7,
        &mut || {
            let mut store = None;
            let took = elapsed(1, || store = Some(Stead::open(engine, ours)));
            store.expect("it was opened").close();
            took
        },
        &mut || {
            let mut store = None;
            let took = elapsed(1, || store = Some(ByHand::open(engine, bare)));
            store.expect("it was opened").close();
            took
        },
    )
}

/// Both sides, loaded with the same keys.
struct Sides<'a> {
    stead: Stead,
    bare: ByHand,
    keys: &'a [Key],
    /// How far each side has gone through the keys: rounds go on where the last one ended.
    ours: Cell<usize>,
    theirs: Cell<usize>,
}

impl<'a> Sides<'a> {
    /// The next place in no order of a side, with `room` behind it.
    fn place(&self, side: &Cell<usize>, room: usize) -> usize {
        let index = side.get();
        side.set(index + 1);
        shuffled(index, self.keys.len() - room)
    }

    /// The next key in no order of a side.
    fn key(&self, side: &Cell<usize>) -> &Key {
        &self.keys[self.place(side, 0)]
    }

    /// The keys of a round of several writers: each the same on both sides.
    fn key_of(&self, round: &Cell<usize>, each: usize) -> impl Fn(usize, usize) -> &'a Key + Sync + use<'a> {
        let first = round.get();
        round.set(first + CONCURRENT_PUTS);
        let keys = self.keys;
        move |writer, index| &keys[shuffled(first + writer * each + index, keys.len())]
    }

    fn get(&self) -> Pair {
        pair_rounds(
            9,
            &mut || {
                time(20_000, |_| {
                    black_box(self.stead.get(self.key(&self.ours)).expect("it is there"));
                })
            },
            &mut || {
                time(20_000, |_| {
                    let key = self.key(&self.theirs);
                    black_box(self.bare.engine().get(key.as_bytes()).expect("it is there"));
                })
            },
        )
    }

    fn scan(&self) -> Pair {
        let end = end();
        pair_rounds(
            9,
            &mut || {
                time(500, |_| {
                    let start = &self.keys[self.place(&self.ours, 100)];
                    assert_eq!(black_box(self.stead.scan(start, 100)).len(), 100);
                })
            },
            &mut || {
                time(500, |_| {
                    let start = &self.keys[self.place(&self.theirs, 100)];
                    let found = self.bare.engine().scan(start.as_bytes(), &end, 100);
                    assert_eq!(black_box(found).len(), 100);
                })
            },
        )
    }

    fn iterate(&self) -> Pair {
        let all = self.keys.len();
        pair_rounds(
            3,
            &mut || elapsed(all, || assert_eq!(self.stead.count(), all)),
            &mut || elapsed(all, || assert_eq!(self.bare.engine().count(), all)),
        )
    }

    /// Writes every entry anew, so that either side has written all of them since it was opened.
    fn write_all(&self) {
        self.stead.load(self.keys, LOAD_BATCH);
        self.bare.load(self.keys, LOAD_BATCH);
    }

    fn put_buffered(&self, puts: usize) -> Pair {
        self.puts(puts, &|key| self.bare.put_buffered(std::slice::from_ref(key)))
    }

    fn put_after_read(&self) -> Pair {
        self.puts(BUFFERED_PUTS, &|key| {
            black_box(self.bare.engine().get(key.as_bytes()).expect("it is there"));
            self.bare.put_buffered(std::slice::from_ref(key));
        })
    }

    fn puts(&self, puts: usize, bare: &dyn Fn(&Key)) -> Pair {
        pair_rounds(
            9,
            &mut || {
                time(puts, |_| {
                    let key = self.key(&self.ours);
                    self.stead.put(std::slice::from_ref(key), Durability::Buffered);
                })
            },
            &mut || time(puts, |_| bare(self.key(&self.theirs))),
        )
    }

    fn batch(&self) -> Pair {
        pair_rounds(
            9,
            &mut || {
                time(100, |_| {
                    let from = self.place(&self.ours, 100);
                    self.stead.put(&self.keys[from..from + 100], Durability::Buffered);
                })
            },
            &mut || {
                time(100, |_| {
                    let from = self.place(&self.theirs, 100);
                    self.bare.put_buffered(&self.keys[from..from + 100]);
                })
            },
        )
    }

    fn put_durable(&self) -> Pair {
        pair_rounds(
            DURABLE_ROUNDS,
            &mut || {
                time(100, |_| {
                    let key = self.key(&self.ours);
                    self.stead.put(std::slice::from_ref(key), Durability::Durable);
                })
            },
            &mut || time(100, |_| self.bare.put_durable(self.key(&self.theirs))),
        )
    }

    fn stead_writers(&self, writers: usize) -> f64 {
        let each = CONCURRENT_PUTS / writers;
        let key = self.key_of(&self.ours, each);
        elapsed(CONCURRENT_PUTS, || {
            self.stead.put_concurrently(writers, each, &key);
        })
    }

    fn by_hand(&self, writers: usize) -> Pair {
        let each = CONCURRENT_PUTS / writers;
        pair_rounds(DURABLE_ROUNDS, &mut || self.stead_writers(writers), &mut || {
            let key = self.key_of(&self.theirs, each);
            elapsed(CONCURRENT_PUTS, || self.bare.group_commit(writers, each, &key))
        })
    }

    fn own(&self, writers: usize) -> Pair {
        let each = CONCURRENT_PUTS / writers;
        let bare = &self.bare;
        pair_rounds(DURABLE_ROUNDS, &mut || self.stead_writers(writers), &mut || {
            let key = self.key_of(&self.theirs, each);
            elapsed(CONCURRENT_PUTS, || {
                std::thread::scope(|scope| {
                    for writer in 0..writers {
                        let key = &key;
                        scope.spawn(move || {
                            for index in 0..each {
                                bare.put_durable(key(writer, index));
                            }
                        });
                    }
                });
            })
        })
    }
}
