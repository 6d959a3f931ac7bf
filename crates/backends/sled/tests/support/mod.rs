//! What the tests know of sled.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    reason = "each test file is a crate that uses the parts that it needs, and a test may panic"
)]

use std::any::Any;
use std::fs;
use std::path::{Path, PathBuf};

use stead_core::{Error, ErrorKind, Strength};
use stead_engine_testing::{Readers, Record, TestedEngine};
use stead_sled::SledConfig;

pub use stead_engine_testing::{copy, key, nth};

pub struct Sled;

pub type Store = stead_engine_testing::Store<Sled>;

pub fn open(path: &Path) -> Result<Store, Error> {
    stead_engine_testing::open::<Sled>(path)
}

/// Writes entries of 100 bytes, so many to a batch.
pub fn fill(store: &Store, entries: usize, batch: usize) {
    stead_engine_testing::fill(&**store, 0..entries, batch);
}

/// A closed store with `entries` entries.
pub fn filled(path: &Path, entries: usize) {
    stead_engine_testing::filled::<Sled>(path, entries);
}

pub fn refused(path: &Path, kind: ErrorKind) -> String {
    stead_engine_testing::refused::<Sled>(path, kind)
}

/// The name of the one snapshot in the directory of a database.
pub fn snapshot(data: &Path) -> String {
    let names = fs::read_dir(data).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.find(|name| name.starts_with("snap.")).unwrap()
}

/// What the segments of our databases are.
pub const SEGMENT_BYTES: usize = 2 << 20;

/// The first byte of the keys of the fence between the records and the parts.
pub const FENCE: u8 = 0x0F;

pub fn bare(place: &Path, segment_bytes: usize) -> sled::Db {
    let config = sled::Config::new().path(place).segment_size(segment_bytes);
    config.open().unwrap()
}

impl TestedEngine for Sled {
    type Config = SledConfig;

    const NAME: &'static str = "sled";
    const DATA: &'static str = "state.sled";
    const READERS: Readers = Readers::None;
    const BUFFERED: Strength = Strength::Volatile;
    const URL_OPTIONS: &'static str = "cache=32MiB&flush_every=10&compression=false";
    const WRONG_URL_OPTIONS: &'static [(&'static str, &'static str)] = &[
        ("flush_every=often", "option=flush_every"),
        ("cache=much", "option=cache"),
        ("compression=zstd", "option=compression"),
    ];
    /// In parts.
    const LARGE_VALUE: Option<usize> = Some(40_000);

    fn config(path: &Path) -> SledConfig {
        SledConfig::new(path).with_cache_capacity(16 << 20)
    }

    fn make_bare(place: &Path) {
        bare(place, SEGMENT_BYTES).insert("k", "v").unwrap();
    }

    fn look_at_bare(place: &Path) {
        let database = bare(place, SEGMENT_BYTES);
        assert_eq!(database.get("k").unwrap().unwrap(), "v");
        assert_eq!(database.len(), 1, "nothing was added");
    }

    fn hold(data: &Path) -> Box<dyn Any> {
        Box::new(bare(data, SEGMENT_BYTES))
    }

    fn cut_making_short(_: &Path) {
        // sled makes its files in any order; that all of them are there is one of the ways.
    }

    fn fixture() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
    }

    /// sled fills up the last segment of its log; the fixture does without.
    fn trim_fixture(store: &Path) {
        let file = store.join(Self::DATA).join("db");
        let mut log = fs::read(&file).unwrap();
        let fill = *log.last().unwrap();
        let used = log.iter().rposition(|byte| *byte != fill).unwrap() + 2;
        log.truncate(used);
        fs::write(file, log).unwrap();
        fs::remove_file(store.join("LOCK")).unwrap();
    }

    fn restore_fixture(fixture: &Path, store: &Path) {
        copy(fixture, store);
        let file = store.join(Self::DATA).join("db");
        let mut log = fs::read(&file).unwrap();
        let fill = *log.last().unwrap();
        log.resize(log.len().next_multiple_of(SEGMENT_BYTES) - 1, fill);
        fs::write(file, log).unwrap();
    }

    fn records(store: &Path) -> Vec<Record> {
        let database = bare(&store.join(Self::DATA), SEGMENT_BYTES);
        let pairs = database.iter().map(|pair| {
            let (key, record) = pair.unwrap();
            (String::new(), key.to_vec(), record.to_vec())
        });
        // The fence came later than the fixture. No reader needs it.
        pairs.filter(|(_, key, _)| key[0] != FENCE).collect()
    }
}
