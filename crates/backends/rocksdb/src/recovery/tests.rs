//! What RocksDB leaves when it goes on behind a write that failed, made by hand: a disk that is full at the right instant,
//! and has room before the store is closed, cannot be had by asking.

use std::fs;
use std::path::PathBuf;

use rocksdb::{WriteBatch, WriteOptions};
use stead_core::ErrorKind;
use stead_embedded::{Engine, View, WriteSet};

use super::*;
use crate::RocksDbEngine;
use crate::wal::Mark;
use crate::wal::tests::Writer;

/// So many bytes the value of the last batch has.
const LAST: usize = 20_000;

/// A store that was open when the process ended: RocksDB had begun a second log file, and moved one column family out of
/// the first.
struct Left {
    dir: tempfile::TempDir,
    /// The first log file and its length before the last batch and behind it.
    log: PathBuf,
    ends: [usize; 2],
    /// The second one.
    next: PathBuf,
}

impl Left {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = RocksDbConfig::new(dir.path());
        RocksDbEngine::open(&config).unwrap().close().unwrap();
        let directory = StoreDirectory::new(dir.path(), "rocksdb", "state.rocksdb");
        let db = open_writable(&config, &directory, &SessionFile::new(dir.path())).unwrap();
        let log = logs(&directory.data()).pop().unwrap();
        let mut durable = WriteOptions::default();
        durable.set_sync(true);
        let mut ends = [0; 2];
        let sizes = [
            (Keyspace::Data, "first", 10),
            (Keyspace::Meta, "second", 10),
            (Keyspace::Meta, "last", LAST),
        ];
        for (space, name, size) in sizes {
            let mut batch = WriteBatch::default();
            batch.put_log_data(Mark(0).encode());
            batch.put_cf(db.cf_handle(space.as_str()).unwrap(), name, vec![b'x'; size]);
            db.write_opt(batch, &durable).unwrap();
            ends = [ends[1], fs::read(&log).unwrap().len()];
        }
        db.flush_cf(db.cf_handle(Keyspace::Data.as_str()).unwrap())
            .unwrap();
        drop(db);
        let next = logs(&directory.data()).pop().unwrap();
        assert_ne!(next, log, "a second log file was begun");
        Left { dir, log, ends, next }
    }

    /// The sequence number of a batch, counted from the last one backwards.
    fn sequence(&self, back: u64) -> u64 {
        let next = fs::read(&self.next).unwrap();
        u64::from_le_bytes(next[23..31].try_into().unwrap()) - back
    }

    /// What a batch that was to follow on `good` bytes of the first file adds to it, as far as `length` bytes of it.
    fn begun_batch(&self, good: usize, sequence: u64, length: usize) -> Vec<u8> {
        let mut log = Writer(fs::read(&self.log).unwrap()[..good].to_vec());
        log = log.batch(sequence, 0, 100_000);
        log.0[good..good + length].to_vec()
    }

    /// The second file says that the first is so long, and that this is its last batch.
    fn tell(&self, length: usize, last_sequence: u64) {
        let number = self.log.file_stem().unwrap().to_str().unwrap();
        let told = Writer::default().predecessor(number.parse().unwrap(), length, last_sequence);
        fs::write(&self.next, &told.0).unwrap();
    }

    fn set_log(&self, good: usize, behind: &[u8]) {
        let log = fs::read(&self.log).unwrap();
        fs::write(&self.log, [&log[..good], behind].concat()).unwrap();
    }

    /// Opens the store again and again: what was acknowledged is there, and what is written next stays.
    fn opens(&self, last_is_there: bool, what: &str) {
        let config = RocksDbConfig::new(self.dir.path());
        let error = RocksDbEngine::open(&config.clone().read_only()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{what}: {error}");
        for round in 0..3_u8 {
            let engine = RocksDbEngine::open(&config).unwrap_or_else(|error| panic!("{what}: {error:?}"));
            engine.check().unwrap();
            let view = engine.view().unwrap();
            let there = |space, key: &str| view.get(space, key.as_bytes(), &mut |_| {}).unwrap();
            assert!(there(Keyspace::Data, "first"), "{what}");
            assert!(there(Keyspace::Meta, "second"), "{what}");
            assert_eq!(there(Keyspace::Meta, "last"), last_is_there, "{what}");
            assert_eq!(there(Keyspace::Data, "next"), round > 0, "{what}");
            let mut writes = WriteSet::new();
            writes.put(Keyspace::Data, b"next".to_vec(), vec![round]);
            engine.commit(&writes, true).unwrap();
            drop(view);
            if round == 1 {
                engine.close().unwrap();
            }
        }
    }
}

fn logs(data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let mut logs: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .collect();
    logs.sort();
    logs
}

#[test]
fn store_opens_when_nothing_was_written_of_the_batch_that_failed() {
    let left = Left::new();
    left.tell(left.ends[1] + 307, left.sequence(0));
    left.opens(true, "nothing");
}

#[test]
fn store_opens_when_a_part_of_the_batch_that_failed_was_written() {
    for written in [1, 6, 7, 8, 100, 13_000, 40_000] {
        let left = Left::new();
        let (end, last) = (left.ends[1], left.sequence(0));
        left.set_log(end, &left.begun_batch(end, last + 1, written));
        left.tell(end + 100_000, last);
        left.opens(true, &format!("{written} bytes"));
    }
}

#[test]
fn store_opens_when_the_part_was_counted_as_synced() {
    let left = Left::new();
    let [good, end] = left.ends;
    // RocksDB wrote down that the first file is synced up to the end of its last batch: that is now no whole one.
    left.set_log(good, &left.begun_batch(good, left.sequence(0), end - good));
    left.tell(end + 100_000, left.sequence(1));
    left.opens(false, "synced");
}

#[test]
fn interrupted_mending_is_finished_by_the_next_opening() {
    let left = Left::new();
    let [good, end] = left.ends;
    let failed = left.begun_batch(good, left.sequence(0), end - good);
    left.set_log(good, &failed);
    left.tell(end + 100_000, left.sequence(1));
    let data = left.log.parent().unwrap();
    let examine = || wal::examine(data, 0).unwrap();
    let told = fs::read(&left.next).unwrap();
    let Log::Abandoned(abandoned) = examine() else {
        panic!("abandoned");
    };
    abandoned.mend().unwrap();
    assert_eq!(examine(), Log::Whole);
    // The zeros were written, the length not yet.
    fs::write(&left.next, &told).unwrap();
    assert!(matches!(examine(), Log::Abandoned(_)));
    // Only some of the zeros.
    left.set_log(good, &[&[0; 10][..], &failed[10..]].concat());
    assert!(matches!(examine(), Log::Abandoned(_)));
    left.opens(false, "interrupted");
}

#[test]
fn damage_to_the_last_batch_is_told_when_the_file_behind_it_names_it() {
    for at in [0, 5, 6, 30, LAST] {
        let left = Left::new();
        let mut log = fs::read(&left.log).unwrap();
        log[left.ends[0] + at] ^= 1;
        fs::write(&left.log, &log).unwrap();
        let error = RocksDbEngine::open(&RocksDbConfig::new(left.dir.path()))
            .err()
            .unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}: {error}");
        assert_eq!(
            fs::read(&left.log).unwrap(),
            log,
            "what is damaged is left as it is"
        );
    }
}
