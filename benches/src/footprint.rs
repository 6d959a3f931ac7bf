//! What an entry costs in memory, measured as resident memory.

use futures_executor::block_on;
use stead_core::BackendExt;

use crate::process::resident_bytes;
use crate::report::Report;
use crate::workload::{keys, shuffled, value};

/// Set for the child processes that load a store in one order each: a second load in the same process would find memory
/// that the first gave back.
const ORDER: &str = "STEAD_BENCH_FOOTPRINT";
const ENTRIES: usize = 1_000_000;

pub(crate) fn run(report: &mut Report) {
    report.section("memory: resident bytes of an entry beyond its key and value, at 1,000,000 entries");
    for order in ["ascending", "shuffled"] {
        let child = std::process::Command::new(std::env::current_exe().expect("this program has a path"))
            .arg("footprint")
            .env(ORDER, order)
            .output()
            .expect("this program starts again");
        let printed = String::from_utf8_lossy(&child.stdout);
        let each: f64 = printed.trim().parse().expect("the child prints a number");
        report.limit(&format!("loaded in {order} order"), each, "bytes", 150.0);
    }
}

/// In a child process: measures one order, prints the number and says that there is nothing else to do.
pub(crate) fn ran_as_child() -> bool {
    let Some(order) = std::env::var_os(ORDER) else {
        return false;
    };
    let keys = keys(ENTRIES);
    let payload = keys[0].as_bytes().len() + value().len();
    let before = resident_bytes();
    let store = stead_memory::MemoryBackend::default();
    let value = bytes::Bytes::from(value());
    for index in 0..ENTRIES {
        let key = &keys[if order == "shuffled" {
            shuffled(index, ENTRIES)
        } else {
            index
        }];
        block_on(store.put(key.clone(), value.clone())).expect("memory takes it");
    }
    println!(
        "{}",
        (resident_bytes() - before) as f64 / ENTRIES as f64 - payload as f64
    );
    true
}
