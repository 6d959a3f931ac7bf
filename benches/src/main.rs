//! Measures Stead side by side with the bare structures and engines below it, in one run, and prints ratios.
//!
//! Run it with `cargo xtask bench [footprint|index|memory|redb|state]...`; without names everything runs.

mod footprint;
mod index;
mod measure;
mod memory;
mod redb;
mod report;
mod state;

use report::Report;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Bench = (&'static str, fn(&mut Report));

const BENCHES: &[Bench] = &[
    ("footprint", footprint::run),
    ("index", index::run),
    ("memory", memory::run),
    ("redb", redb::run),
    ("state", state::run),
];

fn main() {
    if footprint::ran_as_child() {
        return;
    }
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted
        .iter()
        .find(|name| BENCHES.iter().all(|(known, _)| known != name))
    {
        let known: Vec<_> = BENCHES.iter().map(|(name, _)| *name).collect();
        eprintln!("unknown benchmark {unknown:?}; there are {}", known.join(", "));
        std::process::exit(2);
    }
    let mut report = Report::default();
    for (name, run) in BENCHES {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            run(&mut report);
        }
    }
    report.finish();
}
