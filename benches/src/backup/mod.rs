//! Backups of a store: a checkpoint and a restore beside what a bare map takes for the same, what an increment costs, what
//! reads notice meanwhile, and memory.

mod bare;
mod checkpoint;
mod data;
mod increment;
mod peak;
mod place;
mod reads;

use std::sync::Arc;

use stead_core::Backend;
use stead_memory::{MemoryBackend, MemoryOptions};

use crate::engines::{ENGINES, Settings};
use crate::report::Report;

pub(crate) use peak::ran_as_child;

/// What can be asked for with `--part`.
pub(crate) const PARTS: [&str; 4] = ["checkpoint", "increment", "reads", "peak"];

/// What the goals are stated for.
const GOAL_ENTRIES: f64 = 1e6;

/// Measures what is asked for: all parts unless one is named.
pub(crate) fn run(report: &mut Report, settings: &Settings, part: Option<&str>) {
    let wanted = |name: &str| part.is_none_or(|part| part == name);
    let memory = settings.engine.is_none();
    if wanted("checkpoint") && memory {
        checkpoint::run(report, settings.entries);
    }
    if wanted("increment") {
        each(settings, &|_| true, &mut |name, store| {
            increment::run(report, name, &store, settings.entries);
        });
    }
    if wanted("reads") {
        // One in memory and one on a disk, unless another is asked for.
        let usual = |name: &str| !memory || matches!(name, "memory" | "redb");
        each(settings, &usual, &mut |name, store| {
            reads::run(report, name, &store, settings.entries);
        });
    }
    if wanted("peak") && memory {
        peak::run(report, settings.entries);
    }
}

/// Runs `measure` with an empty store in memory and on each engine, or on the one that was asked for, as far as `wanted` says.
fn each(
    settings: &Settings,
    wanted: &dyn Fn(&str) -> bool,
    measure: &mut dyn FnMut(&'static str, Arc<dyn Backend>),
) {
    if settings.engine.is_none() && wanted("memory") {
        measure("memory", memory());
    }
    let wanted = |name: &str| settings.engine.as_deref().is_none_or(|engine| engine == name) && wanted(name);
    for engine in ENGINES.iter().filter(|engine| wanted(engine.name)) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        measure(engine.name, (engine.stead)(&dir.path().join("store")));
    }
}

/// A store that keeps as many changes as embedded ones do unless told otherwise.
fn memory() -> Arc<dyn Backend> {
    Arc::new(MemoryBackend::new(
        MemoryOptions::default().with_change_retention(100_000),
    ))
}

/// A goal that is stated for a million entries.
fn scaled(goal: f64, entries: usize) -> f64 {
    goal * entries as f64 / GOAL_ENTRIES
}
