//! A log file that RocksDB went on behind although its last append had failed.
//!
//! When the disk is full, RocksDB waits for room by itself, whatever it was told of resuming: it begins a new log file and
//! moves what it holds in memory into files of their own. What was written of the failed batch stays at the end of the old
//! log, and the new one says that the old one is as long as if all of it were there. RocksDB then refuses both. Nothing in
//! that end was acknowledged: the new file also names the last batch that was appended as a whole, and so bears witness.
//!
//! The end is overwritten with zeros, which RocksDB passes over, and the new file told the true length. The old one must
//! not become shorter: RocksDB may have written down how much of it was synced, the beginning of the failed batch included.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::PathBuf;

use stead_core::Result;
use stead_embedded::file_error;

use super::LogFile;
use super::reader::{BLOCK, Predecessor, Reader, Record};

/// How such a pair of files is put right.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Abandoned {
    file: PathBuf,
    /// From here to `length` the old file gets zeros.
    good: usize,
    length: usize,
    /// The file behind it, and what stands at its beginning.
    next: PathBuf,
    record: Vec<u8>,
}

/// What the file behind another one makes of its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It does not vouch for it.
    Unknown,
    /// It names the last batch, and the length, behind which there are zeros at most.
    Settled,
    /// It names the last batch, but not the length.
    Abandoned(Abandoned),
}

/// Looks at a file whose good part ends at `good`, with a last batch of this sequence number, and at the one behind it.
pub(super) fn end(file: &LogFile, good: usize, last_sequence: Option<u64>, next: Option<&LogFile>) -> End {
    let Some(next) = next else { return End::Unknown };
    let Ok(Some(Record::Predecessor(said))) = Reader::new(&next.bytes).next() else {
        return End::Unknown;
    };
    let vouches = said.number == file.number && said.last_sequence == last_sequence.unwrap_or_default();
    if !vouches || said.size_bytes < good as u64 {
        return End::Unknown;
    }
    let tail = &file.bytes[good..];
    if said.size_bytes == file.bytes.len() as u64 && tail.iter().all(|byte| *byte == 0) {
        return End::Settled;
    }
    // Fewer zeros than a header has bytes would be a torn header to RocksDB, so they fill the block.
    let length = if tail.is_empty() {
        good
    } else {
        file.bytes.len().next_multiple_of(BLOCK)
    };
    let true_length = Predecessor {
        size_bytes: length as u64,
        ..said
    };
    End::Abandoned(Abandoned {
        file: file.path.clone(),
        good,
        length,
        next: next.path.clone(),
        record: true_length.encode(),
    })
}

impl Abandoned {
    /// Puts the files right. Wherever this ends early, what is left is as abandoned as before.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Full`.
    pub(crate) fn mend(&self) -> Result<()> {
        let write = |path, bytes: &[u8], at: usize| {
            let mut file = OpenOptions::new().write(true).open(path)?;
            file.seek(SeekFrom::Start(at as u64))?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write(&self.file, &vec![0; self.length - self.good], self.good)
            .and_then(|()| write(&self.next, &self.record, 0))
            .map_err(|error| {
                file_error("cannot put the store's log right", error)
                    .with("file", self.file.display())
                    .during("open")
            })
    }
}
