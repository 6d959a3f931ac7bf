//! What a partition costs: bytes on the server, and time.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use stead_core::{Backend, Durability, Key, Partition, WriteBatch};
use tokio::runtime::Runtime;

use super::side::{Side, Stead};
use super::start::{SERVERS, Server, runtime};
use crate::measure::{elapsed, pair_rounds};
use crate::report::Report;
use crate::workload::{shuffled, value};

/// Entries of each store.
const ENTRIES: usize = 100_000;
/// Writers of a load.
const WRITERS: usize = 64;
/// New keys of a round.
const NEW: usize = 300;

/// Measures each server, or the one that is wanted.
pub(crate) fn run(report: &mut Report, wanted: Option<&str>) {
    for name in SERVERS {
        if wanted.is_none_or(|wanted| wanted == name) {
            report.section(&format!(
                "{name}: {ENTRIES} entries of 100 bytes in a partition each / all in one partition"
            ));
            one(name, report);
        }
    }
}

/// The key at a place, of 24 bytes in either store: in a partition of its own, or in the only one.
fn key(apart: bool, index: usize) -> Key {
    let (agent, item) = if apart { (index, 0) } else { (0, index) };
    let partition = Partition::new(format!("agent:{agent:07}")).expect("a valid partition");
    Key::new(&partition, format!("item/{item:07}")).expect("a valid key")
}

fn one(name: &str, report: &mut Report) {
    let runtime = runtime();
    let server = Server::start(name);
    let mut stores = Vec::new();
    let mut bytes = Vec::new();
    for (place, apart) in [("many", true), ("one", false)] {
        let before = server.bytes();
        let store = runtime.block_on(server.open(&format!("{}&retention=1000", server.place(place))));
        load(&runtime, &store, apart);
        let grown: f64 = server.bytes().iter().sum::<f64>() - before.iter().sum::<f64>();
        bytes.push(grown / ENTRIES as f64);
        if apart {
            spread(&before, &server.bytes(), report);
        }
        stores.push(Arc::new(Stead(store)));
    }
    report.figure("bytes of an entry in a partition of its own", bytes[0], "bytes");
    report.figure("bytes of an entry, all in one partition", bytes[1], "bytes");
    report.figure("bytes of a partition", bytes[0] - bytes[1], "bytes");
    times(&runtime, [&stores[0], &stores[1]], report);
    for store in stores {
        runtime.block_on(store.0.close()).expect("it closes");
    }
}

fn load(runtime: &Runtime, store: &Arc<dyn Backend>, apart: bool) {
    runtime.block_on(async {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let store = Arc::clone(store);
                tokio::spawn(async move {
                    let value = Bytes::from(value());
                    for index in (writer..ENTRIES).step_by(WRITERS) {
                        let batch = WriteBatch::new()
                            .durability(Durability::Buffered)
                            .put(key(apart, index), value.clone());
                        let outcome = store.apply(batch).await.expect("it writes");
                        assert!(outcome.is_committed(), "there is nothing to conflict with");
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.expect("no writer panics");
        }
        store.sync().await.expect("it syncs");
    });
}

/// How evenly the masters of a Cluster share what was loaded.
fn spread(before: &[f64], after: &[f64], report: &mut Report) {
    if before.len() < 2 {
        return;
    }
    let grown: Vec<f64> = before
        .iter()
        .zip(after)
        .map(|(before, after)| after - before)
        .collect();
    let mean = grown.iter().sum::<f64>() / grown.len() as f64;
    let most = grown.iter().fold(0.0_f64, |most, one| most.max(*one));
    report.figure(
        "the fullest master, of an even share",
        100.0 * most / mean,
        "percent",
    );
}

/// Reads and writes in a store of many partitions beside those in a store of one.
fn times(runtime: &Runtime, [many, one]: [&Arc<Stead>; 2], report: &mut Report) {
    let value = Bytes::from(value());
    let mut next: HashMap<bool, usize> = HashMap::new();
    let mut round = |store: &Arc<Stead>, apart: bool, new: bool, put: bool| {
        let store = Arc::clone(store);
        let first = *next.get(&apart).unwrap_or(&0);
        next.insert(apart, first + NEW);
        let keys: Vec<Key> = (first..first + NEW)
            .map(|place| {
                key(
                    apart,
                    if new {
                        ENTRIES + place
                    } else {
                        shuffled(place, ENTRIES)
                    },
                )
            })
            .collect();
        let value = value.clone();
        elapsed(NEW, || {
            let work = async move {
                for key in &keys {
                    if put {
                        store.put(0, key, &value).await;
                    } else {
                        store.get(0, key).await;
                    }
                }
            };
            runtime.block_on(async { tokio::spawn(work).await.expect("it does not panic") });
        })
    };
    for (what, new, put) in [
        ("get", false, false),
        ("put over an entry", false, true),
        ("first put into a new partition / put of a new key", true, true),
    ] {
        let round = std::cell::RefCell::new(&mut round);
        let pair = pair_rounds(9, &mut || round.borrow_mut()(many, true, new, put), &mut || {
            round.borrow_mut()(one, false, new, put)
        });
        report.compare(what, pair);
    }
}

impl Server {
    /// What each master holds, in memory or on disk.
    fn bytes(&self) -> Vec<f64> {
        match self {
            Server::Redis(server) => vec![used_memory(server)],
            Server::Cluster(cluster) => (0..3).map(|node| used_memory(cluster.node(node))).collect(),
            Server::Postgres(server) => {
                let size = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c \
                    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('one', 'many') AND c.relkind = 'r'";
                let text = server.sql(size).expect("the server tells");
                vec![text.trim().parse().expect("a number")]
            }
        }
    }
}

fn used_memory(server: &stead_servers::RedisServer) -> f64 {
    let info = server
        .command(&["INFO", "memory"])
        .expect("the server tells")
        .text();
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    line.and_then(|number| number.trim().parse().ok())
        .expect("a number")
}
