//! Typed state over the store in memory, against encoding by hand and a bare map.

use std::hint::black_box;
use std::sync::Arc;

use dashmap::DashMap;
use futures_executor::block_on;
use serde_json::{Value, json};
use stead_memory::MemoryBackend;
use stead_state::{ScopedState, StateClass, StateManager, StateScope};

use crate::measure::{pair, shuffled, time};
use crate::report::Report;

type BareMap = DashMap<Box<str>, Arc<[u8]>>;

const OPERATIONS: usize = 100_000;

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

struct Bed<'a> {
    keys: &'a [String],
    state: ScopedState,
    bare: BareMap,
    raw: ScopedState,
}

impl<'a> Bed<'a> {
    fn new(keys: &'a [String]) -> Self {
        let manager = StateManager::new(Arc::new(MemoryBackend::default()));
        let state = manager.scope(StateScope::agent("bench")).expect("a valid scope");
        let raw = manager.scope(StateScope::agent("raw")).expect("a valid scope");
        let bare = BareMap::default();
        let text = serde_json::to_vec(&object()).expect("it encodes");
        for key in keys {
            block_on(state.set(key, &object())).expect("it writes");
            block_on(raw.set_bytes(key, &text)).expect("it writes");
            bare.insert(key.as_str().into(), Arc::from(&text[..]));
        }
        Bed {
            keys,
            state,
            bare,
            raw,
        }
    }

    fn key(&self, index: usize) -> &str {
        &self.keys[shuffled(index, self.keys.len())]
    }

    fn raw_reads(&self, report: &mut Report) {
        let result = pair(
            || {
                time(OPERATIONS, |index| {
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
                time(OPERATIONS, |index| {
                    black_box(self.bare.get(self.key(index)).map(|found| Arc::clone(&found)));
                })
            },
        );
        report.at_most("scoped read of raw bytes / map get", result, 1.6);
    }

    fn typed_reads(&self, report: &mut Report) {
        let result = pair(
            || {
                time(OPERATIONS, |index| {
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
                time(OPERATIONS, |index| {
                    let bytes = self
                        .bare
                        .get(self.key(index))
                        .map(|found| Arc::clone(&found))
                        .expect("it is there");
                    black_box(serde_json::from_slice::<Value>(&bytes).expect("it decodes"));
                })
            },
        );
        report.at_most("typed get / map get and decode", result, 2.0);
    }

    fn typed_writes(&self, report: &mut Report) {
        let value = object();
        let by_hand = || {
            time(OPERATIONS, |index| {
                let bytes = serde_json::to_vec(&value).expect("it encodes");
                black_box(self.bare.insert(self.key(index).into(), Arc::from(bytes)));
            })
        };
        let result = pair(
            || {
                time(OPERATIONS, |index| {
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
                time(OPERATIONS, |index| {
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
