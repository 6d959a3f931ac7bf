//! An engine as one would use it without Stead, and what is written to it.

use stead_core::Key;

use crate::workload::nth;

/// The maps that both sides write: the store's entries, its change log, and the header that every commit writes anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// A record for each entry.
    Data,
    /// A record for each batch.
    Changes,
    /// One record.
    Meta,
}

impl Table {
    /// All of them.
    pub const ALL: [Table; 3] = [Table::Data, Table::Changes, Table::Meta];

    /// The name of the table, tree or column family.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Table::Data => "data",
            Table::Changes => "changes",
            Table::Meta => "meta",
        }
    }
}

/// The bytes of a record beside the entry's value: tag, revision and checksum. See docs/src/formats/embedded.md for all
/// of these.
const DATA_OVERHEAD: usize = 13;
/// The bytes of a change set's record beside its changes: tag, count and checksum.
const CHANGES_OVERHEAD: usize = 9;
/// The bytes of a change beside its key: kind and length.
const CHANGE_OVERHEAD: usize = 3;
/// The bytes of the header's record.
const HEADER_BYTES: usize = 94;

/// The record of an entry with this value.
#[must_use]
pub fn data_record(value: &[u8]) -> Vec<u8> {
    [&[0; DATA_OVERHEAD], value].concat()
}

/// What one commit writes: batches of entries, with the same index records that the embedded store keeps.
#[derive(Clone, Copy, Debug)]
pub struct Writes<'a> {
    /// The keys of each batch.
    pub batches: &'a [&'a [Key]],
    /// The revision of the first batch; the others follow.
    pub revision: u64,
    /// The records of the entries: they get one after the other, from the revision's on.
    pub records: &'a [Vec<u8>],
}

impl Writes<'_> {
    /// Hands every record to `write`: an entry for each key, a change set for each batch, and the header once.
    pub fn for_each(&self, mut write: impl FnMut(Table, &[u8], &[u8])) {
        let mut change = Vec::new();
        for (keys, revision) in self.batches.iter().zip(self.revision..) {
            change.clear();
            change.resize(CHANGES_OVERHEAD, 0);
            for (key, place) in keys.iter().zip(revision..) {
                let record = &self.records[nth(place)];
                write(Table::Data, key.as_bytes(), record);
                change.extend_from_slice(&[0; CHANGE_OVERHEAD]);
                change.extend_from_slice(key.as_bytes());
            }
            write(Table::Changes, &revision.to_be_bytes(), &change);
        }
        // It counts, as that of any store must, so that it is another one each time: sled leaves out the write of what is
        // there already.
        let mut header = [0; HEADER_BYTES];
        let last = self.revision + self.batches.len() as u64;
        header[..8].copy_from_slice(&last.to_be_bytes());
        write(Table::Meta, b"header", &header);
    }
}

/// An engine without Stead. Failures panic: a benchmark of an engine that fails means nothing.
pub trait Bare: Send + Sync {
    /// Writes all of it in one atomic step. With `sync`, it and all before it survive a power failure when this returns.
    fn commit(&self, writes: &Writes<'_>, sync: bool);

    /// The record under `key`, as a copy: Stead gives its callers one too.
    fn get(&self, key: &[u8]) -> Option<Vec<u8>>;

    /// Copies the first `limit` records from `start` to `end`, with their keys, as Stead gives them: a scan of Stead ends
    /// with the partition, and engines compare every key with the end that they are given.
    fn scan(&self, start: &[u8], end: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)>;

    /// Reads every record of the data in order, and counts them.
    fn count(&self) -> usize;

    /// Releases the files, so that the same place can be opened at once. What was committed is durable then.
    fn close(self: Box<Self>);
}
