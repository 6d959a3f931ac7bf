//! The write-ahead log after an unclean end: what a crash may leave, and what it cannot.
//!
//! A crash may tear the end of the log, and a power failure may keep later unsynced pages and lose earlier ones. Both are
//! legal as long as nothing synced is lost, and the log is then cut behind the last batch that has all its predecessors.
//! RocksDB's own recovery modes either refuse such a log, or take damage to synced batches for the end of the log; and all
//! of them go on behind a page of zeros as if nothing had stood there. So the log is examined here first: sequence
//! numbers must be without a gap, and the [`Mark`]s of the batches behind a gap say whether what is missing was synced.
//!
//! A failed write leaves a torn end too, behind which RocksDB may have gone on: see [`abandoned`].
//!
//! What cannot be told from a torn end is damage to the last batches of the log, if none was written after they had been
//! synced. After a clean end there is no such doubt: see [`session`](crate::session).

mod abandoned;
mod crc32c;
pub(crate) mod manifest;
mod reader;

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use stead_core::Result;
use stead_embedded::file_error;

use abandoned::{Abandoned, End};
pub(crate) use reader::Mark;
use reader::{Batch, Broken, Reader, Record, batches_after};

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Log {
    /// Every batch is there, and nothing else.
    Whole,
    /// Nothing synced is lost, but the files have to be cut to these lengths.
    Torn(Vec<Cut>),
    /// Every batch is there, and behind those of one file what is left of a write that failed.
    Abandoned(Abandoned),
    /// Something is missing before the batches of this file: either they follow on files that are not needed any more, or
    /// on one that is lost.
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where it goes wrong.
        offset: usize,
    },
}

/// A file and the length that is good of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    file: PathBuf,
    length: usize,
}

struct LogFile {
    number: u64,
    path: PathBuf,
    bytes: Vec<u8>,
}

/// Looks at the log files in `data` whose number is at least `oldest`; those below are not needed any more.
///
/// # Errors
///
/// `Unavailable` if the operating system refuses.
pub(crate) fn examine(data: &Path, oldest: u64) -> Result<Log> {
    let files = read(data, oldest).map_err(|error| {
        file_error("cannot read the store's log", error)
            .with("path", data.display())
            .during("open")
    })?;
    let mut chain = Chain {
        next_sequence: None,
        before: None,
        oldest,
    };
    for (index, file) in files.iter().enumerate() {
        let (good, last_sequence) = chain.follow(file);
        match abandoned::end(
            file,
            good.unwrap_or(file.bytes.len()),
            last_sequence,
            files.get(index + 1),
        ) {
            End::Abandoned(abandoned) => return Ok(Log::Abandoned(abandoned)),
            End::Settled => continue,
            End::Unknown => {}
        }
        let Some(offset) = good else {
            continue;
        };
        let behind = batches_after(&file.bytes, offset).chain(
            files[index + 1..]
                .iter()
                .flat_map(|file| batches_after(&file.bytes, 0)),
        );
        return Ok(if chain.was_synced(behind) {
            Log::Damaged {
                file: file.path.clone(),
                offset,
            }
        } else {
            Log::Torn(cuts(&files[index..], offset))
        });
    }
    Ok(Log::Whole)
}

/// Cuts the log. Later files come first: whenever this ends early, what is left is as torn as before.
///
/// # Errors
///
/// `Unavailable` if the operating system refuses.
pub(crate) fn cut(cuts: &[Cut]) -> Result<()> {
    for cut in cuts.iter().rev() {
        let shorten = || {
            let file = OpenOptions::new().write(true).open(&cut.file)?;
            file.set_len(cut.length as u64)?;
            file.sync_all()
        };
        shorten().map_err(|error| {
            file_error("cannot cut the torn end off the store's log", error)
                .with("file", cut.file.display())
                .during("open")
        })?;
    }
    Ok(())
}

/// The first file to `offset`, and those behind it to nothing. They are kept: RocksDB misses a log that is gone.
fn cuts(files: &[LogFile], offset: usize) -> Vec<Cut> {
    files
        .iter()
        .enumerate()
        .map(|(index, file)| Cut {
            file: file.path.clone(),
            length: if index == 0 { offset } else { 0 },
        })
        .collect()
}

/// The newest is read first: if the store is in use, every older one is complete by then.
fn read(data: &Path, oldest: u64) -> io::Result<Vec<LogFile>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(data)? {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| log_number(name.to_str()?));
        found.extend(
            number
                .filter(|number| *number >= oldest)
                .map(|number| (number, path)),
        );
    }
    found.sort_unstable();
    let mut files = Vec::with_capacity(found.len());
    for (number, path) in found.into_iter().rev() {
        let bytes = fs::read(&path)?;
        files.push(LogFile { number, path, bytes });
    }
    files.reverse();
    Ok(files)
}

fn log_number(name: &str) -> Option<u64> {
    name.strip_suffix(".log")?.parse().ok()
}

/// What the next record has to follow on.
struct Chain {
    next_sequence: Option<u64>,
    /// Number and length of the file before.
    before: Option<(u64, usize)>,
    oldest: u64,
}

impl Chain {
    /// Goes through a file. Returns the end of the good part if there is a bad one, and the sequence number of the last
    /// batch in the good part.
    fn follow(&mut self, file: &LogFile) -> (Option<usize>, Option<u64>) {
        let before = self.before.replace((file.number, file.bytes.len()));
        let mut last_sequence = None;
        let mut reader = Reader::new(&file.bytes);
        loop {
            let good = reader.position();
            match reader.next() {
                Ok(Some(record)) if self.fits(&record, before) => {
                    if let Record::Batch(batch) = record {
                        last_sequence = Some(batch.sequence);
                        self.next_sequence = Some(batch.next_sequence());
                    }
                }
                Ok(None) => return (None, last_sequence),
                Err(Broken) => {
                    self.next_sequence = self.next_sequence.or_else(|| reader.begun_sequence());
                    return (Some(good), last_sequence);
                }
                Ok(Some(_)) => return (Some(good), last_sequence),
            }
        }
    }

    fn fits(&self, record: &Record, before: Option<(u64, usize)>) -> bool {
        match (record, before) {
            (Record::Batch(batch), _) => self.next_sequence.is_none_or(|next| next == batch.sequence),
            (Record::Predecessor(said), Some((number, length))) => {
                said.number == number && said.size_bytes == length as u64
            }
            (Record::Predecessor(said), None) => said.number < self.oldest,
        }
    }

    /// Whether one of the batches `behind` says that what should stand next had been synced.
    fn was_synced(&self, mut behind: impl Iterator<Item = Batch>) -> bool {
        behind.any(|batch| {
            let reached = |mark: Mark| self.next_sequence.is_some_and(|next| mark.0 >= next);
            let later = self.next_sequence.is_none_or(|next| batch.sequence > next);
            batch.mark.is_some_and(reached) || (later && batch.follows_its_mark())
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
