//! Typed state over the store in memory, against encoding by hand and a bare map.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;

use dashmap::DashMap;
use futures_executor::block_on;
use serde_json::{Value, json};
use stead_memory::MemoryBackend;
use stead_state::{ScopedState, StateClass, StateManager, StateScope};

use crate::measure::{Pair, median, pair_rounds, time};
use crate::report::Report;
use crate::workload::shuffled;

type BareMap = DashMap<Box<str>, Arc<[u8]>>;

/// Rounds of a millisecond or less: longer ones are interrupted by whatever else the machine does. Both sides find the
/// caches as the other one left them.
const OPERATIONS: usize = 1_000;
const ROUNDS: usize = 1_501;

pub(crate) fn run(report: &mut Report) {
    for entries in [1_000, 100_000] {
        report.section(&format!(
            "typed state in memory, {entries} entries of a 100-byte JSON object"
        ));
        let keys: Vec<String> = (0..entries).map(|index| format!("item/{index:012}")).collect();
        let bed = Bed::new(&keys);
        bed.raw_reads(report);
        bed.typed_reads(report);
        bed.typed_writes(report);
        bed.records(report);
    }
}

/// 100 bytes as JSON text.
fn object() -> Value {
    let value = json!({
        "id": 4711, "name": "planner", "done": false, "score": 0.75,
        "tags": ["search", "answer"], "note": "the attic",
    });
    assert_eq!(serde_json::to_vec(&value).expect("it encodes").len(), 100);
    value
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Record {
    id: u64,
    name: String,
    done: bool,
    score: f64,
    tags: Vec<String>,
    note: String,
}

/// The median of all rounds.
fn middle(mut round: impl FnMut() -> f64) -> f64 {
    median((0..ROUNDS).map(|_| round()).collect())
}

fn pair(mut ours: impl FnMut() -> f64, mut bare: impl FnMut() -> f64) -> Pair {
    pair_rounds(ROUNDS, &mut ours, &mut bare)
}

struct Bed<'a> {
    keys: &'a [String],
    bare_keys: Vec<String>,
    state: ScopedState,
    bare: BareMap,
    raw: ScopedState,
    /// Where the next round begins, so that all keys get their turn.
    next: Cell<usize>,
}

impl<'a> Bed<'a> {
    fn new(keys: &'a [String]) -> Self {
        let manager = StateManager::new(Arc::new(MemoryBackend::default()));
        let state = manager.scope(StateScope::agent("bench")).expect("a valid scope");
        let raw = manager.scope(StateScope::agent("raw")).expect("a valid scope");
        let bare = BareMap::default();
        let text = serde_json::to_vec(&object()).expect("it encodes");
        let bare_keys: Vec<String> = keys.iter().map(|key| format!("agent:bench/{key}")).collect();
        for key in keys {
            block_on(state.set(key, &object())).expect("it writes");
            block_on(raw.set_bytes(key, &text)).expect("it writes");
        }
        for key in &bare_keys {
            bare.insert(key.as_str().into(), Arc::from(&text[..]));
        }
        Bed {
            keys,
            bare_keys,
            state,
            bare,
            raw,
            next: Cell::new(0),
        }
    }

    fn round(&self, mut run: impl FnMut(usize)) -> f64 {
        let start = self.next.get();
        self.next.set(start + OPERATIONS);
        time(OPERATIONS, |index| run(start + index))
    }

    fn key(&self, index: usize) -> &str {
        &self.keys[shuffled(index, self.keys.len())]
    }

    /// The key of the bare map, which has to tell scopes apart too.
    fn bare_key(&self, index: usize) -> &str {
        &self.bare_keys[shuffled(index, self.keys.len())]
    }

    fn raw_reads(&self, report: &mut Report) {
        let result = pair(
            || {
                self.round(|index| {
                    let reply = self.raw.get_bytes(self.key(index));
                    black_box(
                        reply
                            .try_take()
                            .expect("memory answers at once")
                            .expect("it reads"),
                    );
                })
            },
            || {
                self.round(|index| {
                    black_box(
                        self.bare
                            .get(self.bare_key(index))
                            .map(|found| Arc::clone(&found)),
                    );
                })
            },
        );
        report.at_most("scoped read of raw bytes / map get", result, 1.6);
    }

    fn typed_reads(&self, report: &mut Report) {
        let result = pair(
            || {
                self.round(|index| {
                    let reply = self.state.get(self.key(index));
                    black_box(
                        reply
                            .try_take()
                            .expect("memory answers at once")
                            .expect("it reads"),
                    );
                })
            },
            || {
                self.round(|index| {
                    let bytes = self
                        .bare
                        .get(self.bare_key(index))
                        .map(|found| Arc::clone(&found))
                        .expect("it is there");
                    black_box(serde_json::from_slice::<Value>(&bytes).expect("it decodes"));
                })
            },
        );
        report.at_most("typed get / map get and decode", result, 2.0);
    }

    /// A record of the caller's own type: what most programs do. The aims are absolute, from what the best known peer
    /// takes.
    fn records(&self, report: &mut Report) {
        let record: Record = serde_json::from_value(object()).expect("the object is a record");
        let set = |class| {
            self.round(|index| {
                let reply = self.state.set_with_class(self.key(index), &record, class);
                black_box(
                    reply
                        .try_take()
                        .expect("memory answers at once")
                        .expect("it writes"),
                );
            })
        };
        let mut get = || {
            self.round(|index| {
                let reply = self.state.get_as::<Record>(self.key(index));
                black_box(
                    reply
                        .try_take()
                        .expect("memory answers at once")
                        .expect("it reads"),
                );
            })
        };
        for class in [StateClass::Standard, StateClass::Trusted] {
            let (set, get) = (middle(|| set(class)), middle(&mut get));
            let aim = if class == StateClass::Trusted {
                500.0
            } else {
                1_000.0
            };
            report.limit(&format!("typed record, class {class}: set"), set, "ns", aim);
            report.limit(&format!("typed record, class {class}: get_as"), get, "ns", 400.0);
        }
    }

    fn typed_writes(&self, report: &mut Report) {
        let value = object();
        let by_hand = || {
            self.round(|index| {
                let bytes = serde_json::to_vec(&value).expect("it encodes");
                black_box(self.bare.insert(self.bare_key(index).into(), Arc::from(bytes)));
            })
        };
        let result = pair(
            || {
                self.round(|index| {
                    let reply = self.state.set(self.key(index), &value);
                    black_box(
                        reply
                            .try_take()
                            .expect("memory answers at once")
                            .expect("it writes"),
                    );
                })
            },
            by_hand,
        );
        report.at_most("typed set / encode and map insert", result, 2.0);
        let trusted = pair(
            || {
                self.round(|index| {
                    let reply = self
                        .state
                        .set_with_class(self.key(index), &value, StateClass::Trusted);
                    black_box(
                        reply
                            .try_take()
                            .expect("memory answers at once")
                            .expect("it writes"),
                    );
                })
            },
            by_hand,
        );
        report.compare("set of class trusted / encode and map insert", trusted);
        for index in 0..self.keys.len() {
            block_on(self.state.set(&self.keys[index], &value)).expect("it writes");
        }
    }
}
