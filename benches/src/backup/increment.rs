//! What an increment costs beside a full backup.

use std::sync::Arc;

use futures_executor::block_on;
use stead_backup::{BackupKind, BackupType};
use stead_core::Backend;

use super::data;
use super::place::{Place, back_up, runtime};
use crate::measure::{Pair, median};
use crate::report::Report;

const ROUNDS: usize = 5;
/// Increments behind each full backup, one upon the other: they are short, and what syncs take wanders.
const INCREMENTS: usize = 3;

/// Measures increments of one in a hundred entries of `store`, which is empty. One manager makes them all, as in a program that
/// makes them now and then.
pub(super) fn run(report: &mut Report, name: &str, store: &Arc<dyn Backend>, entries: usize) {
    report.section_of(
        &format!("{name}: an increment of 1 % of {entries} entries, and a full backup"),
        ["increment", "full"],
    );
    let runtime = runtime();
    data::load(store, entries, data::VALUE_BYTES);
    let (mut times, mut sizes) = (Vec::new(), Vec::new());
    // The first round is not counted.
    for round in 0..=ROUNDS {
        let place = Place::new(&runtime);
        let manager = place.manager(store);
        let (_, full) = back_up(&runtime, &manager, BackupType::Full);
        let full_bytes = place.bytes();
        let mut bytes = full_bytes;
        for increment in 1..=INCREMENTS {
            let changed = data::change(store, entries, round * INCREMENTS + increment);
            let (made, part) = back_up(&runtime, &manager, BackupType::IncrementalFromNewest);
            assert_eq!(
                (made.kind, made.counts.entries),
                (BackupKind::Incremental, changed as u64)
            );
            let before = std::mem::replace(&mut bytes, place.bytes());
            if round > 0 {
                times.push((part, full));
                sizes.push((bytes - before) as f64 / full_bytes as f64);
            }
        }
    }
    let time = Pair::of(&times);
    report.compare("time", time);
    report.limit("time, part of the full one's", time.ratio * 100.0, "%", 3.0);
    report.limit("bytes, part of the full one's", median(sizes) * 100.0, "%", 2.0);
    block_on(store.close()).expect("it closes");
}
