//! Every option does what it says.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::Path;

use stead_core::Direction;
use stead_embedded::{Engine, Keyspace, View, WriteSet};
use stead_rocksdb::{Compression, RocksDbConfig, RocksDbEngine};
use support::files;

fn engine(config: &RocksDbConfig) -> RocksDbEngine {
    RocksDbEngine::open(config).unwrap()
}

/// Commits `records` records of a thousand bytes, from the number `first` on. They can be packed to a tenth.
fn write(engine: &RocksDbEngine, first: u32, records: u32) {
    for chunk in (first..first + records).collect::<Vec<_>>().chunks(100) {
        let mut writes = WriteSet::new();
        for n in chunk {
            let text = format!("record {n}: ").repeat(100);
            writes.put(
                Keyspace::Data,
                n.to_be_bytes().to_vec(),
                text.as_bytes()[..1000].to_vec(),
            );
        }
        engine.commit(&writes, false).unwrap();
    }
}

fn read_all(engine: &RocksDbEngine) -> u32 {
    let mut records = 0;
    let view = engine.view().unwrap();
    view.scan(Keyspace::Data, &[], None, Direction::Forward, &mut |_, _| {
        records += 1;
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    records
}

fn number(engine: &RocksDbEngine, property: &str) -> u64 {
    let value = engine.property(Keyspace::Data, property).unwrap().unwrap();
    value.parse().unwrap()
}

fn table_bytes(path: &Path) -> u64 {
    let tables = files(path, |name| name.ends_with(".sst"));
    tables.iter().map(|file| fs::metadata(file).unwrap().len()).sum()
}

#[test]
fn cache_capacity_bounds_the_blocks_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let config = RocksDbConfig::new(dir.path()).with_compression(Compression::None);
    let first = engine(&config);
    write(&first, 0, 4000);
    first.close().unwrap();
    for (capacity, least, most) in [(256 << 10, 1, 256 << 10), (64 << 20, 3_900_000, 64 << 20)] {
        let engine = engine(&config.clone().with_cache_capacity(capacity));
        assert_eq!(read_all(&engine), 4000);
        assert_eq!(number(&engine, "rocksdb.block-cache-capacity"), capacity as u64);
        let usage = number(&engine, "rocksdb.block-cache-usage");
        assert!((least..=most).contains(&usage), "{usage} bytes of {capacity}");
    }
}

#[test]
fn compression_packs_files_and_each_can_be_read_with_another() {
    let dir = tempfile::tempdir().unwrap();
    let mut sizes = Vec::new();
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let path = dir.path().join(compression.as_str());
        let config = RocksDbConfig::new(&path).with_compression(compression);
        let first = engine(&config);
        write(&first, 0, 2000);
        first.close().unwrap();
        sizes.push(table_bytes(&path));
        let other = engine(&RocksDbConfig::new(&path));
        assert_eq!(read_all(&other), 2000);
    }
    assert!(sizes[0] > 2_000_000, "{sizes:?}");
    assert!(sizes[1] < sizes[0] / 4, "{sizes:?}");
    assert!(sizes[2] < sizes[1], "{sizes:?}");
}

#[test]
fn write_buffer_decides_when_files_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let written = |name: &str, size_bytes| {
        let path = dir.path().join(name);
        let engine = engine(&RocksDbConfig::new(&path).with_write_buffer_size(size_bytes));
        write(&engine, 0, 4000);
        engine.check().unwrap();
        table_bytes(&path)
    };
    assert_eq!(
        written("large", 64 << 20),
        0,
        "all of it is in memory and in the log"
    );
    assert!(written("small", 256 << 10) > 100_000);
}

#[cfg(target_os = "linux")]
#[test]
fn max_open_files_bounds_the_tables_that_are_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    // Each round leaves a file that does not overlap the others, so that none is merged away.
    let config = RocksDbConfig::new(&path);
    for round in 0..60 {
        let engine = engine(&config);
        write(&engine, round * 10, 10);
        engine.close().unwrap();
    }
    let tables = files(&path, |name| name.ends_with(".sst")).len();
    let open_tables = |config: &RocksDbConfig| {
        let engine = engine(config);
        assert_eq!(read_all(&engine), 600);
        let root = path.canonicalize().unwrap();
        let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
        let open = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        open.filter(|file| file.starts_with(&root) && file.extension().is_some_and(|end| end == "sst"))
            .count()
    };
    let bounded = open_tables(&config.clone().with_max_open_files(20));
    let unbounded = open_tables(&config);
    assert!(bounded <= 20, "{bounded} of {tables}");
    assert!(bounded < unbounded, "{bounded} and {unbounded} of {tables}");
}

#[test]
fn rocksdb_is_told_what_makes_it_tell() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(&RocksDbConfig::new(dir.path()).with_max_open_files(123));
    let file = files(dir.path(), |name| name.starts_with("OPTIONS-"))
        .pop()
        .unwrap();
    let options = fs::read_to_string(file).unwrap();
    for line in [
        "wal_recovery_mode=kAbsoluteConsistency",
        "track_and_verify_wals_in_manifest=true",
        "track_and_verify_wals=true",
        "max_bgerror_resume_count=0",
        "paranoid_checks=true",
        "best_efforts_recovery=false",
        "recycle_log_file_num=0",
        "max_open_files=123",
        "keep_log_file_num=2",
        "info_log_level=WARN_LEVEL",
    ] {
        assert!(
            options.lines().any(|found| found.trim() == line),
            "{line} in {options}"
        );
    }
    drop(engine);
}
