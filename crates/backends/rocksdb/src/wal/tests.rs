//! Logs as crashes leave them, made by hand.

use super::*;

const BLOCK: usize = 32 << 10;

/// Writes a log file as RocksDB does.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    fn physical(&mut self, kind: u8, payload: &[u8]) {
        let mut covered = vec![kind];
        covered.extend_from_slice(payload);
        self.0.extend(crc32c::masked(&covered).to_le_bytes());
        self.0.extend(u16::try_from(payload.len()).unwrap().to_le_bytes());
        self.0.extend(covered);
    }

    pub(super) fn record(&mut self, payload: &[u8]) {
        let mut left = payload;
        loop {
            let room = BLOCK - self.0.len() % BLOCK;
            if room < 7 {
                self.0.resize(self.0.len() + room, 0);
                continue;
            }
            let (now, later) = left.split_at(left.len().min(room - 7));
            let kind = match (left.len() == payload.len(), later.is_empty()) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            self.physical(kind, now);
            left = later;
            if left.is_empty() {
                return;
            }
        }
    }

    /// A batch with one write of `size` bytes.
    pub(crate) fn batch(mut self, sequence: u64, synced: u64, size: usize) -> Self {
        let mut payload = sequence.to_le_bytes().to_vec();
        payload.extend(1_u32.to_le_bytes());
        payload.extend([3, 8]);
        payload.extend(Mark(synced).encode());
        payload.resize(payload.len() + size, b'x');
        self.record(&payload);
        self
    }

    pub(crate) fn predecessor(mut self, number: u64, size_bytes: usize, last_sequence: u64) -> Self {
        let mut payload = number.to_le_bytes().to_vec();
        payload.extend((size_bytes as u64).to_le_bytes());
        payload.extend(last_sequence.to_le_bytes());
        self.physical(130, &payload);
        self
    }

    fn torn_at(mut self, length: usize) -> Self {
        self.0.truncate(length);
        self
    }

    fn with_byte(mut self, at: usize) -> Self {
        self.0[at] ^= 1;
        self
    }
}

fn new() -> Writer {
    Writer::default()
}

struct Place(tempfile::TempDir);

