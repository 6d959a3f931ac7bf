//! A full checkpoint of a store in memory, and a restore into one, beside a bare map.

use stead_backup::{BackupType, RestoreOptions, RestorePoint};
use stead_core::SystemClock;

use super::bare::{self, BareMap, Care};
use super::place::{Place, back_up, bytes_below, runtime};
use super::{data, memory, scaled};
use crate::measure::{Pair, Stopwatch, median, samples};
use crate::report::Report;

const ROUNDS: usize = 9;
const MEGABYTE: f64 = 1e6;

pub(super) fn run(report: &mut Report, entries: usize) {
    report.section(&format!(
        "memory: backups of {entries} entries of {} bytes of JSON; bare: a B-tree map, two threads, the same steps by hand",
        data::VALUE_BYTES
    ));
    let runtime = runtime();
    let map = BareMap::filled(entries);
    let store = memory();
    data::load(&store, entries, data::VALUE_BYTES);

    let (mut on_disk, mut bare_on_disk) = (0, 0);
    let mut checkpoints = |care| {
        samples(
            ROUNDS,
            &mut || {
                let place = Place::new(&runtime);
                let (_, nanos) = back_up(&runtime, &place.manager(&store), BackupType::Full);
                on_disk = place.bytes();
                nanos
            },
            &mut || {
                let dir = tempfile::tempdir().expect("a temporary directory");
                let watch = Stopwatch::start();
                map.checkpoint(dir.path(), care);
                let nanos = watch.nanos();
                bare_on_disk = bytes_below(dir.path());
                nanos
            },
        )
    };
    let (plain, careful) = (checkpoints(Care::None), checkpoints(Care::Taken));
    times(report, "full checkpoint", &plain, scaled(500.0, entries));
    report.compare(
        "full checkpoint / a bare map's, each value hashed",
        Pair::of(&careful),
    );
    report.limit(
        "full checkpoint: on disk",
        on_disk as f64 / MEGABYTE,
        "MB",
        scaled(30.0, entries),
    );
    report.figure("the bare map's: on disk", bare_on_disk as f64 / MEGABYTE, "MB");

    let place = Place::new(&runtime);
    let (full, _) = back_up(&runtime, &place.manager(&store), BackupType::Full);
    let dir = tempfile::tempdir().expect("a temporary directory");
    map.checkpoint(dir.path(), Care::Taken);
    drop((map, store));
    let restores = |care| {
        samples(
            ROUNDS,
            &mut || {
                let target = memory();
                let options = RestoreOptions::new(RestorePoint::Backup(full.id));
                let watch = Stopwatch::start();
                let restored = runtime.block_on(place.repository.restore(&target, &options, &SystemClock));
                let nanos = watch.nanos();
                assert_eq!(restored.expect("it is restored").entries, entries as u64);
                nanos
            },
            &mut || {
                let watch = Stopwatch::start();
                let map = bare::restore(dir.path(), care);
                let nanos = watch.nanos();
                assert_eq!(map.len(), entries);
                nanos
            },
        )
    };
    let (plain, careful) = (restores(Care::None), restores(Care::Taken));
    times(report, "restore", &plain, scaled(700.0, entries));
    report.compare(
        "restore / a bare map's, checked before and compared after",
        Pair::of(&careful),
    );
}

/// Both sides, and ours by itself.
fn times(report: &mut Report, what: &str, samples: &[(f64, f64)], goal_ms: f64) {
    report.at_most(
        &format!("{what} / the same of a bare map"),
        Pair::of(samples),
        1.5,
    );
    let least = |side: fn(&(f64, f64)) -> f64| samples.iter().map(side).fold(f64::INFINITY, f64::min);
    let (ours, bare) = (least(|sample| sample.0), least(|sample| sample.1));
    let fastest = Pair {
        ours_ns: ours,
        bare_ns: bare,
        ratio: ours / bare,
    };
    report.compare("the same, the fastest round of each side", fastest);
    let middle = median(samples.iter().map(|sample| sample.0).collect());
    report.limit(&format!("{what}: median"), middle / 1e6, "ms", goal_ms);
}
