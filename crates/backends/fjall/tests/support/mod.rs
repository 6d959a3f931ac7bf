//! What the tests know of fjall.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::unwrap_used,
    reason = "each test file is a crate that uses the parts that it needs, and a test may panic"
)]

use std::any::Any;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fjall::{Database, KeyspaceCreateOptions, Readable};
use futures_executor::block_on;
use stead_core::{
    Backend, BackendExt, Direction, Error, ErrorKind, KeyRange, ReadExt, Scan, Strength, WriteBatch,
};
use stead_engine_testing::{Readers, Record, TestedEngine, nth};
use stead_fjall::FjallConfig;

pub use stead_engine_testing::key;

pub struct Fjall;

pub type Store = stead_engine_testing::Store<Fjall>;

pub fn open(path: &Path) -> Result<Store, Error> {
    stead_engine_testing::open::<Fjall>(path)
}

pub fn refused(path: &Path, kind: ErrorKind) -> String {
    stead_engine_testing::refused::<Fjall>(path, kind)
}

/// A closed store with `entries` entries of 100 bytes, a hundred to a batch.
pub fn filled(path: &Path, entries: usize) {
    let store = open(path).unwrap();
    fill(&store, 0..entries);
    block_on(store.close()).unwrap();
}

/// A closed store with `entries` entries in tables and as many in a journal.
pub fn filled_with_tables(path: &Path, entries: usize) {
    filled(path, entries);
    Fjall::age(path);
    let store = open(path).unwrap();
    fill(&store, entries..2 * entries);
    block_on(store.close()).unwrap();
}

fn fill(store: &Store, entries: std::ops::Range<usize>) {
    for chunk in entries.collect::<Vec<_>>().chunks(100) {
        let batch = chunk
            .iter()
            .fold(WriteBatch::new(), |batch, n| batch.put(nth(*n), value(*n)));
        assert!(block_on(store.apply(batch)).unwrap().is_committed());
    }
}

pub fn value(n: usize) -> Vec<u8> {
    format!("{n:0100}").into_bytes()
}

/// Opens, reads everything in each way, checks, writes, and closes. Returns how many entries there are; each that is
/// there must be right.
pub fn read_all_and_write(path: &Path) -> Result<usize, Error> {
    let store = open(path)?;
    let items = block_on(store.collect(&Scan::new(KeyRange::all())))?;
    let mut count = 0;
    for item in &items {
        let Some(n) = item.key.path().strip_prefix(b"k") else {
            continue;
        };
        let n = str::from_utf8(n).unwrap().parse().unwrap();
        assert_eq!(item.entry.as_ref().unwrap().value(), value(n));
        count += 1;
    }
    let found = block_on(store.collect(&Scan::new(KeyRange::all()).direction(Direction::Reverse)))?;
    assert_eq!(found.len(), items.len());
    block_on(store.check(&|_| {}))?;
    block_on(store.put(key("written"), "after"))?;
    block_on(store.close())?;
    Ok(count)
}

/// The files below a directory, as they are; journals without the zeros at their end.
#[derive(Clone, PartialEq, Eq)]
pub struct Image(pub BTreeMap<PathBuf, Vec<u8>>);

impl Image {
    pub fn of(path: &Path) -> Self {
        let mut files = BTreeMap::new();
        collect(path, path, &mut files);
        Image(files)
    }

    /// Makes `path` hold these files and no others.
    pub fn write(&self, path: &Path) {
        if path.exists() {
            fs::remove_dir_all(path).unwrap();
        }
        for (name, bytes) in &self.0 {
            let file = path.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        }
    }

    pub fn with(&self, name: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut image = self.clone();
        change(image.0.get_mut(name).unwrap());
        image
    }

    pub fn without(&self, name: &Path) -> Self {
        let mut image = self.clone();
        image.0.remove(name).unwrap();
        image
    }

    pub fn journals(&self) -> Vec<PathBuf> {
        let is_journal = |name: &&PathBuf| name.extension().is_some_and(|suffix| suffix == "jnl");
        self.0.keys().filter(is_journal).cloned().collect()
    }
}

fn collect(root: &Path, path: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        if path.extension().is_some_and(|suffix| suffix == "jnl") {
            while bytes.last_chunk() == Some(&[0; 4096]) {
                bytes.truncate(bytes.len() - 4096);
            }
            while bytes.last() == Some(&0) {
                bytes.pop();
            }
        }
        files.insert(path.strip_prefix(root).unwrap().to_owned(), bytes);
    }
}

/// fjall's keyspaces.
const SPACES: [&str; 6] = ["data", "expiry", "changes", "meta", "history", "marks"];

pub fn bare(place: &Path) -> Database {
    Database::builder(place).open().unwrap()
}

pub fn keyspace(database: &Database, name: &str) -> fjall::Keyspace {
    database.keyspace(name, KeyspaceCreateOptions::default).unwrap()
}

impl TestedEngine for Fjall {
    type Config = FjallConfig;

    const NAME: &'static str = "fjall";
    const DATA: &'static str = "state.fjall";
    const READERS: Readers = Readers::One;
    const BUFFERED: Strength = Strength::ProcessCrash;
    const URL_OPTIONS: &'static str = "cache=1MiB&compression=none&write_buffer=2MiB&journal=64MiB";
    const WRONG_URL_OPTIONS: &'static [(&'static str, &'static str)] = &[
        ("compression=zstd", "none or lz4"),
        ("write_buffer=much", "option=write_buffer"),
        ("journal=-1", "option=journal"),
    ];

    fn config(path: &Path) -> FjallConfig {
        FjallConfig::new(path).with_cache_bytes(16 << 20)
    }

    fn make_bare(place: &Path) {
        // As many keyspaces as ours have, and more than one is needed to tell.
        let database = bare(place);
        for number in 0..6 {
            let keyspace = keyspace(&database, &format!("other{number}"));
            keyspace.insert("k", "v").unwrap();
        }
    }

    fn look_at_bare(place: &Path) {
        let database = bare(place);
        assert_eq!(database.keyspace_count(), 6, "nothing was added");
        let keyspace = keyspace(&database, "other5");
        assert_eq!(keyspace.get("k").unwrap().as_deref(), Some(&b"v"[..]));
    }

    fn hold(data: &Path) -> Box<dyn Any> {
        Box::new(bare(data))
    }

    fn cut_making_short(data: &Path) {
        fs::remove_dir_all(data.join("keyspaces/4")).unwrap();
    }

    /// Writes what is in journals to tables.
    fn age(store: &Path) {
        fs::remove_file(store.join("CLOSED")).unwrap();
        let database = bare(&store.join(Self::DATA));
        for name in SPACES {
            keyspace(&database, name).rotate_memtable_and_wait().unwrap();
        }
        drop(database);
        for space in ["1", "2", "3", "4", "6"] {
            let tables = store
                .join(Self::DATA)
                .join("keyspaces")
                .join(space)
                .join("tables");
            let any = fs::read_dir(tables).unwrap().next().is_some();
            assert!(any || space == "2", "there is a table in {space}");
        }
    }

    fn fixture() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
    }

    fn records(store: &Path) -> Vec<Record> {
        let database = bare(&store.join(Self::DATA));
        let snapshot = database.snapshot();
        let mut records = Vec::new();
        for name in SPACES {
            for record in snapshot.iter(&keyspace(&database, name)) {
                let (key, value) = record.into_inner().unwrap();
                records.push((name.to_owned(), key.to_vec(), value.to_vec()));
            }
        }
        records
    }
}