impl Place {
    fn new(files: &[(u64, &Writer)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (number, writer) in files {
            fs::write(dir.path().join(format!("{number:06}.log")), &writer.0).unwrap();
        }
        Place(dir)
    }

    fn examine(&self, oldest: u64) -> Log {
        examine(self.0.path(), oldest).unwrap()
    }

    fn cuts(&self, lengths: &[(u64, usize)]) -> Log {
        let cut = |(number, length): &(u64, usize)| Cut {
            file: self.0.path().join(format!("{number:06}.log")),
            length: *length,
        };
        Log::Torn(lengths.iter().map(cut).collect())
    }

    fn is_damaged(&self, oldest: u64) -> bool {
        matches!(self.examine(oldest), Log::Damaged { .. })
    }
}

#[test]
fn sound_logs_are_whole_whatever_the_lengths() {
    for size in [
        0, 1, 100, 10_000, 32_720, 32_730, 32_735, 32_738, 32_745, 32_768, 100_000,
    ] {
        let first = new().batch(1, 0, size).batch(2, 1, size).batch(3, 2, 5);
        let second = new()
            .predecessor(4, first.0.len(), 3)
            .batch(4, 3, size)
            .batch(5, 4, size);
        let place = Place::new(&[(4, &first), (6, &second), (9, &new())]);
        assert_eq!(place.examine(0), Log::Whole, "{size}");
    }
    assert_eq!(Place::new(&[]).examine(0), Log::Whole);
}

#[test]
fn end_is_torn_at_every_length_and_cut_behind_the_last_whole_batch() {
    let one = new().batch(1, 0, 40_000).0.len();
    let two = new().batch(1, 0, 40_000).batch(2, 1, 100).0.len();
    for length in (0..two).rev().step_by(97) {
        let log = new().batch(1, 0, 40_000).batch(2, 1, 100).torn_at(length);
        let place = Place::new(&[(4, &log)]);
        let good = if length >= one { one } else { 0 };
        let wanted = if length == good {
            Log::Whole
        } else {
            place.cuts(&[(4, good)])
        };
        assert_eq!(place.examine(0), wanted, "{length}");
    }
}

#[test]
fn batch_behind_a_gap_of_unsynced_ones_goes() {
    let one = new().batch(1, 0, 50).0.len();
    // The third was there before the second, and neither was synced.
    let place = Place::new(&[(4, &new().batch(1, 0, 50).batch(3, 1, 50))]);
    assert_eq!(place.examine(0), place.cuts(&[(4, one)]));
    // A page of zeros in its place.
    let mut log = new().batch(1, 0, 50).batch(2, 1, 50).batch(3, 1, 50);
    log.0[one..2 * one].fill(0);
    let place = Place::new(&[(4, &log)]);
    assert_eq!(place.examine(0), place.cuts(&[(4, one)]));
}

#[test]
fn batch_that_was_written_after_the_sync_bears_witness() {
    let one = new().batch(1, 0, 50).0.len();
    for at in (0..one).step_by(3) {
        let log = || new().batch(1, 0, 50).batch(2, 1, 50);
        assert!(
            Place::new(&[(4, &log().with_byte(at))]).is_damaged(0),
            "first, {at}"
        );
        let log = || new().batch(1, 0, 50).batch(2, 1, 50).batch(3, 2, 50);
        assert!(
            Place::new(&[(4, &log().with_byte(one + at))]).is_damaged(0),
            "second, {at}"
        );
        // Only the first was synced when the third was written.
        let log = || new().batch(1, 0, 50).batch(2, 1, 50).batch(3, 1, 50);
        assert!(
            !Place::new(&[(4, &log().with_byte(one + at))]).is_damaged(0),
            "unsynced, {at}"
        );
        // The witness may be in a later file.
        let (first, second) = (new().batch(1, 0, 50).with_byte(at), new().batch(2, 1, 50));
        assert!(
            Place::new(&[(4, &first), (6, &second)]).is_damaged(0),
            "file, {at}"
        );
    }
}

#[test]
fn first_part_of_a_torn_batch_is_no_witness_against_itself() {
    let log = new().batch(5, 4, 40_000).torn_at(35_000);
    let place = Place::new(&[(4, &log)]);
    assert_eq!(place.examine(0), place.cuts(&[(4, 0)]));
}

#[test]
fn lost_end_of_a_file_takes_the_later_files_along() {
    let (first, second) = (new().batch(1, 0, 50).batch(2, 0, 50), new().batch(3, 0, 50));
    let one = first.0.len() / 2;
    let place = Place::new(&[(4, &first.torn_at(one)), (6, &second), (7, &new())]);
    assert_eq!(place.examine(0), place.cuts(&[(6, 0), (7, 0)]));
}

#[test]
fn file_that_is_missing_is_missed_unless_it_is_not_needed() {
    let (first, third) = (
        new().batch(1, 0, 50),
        new().predecessor(5, 100, 2).batch(3, 0, 50),
    );
    let place = Place::new(&[(4, &first), (6, &third)]);
    assert_eq!(place.examine(0), place.cuts(&[(6, 0)]));
    // RocksDB removes the newest of several first.
    assert_eq!(place.examine(6), Log::Whole);
    assert_eq!(Place::new(&[(6, &third)]).examine(6), Log::Whole);
    let place = Place::new(&[(6, &third)]);
    assert_eq!(place.examine(5), place.cuts(&[(6, 0)]));
    let synced = new().predecessor(5, 100, 2).batch(3, 2, 50);
    assert!(Place::new(&[(4, &first), (6, &synced)]).is_damaged(0));
}

#[test]
fn cutting_leaves_a_whole_log() {
    let (first, second) = (new().batch(1, 0, 50).batch(2, 0, 50), new().batch(3, 0, 50));
    let place = Place::new(&[(4, &first.torn_at(100)), (6, &second)]);
    let Log::Torn(cuts) = place.examine(0) else {
        panic!("torn");
    };
    cut(&cuts).unwrap();
    assert_eq!(place.examine(0), Log::Whole);
}
