//! Resident memory, measured in a process of its own: what an earlier measurement gave back would be found again.

use std::process::Command;

use super::space::{BATCH, shuffled_keys};
use super::{ByHand, ENGINES, Engine, Stead};
use crate::process;
use crate::workload::shuffled;

/// Set for the child process: engine, side and number of entries.
const CHILD: &str = "STEAD_BENCH_RESIDENT";

/// Which side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Stead,
    Bare,
}

/// What a store takes of memory beyond the keys that the program holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resident {
    pub(super) now_bytes: u64,
    pub(super) peak_bytes: u64,
}

/// Starts a child process that loads a store and reads every entry once.
pub(super) fn of_child(engine: &Engine, side: Side, entries: usize) -> Resident {
    let side = match side {
        Side::Stead => "stead",
        Side::Bare => "bare",
    };
    let program = std::env::current_exe().expect("this program has a path");
    let child = Command::new(program)
        .env(CHILD, format!("{} {side} {entries}", engine.name))
        .output()
        .expect("this program starts again");
    let printed = String::from_utf8_lossy(&child.stdout);
    let numbers: Vec<u64> = printed
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let [now_bytes, peak_bytes] = numbers[..] else {
        panic!("the child prints two numbers: {child:?}");
    };
    Resident {
        now_bytes,
        peak_bytes,
    }
}

/// In a child process: measures, prints the numbers and says that there is nothing else to do.
pub(crate) fn ran_as_child() -> bool {
    let Ok(asked) = std::env::var(CHILD) else {
        return false;
    };
    let words: Vec<&str> = asked.split_whitespace().collect();
    let [name, side, entries] = words[..] else {
        panic!("{CHILD} names an engine, a side and a number");
    };
    let engine = ENGINES
        .iter()
        .find(|engine| engine.name == name)
        .expect("a known engine");
    let keys = shuffled_keys(entries.parse().expect("a number of entries"));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let before = process::resident_bytes();
    let after = if side == "stead" {
        let stead = Stead::open(engine, &dir.path().join("store"));
        stead.load(&keys, BATCH);
        for index in 0..keys.len() {
            assert!(stead.get(&keys[shuffled(index, keys.len())]).is_some());
        }
        let after = (process::resident_bytes(), process::peak_bytes());
        stead.close();
        after
    } else {
        let bare = ByHand::open(engine, &dir.path().join("store"));
        bare.load(&keys, BATCH);
        for index in 0..keys.len() {
            let key = &keys[shuffled(index, keys.len())];
            assert!(bare.engine().get(key.as_bytes()).is_some());
        }
        let after = (process::resident_bytes(), process::peak_bytes());
        bare.close();
        after
    };
    println!(
        "{} {}",
        after.0.saturating_sub(before),
        after.1.saturating_sub(before)
    );
    true
}
