//! What the tests know of redb.

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

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use stead_core::{Error, ErrorKind, Strength};
use stead_engine_testing::{Readers, Record, TestedEngine};
use stead_redb::RedbConfig;

pub use stead_engine_testing::key;

pub struct Redb;

pub type Store = stead_engine_testing::Store<Redb>;

pub fn open(path: &Path) -> Result<Store, Error> {
    stead_engine_testing::open::<Redb>(path)
}

pub fn filled(path: &Path, entries: usize) {
    stead_engine_testing::filled::<Redb>(path, entries);
}

pub fn refused(path: &Path, kind: ErrorKind) -> String {
    stead_engine_testing::refused::<Redb>(path, kind)
}

const BARE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("data");

impl TestedEngine for Redb {
    type Config = RedbConfig;

    const NAME: &'static str = "redb";
    const DATA: &'static str = "state.redb";
    const READERS: Readers = Readers::Many;
    const VIEWS_ANSWER_FROM_MEMORY: bool = true;
    const BUFFERED: Strength = Strength::Volatile;
    const URL_OPTIONS: &'static str = "cache=1MiB";
    const WRONG_URL_OPTIONS: &'static [(&'static str, &'static str)] = &[("cache=much", "option=cache")];

    fn config(path: &Path) -> RedbConfig {
        RedbConfig::new(path).with_cache_bytes(16 << 20)
    }

    fn make_bare(place: &Path) {
        let database = Database::create(place).unwrap();
        let write = database.begin_write().unwrap();
        write
            .open_table(BARE)
            .unwrap()
            .insert(&b"k"[..], &b"v"[..])
            .unwrap();
        write.commit().unwrap();
    }

    fn look_at_bare(place: &Path) {
        let database = Database::open(place).unwrap();
        let read = database.begin_read().unwrap();
        assert_eq!(read.list_tables().unwrap().count(), 1, "nothing was added");
        assert!(read.open_table(BARE).unwrap().get(&b"k"[..]).unwrap().is_some());
    }

    fn bare_in(parent: &Path) -> PathBuf {
        parent.join("my.redb")
    }

    fn hold(data: &Path) -> Box<dyn Any> {
        Box::new(Database::open(data).unwrap())
    }

    fn cut_making_short(data: &Path) {
        // Before redb has written its magic number.
        fs::write(data, vec![0; 8192]).unwrap();
    }

    fn fixture() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
    }

    fn trim_fixture(store: &Path) {
        fs::remove_file(store.join("LOCK")).unwrap();
    }

    fn records(store: &Path) -> Vec<Record> {
        let database = redb::ReadOnlyDatabase::open(store.join(Self::DATA)).unwrap();
        let read = database.begin_read().unwrap();
        let mut records = Vec::new();
        for name in ["data", "expiry", "changes", "meta", "history"] {
            let definition = TableDefinition::<&[u8], &[u8]>::new(name);
            let table = read.open_table(definition).unwrap();
            for record in ReadableTable::iter(&table).unwrap() {
                let (key, value) = record.unwrap();
                records.push((name.to_owned(), key.value().to_vec(), value.value().to_vec()));
            }
        }
        records
    }
}
