//! Records: what a backup holds of each key, many to a chunk.
//!
//! The content of a chunk of records is columns, one after the other, each with a value for every record in the order of
//! keys. Numbers are of variable length (`varint.rs`).
//!
//! ```text
//! count       how many records
//! keys        bytes shared with the key before, bytes that follow, these bytes
//! revisions   difference to the revision before (to 0 for the first), zigzag
//! first       only in increments: the revision less that of the key's first change in the increment
//! deadlines   0 for none, else 1 and the difference to the deadline before (to 0), zigzag
//! values      0 deleted, 1 expired, else 2 + the length of the value
//! bytes       the values, one after the other
//! ```

mod rows;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use stead_core::{Entry, Key, Revision, Timestamp};

use crate::hash::Hash;
use crate::varint::{self, zigzag};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use rows::decode;
pub(crate) use rows::{Cell, Row, Rows, Table};

/// What there is under a key.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    /// As it was read from a store.
    Entry(Entry),
    /// As it was read from a backup.
    Value(Bytes),
    Deleted,
    Expired,
}

impl Payload {
    /// The value, unless there is none any more.
    pub(crate) fn value(&self) -> Option<&[u8]> {
        match self {
            Payload::Entry(entry) => Some(entry.value()),
            Payload::Value(bytes) => Some(bytes),
            Payload::Deleted | Payload::Expired => None,
        }
    }
}

/// One key of a backup.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) key: Key,
    /// Of the entry, or of its removal.
    pub(crate) revision: Revision,
    /// Of the key's first change in an increment; that of the entry in a full backup.
    pub(crate) first: Revision,
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) payload: Payload,
}

impl Record {
    /// What an entry of a store becomes.
    pub(crate) fn of(key: Key, entry: Entry) -> Self {
        Record {
            key,
            revision: entry.revision(),
            first: entry.revision(),
            deadline: entry.deadline(),
            payload: Payload::Entry(entry),
        }
    }

    /// What the record says, where it lies.
    pub(crate) fn row(&self) -> Row<'_> {
        Row {
            key: self.key.as_bytes(),
            revision: self.revision,
            first: self.first,
            deadline: self.deadline,
            cell: match &self.payload {
                Payload::Entry(entry) => Cell::Value(entry.value()),
                Payload::Value(bytes) => Cell::Value(bytes),
                Payload::Deleted => Cell::Deleted,
                Payload::Expired => Cell::Expired,
            },
        }
    }

    /// Gives the value memory of its own. As a part of a chunk's content it keeps all of that in memory, which is too much for
    /// a few values of many chunks.
    pub(crate) fn detach(&mut self) {
        if let Payload::Value(value) = &mut self.payload {
            *value = Bytes::copy_from_slice(value);
        }
    }

    /// Bytes of the key and the value.
    pub(crate) fn logical_bytes(&self) -> usize {
        self.key.as_bytes().len() + self.payload.value().map_or(0, <[u8]>::len)
    }

    /// What the record counts for where chunks are cut.
    pub(crate) fn weight(&self) -> usize {
        self.logical_bytes() + RECORD_WEIGHT
    }
}

/// Whether the records are those of an increment, which have a revision more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Full,
    Increment,
}

/// Adds to `out` the content of a chunk with `records`, which are in the order of their keys.
pub(crate) fn encode(records: &[Record], shape: Shape, out: &mut Vec<u8>) {
    let weight: usize = records.iter().map(Record::weight).sum();
    out.reserve(weight + 16);
    varint::put(out, records.len() as u64);
    let mut before: &[u8] = &[];
    for record in records {
        let key = record.key.as_bytes();
        let shared = before
            .iter()
            .zip(key)
            .take_while(|(one, other)| one == other)
            .count();
        varint::put(out, shared as u64);
        varint::put(out, (key.len() - shared) as u64);
        out.extend_from_slice(&key[shared..]);
        before = key;
    }
    let mut revision = 0;
    for record in records {
        let this = record.revision.get();
        varint::put(out, zigzag(this.wrapping_sub(revision).cast_signed()));
        revision = this;
    }
    if shape == Shape::Increment {
        for record in records {
            varint::put(out, record.revision.get() - record.first.get());
        }
    }
    let mut deadline = 0;
    for record in records {
        match record.deadline.map(Timestamp::as_millis) {
            None => varint::put(out, 0),
            Some(this) => {
                varint::put(out, 1);
                varint::put(out, zigzag(this.wrapping_sub(deadline).cast_signed()));
                deadline = this;
            }
        }
    }
    for record in records {
        let tag = match &record.payload {
            Payload::Deleted => 0,
            Payload::Expired => 1,
            Payload::Entry(entry) => entry.value().len() as u64 + 2,
            Payload::Value(bytes) => bytes.len() as u64 + 2,
        };
        varint::put(out, tag);
    }
    for record in records {
        out.extend_from_slice(record.payload.value().unwrap_or_default());
    }
}

