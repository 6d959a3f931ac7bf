//! Bytes on disk and in memory.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use stead_core::Key;

use super::resident::{self, Resident, Side};
use super::results::{Row, What};
use super::run::Settings;
use super::{ByHand, Engine, Stead};
use crate::workload::{keys, shuffled};

/// The entries of a batch, which come in no order.
pub(super) const BATCH: usize = 100;

/// The keys in no order.
pub(super) fn shuffled_keys(entries: usize) -> Vec<Key> {
    let keys = keys(entries);
    (0..entries)
        .map(|index| keys[shuffled(index, entries)].clone())
        .collect()
}

/// Measures the disk and the memory that a load of `engine` takes, and hands each row to `done`.
pub(super) fn measure(engine: &Engine, settings: &Settings, done: &mut dyn FnMut(Row)) {
    let entries = settings.space_entries();
    let mut row = |what, stead: u64, bare: u64| {
        done(Row {
            engine: engine.name,
            what,
            stead: stead as f64,
            bare: bare as f64,
            ratio: stead as f64 / bare as f64,
        });
    };
    let keys = shuffled_keys(entries);
    let ours = disk(|path, loads| load_stead(engine, path, &keys, loads));
    let bare = disk(|path, loads| load_bare(engine, path, &keys, loads));
    row(What::DiskLoaded, ours.0, bare.0);
    row(What::DiskOverwritten, ours.1, bare.1);
    drop(keys);
    let [ours, bare]: [Resident; 2] =
        [Side::Stead, Side::Bare].map(|side| resident::of_child(engine, side, entries));
    row(What::Resident, ours.now_bytes, bare.now_bytes);
    row(What::ResidentPeak, ours.peak_bytes, bare.peak_bytes);
}

fn load_stead(engine: &Engine, path: &Path, keys: &[Key], loads: usize) {
    let stead = Stead::open(engine, path);
    for _ in 0..loads {
        stead.load(keys, BATCH);
    }
    stead.close();
}

fn load_bare(engine: &Engine, path: &Path, keys: &[Key], loads: usize) {
    let bare = ByHand::open(engine, path);
    for _ in 0..loads {
        bare.load(keys, BATCH);
    }
    bare.close();
}

/// What is on disk after one load and after three more, each time after a clean close.
fn disk(load: impl Fn(&Path, usize)) -> (u64, u64) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("store");
    load(&path, 1);
    let loaded = allocated(&path);
    load(&path, 3);
    (loaded, allocated(&path))
}

/// The bytes that the file system has given to everything below `path`: files made long in advance do not count for
/// what is not written.
fn allocated(path: &Path) -> u64 {
    const BLOCK_BYTES: u64 = 512;
    let metadata = std::fs::symlink_metadata(path).expect("it is there");
    let own = metadata.blocks() * BLOCK_BYTES;
    if !metadata.is_dir() {
        return own;
    }
    let entries = std::fs::read_dir(path).expect("a directory");
    let below = entries.map(|entry| allocated(&entry.expect("it is readable").path()));
    own + below.sum::<u64>()
}
