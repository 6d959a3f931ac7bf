//! What the tests know of RocksDB.

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

use rocksdb::{DB, IteratorMode, Options};
use stead_core::{Error, ErrorKind, Strength};
use stead_engine_testing::{Readers, Record, TestedEngine};
use stead_rocksdb::RocksDbConfig;

pub use stead_engine_testing::{copy, key};

pub struct RocksDb;

pub type Store = stead_engine_testing::Store<RocksDb>;

pub fn config(path: &Path) -> RocksDbConfig {
    RocksDb::config(path)
}

pub fn open(path: &Path) -> Result<Store, Error> {
    stead_engine_testing::open::<RocksDb>(path)
}

pub fn open_read_only(path: &Path) -> Result<Store, Error> {
    stead_engine_testing::open_read_only::<RocksDb>(path)
}

/// Writes `entries` entries, a thousand in a batch.
pub fn fill(store: &Store, entries: usize) {
    stead_engine_testing::fill(&**store, 0..entries, 1000);
}

/// A closed store with `entries` entries.
pub fn filled(path: &Path, entries: usize) {
    stead_engine_testing::filled::<RocksDb>(path, entries);
}

/// Opening fails with this kind, and the path is named.
pub fn refused(path: &Path, kind: ErrorKind) -> String {
    stead_engine_testing::refused::<RocksDb>(path, kind)
}

/// The files of the database whose name fits, in order.
pub fn files(path: &Path, fits: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(path.join("state.rocksdb")).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|file| fits(file.file_name().unwrap().to_str().unwrap()))
        .collect();
    files.sort_unstable();
    files
}

/// Opens the data of one of our stores.
fn bare(data: &Path) -> DB {
    let mut options = Options::default();
    options.set_track_and_verify_wals_in_manifest(true);
    let families = DB::list_cf(&options, data).unwrap();
    DB::open_cf(&options, data, families).unwrap()
}

impl TestedEngine for RocksDb {
    type Config = RocksDbConfig;

    const NAME: &'static str = "rocksdb";
    const DATA: &'static str = "state.rocksdb";
    const READERS: Readers = Readers::Many;
    const READS_UNCLOSED: bool = true;
    const BUFFERED: Strength = Strength::ProcessCrash;
    const URL_OPTIONS: &'static str = "cache=1MiB&compression=zstd&max_open_files=100&write_buffer=1MiB";
    const WRONG_URL_OPTIONS: &'static [(&'static str, &'static str)] = &[
        ("compression=snappy", "none, lz4 or zstd"),
        ("max_open_files=many", "option=max_open_files"),
        ("write_buffer=-1", "option=write_buffer"),
    ];
    const TEXTS: &'static [&'static str] = &["STEAD", "SESSION"];

    fn config(path: &Path) -> RocksDbConfig {
        RocksDbConfig::new(path).with_cache_capacity(8 << 20)
    }

    fn make_bare(place: &Path) {
        let mut options = Options::default();
        options.create_if_missing(true);
        DB::open(&options, place).unwrap().put("k", "v").unwrap();
    }

    fn look_at_bare(place: &Path) {
        let families = DB::list_cf(&Options::default(), place).unwrap();
        assert_eq!(families, ["default"], "nothing was added");
        let database = DB::open_default(place).unwrap();
        assert_eq!(database.get("k").unwrap().unwrap(), b"v");
    }

    fn hold(data: &Path) -> Box<dyn Any> {
        Box::new(bare(data))
    }

    fn cut_making_short(data: &Path) {
        fs::remove_file(data.join("CURRENT")).unwrap();
    }

    fn fixture() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
    }

    /// What only tells how RocksDB did is no part of the format, nor are the locks.
    fn trim_fixture(store: &Path) {
        for file in ["LOCK", "state.rocksdb/LOCK", "state.rocksdb/LOG"] {
            fs::remove_file(store.join(file)).unwrap();
        }
    }

    fn records(store: &Path) -> Vec<Record> {
        let data = store.join(Self::DATA);
        let names = DB::list_cf(&Options::default(), &data).unwrap();
        assert_eq!(names, ["default", "data", "expiry", "changes", "meta", "history"]);
        let database = bare(&data);
        let mut records = Vec::new();
        for name in names {
            let family = database.cf_handle(&name).unwrap();
            for record in database.full_iterator_cf(family, IteratorMode::Start) {
                let (key, value) = record.unwrap();
                records.push((name.clone(), key.to_vec(), value.to_vec()));
            }
        }
        records
    }
}