/// The hash of what records say, whatever way they are encoded: the leaf of a backup's Merkle tree.
///
/// SHA-256 over the byte 0 and, for each record, its kind (0 deleted, 1 expired, 2 a value), the length of the key in two
/// bytes, the key, the revision and the deadline in eight bytes each (no deadline: all bits set), all big-endian, and the
/// SHA-256 of the value, 32 zeros where there is none.
pub(crate) struct LeafHash {
    hash: Sha256,
    /// What is still to be hashed: many blocks at once take less time than one after the other.
    held: Vec<u8>,
}

/// So much is hashed at a time, in bytes.
const HELD_BYTES: usize = 4 << 10;

impl LeafHash {
    pub(crate) fn new() -> Self {
        let mut held = Vec::with_capacity(2 * HELD_BYTES);
        held.push(0);
        LeafHash {
            hash: Sha256::new(),
            held,
        }
    }

    pub(crate) fn add(&mut self, record: &Record) {
        self.add_row(&record.row());
    }

    pub(crate) fn add_row(&mut self, row: &Row<'_>) {
        // A key has at most 1,280 bytes.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a key is shorter than 65,536 bytes"
        )]
        let length = (row.key.len() as u16).to_be_bytes();
        let deadline = row.deadline.map_or(u64::MAX, Timestamp::as_millis);
        let mut tail = [0; 48];
        tail[..8].copy_from_slice(&row.revision.get().to_be_bytes());
        tail[8..16].copy_from_slice(&deadline.to_be_bytes());
        if let Cell::Value(value) = row.cell {
            tail[16..].copy_from_slice(Hash::of(value).as_bytes());
        }
        self.held
            .extend_from_slice(&[row.cell.tag(), length[0], length[1]]);
        self.held.extend_from_slice(row.key);
        self.held.extend_from_slice(&tail);
        if self.held.len() >= HELD_BYTES {
            self.hash.update(&self.held);
            self.held.clear();
        }
    }

    pub(crate) fn finish(mut self) -> Hash {
        self.hash.update(&self.held);
        Hash::from_bytes(self.hash.finalize().into())
    }
}

/// Where chunks of records end: decided by the records alone, so that the same entries give the same chunks, and a change
/// in one place moves no border in another.
///
/// A chunk ends behind a record once its weight is 4 MiB or more; and from 512 KiB on where the CRC-32 of the key, as a part
/// of 2^32, is below the record's weight as a part of 512 KiB. The weight of a record is the length of its key and its value
/// and 16.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    weight: usize,
}

const LEAST_WEIGHT: usize = 512 << 10;
const MOST_WEIGHT: usize = 4 << 20;
/// What a record weighs besides its key and its value.
const RECORD_WEIGHT: usize = 16;
/// The most records of a chunk: the shortest key has two bytes.
const MOST_RECORDS: usize = MOST_WEIGHT / (RECORD_WEIGHT + 2) + 1;

impl Cutter {
    /// Whether the chunk ends behind `record`.
    pub(crate) fn ends_behind(&mut self, record: &Record) -> bool {
        let weight = record.weight();
        self.weight += weight;
        let ends = self.weight >= MOST_WEIGHT
            || self.weight >= LEAST_WEIGHT && {
                let part = u64::from(crc32fast::hash(record.key.as_bytes()));
                part * (LEAST_WEIGHT as u64) < (weight as u64) << 32
            };
        if ends {
            self.weight = 0;
        }
        ends
    }
}

#[cfg(test)]
mod tests;
