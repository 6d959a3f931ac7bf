//! Reading fjall's journals before fjall does.
//!
//! fjall cuts a journal off at the first byte that it cannot make sense of, wherever that is, and opens with what came
//! before; over a batch whose checksum does not fit it refuses to open, even where a crash tore the last one. So the
//! journals are judged here first: a tail that a crash may have torn is cut off, and anything else is damage.
//!
//! A journal is a row of batches and zeros behind them. A batch is a start (`1`, number of items in 4 bytes, sequence
//! number in 8), its items (`2`, kind, compression, keyspace in 8 bytes, length of the key in 2, of the value in 4, of the
//! value as stored in 4, key, value) and an end (`3`, XXH3 of the items in 8 bytes, `FJL` and `3`). Numbers are
//! little-endian.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use stead_core::Result;
use xxhash_rust::xxh3::xxh3_64;

use crate::error;

/// What every batch ends with.
const TRAILER: &[u8] = b"FJL\x03";
const TAG_START: u8 = 1;
const TAG_ITEM: u8 = 2;
const TAG_END: u8 = 3;

/// The keyspace of the marks: a batch with one says that every batch before it was synced.
pub(crate) const MARKS_ID: u64 = 6;

/// What a journal holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Journal {
    pub(crate) path: PathBuf,
    /// Where the batches end.
    pub(crate) end: u64,
    /// The sequence number of the last batch.
    pub(crate) last: Option<u64>,
    /// Something other than zeros follows.
    pub(crate) torn: bool,
}

/// The journals in the directory `data`, from the oldest to the newest.
///
/// # Errors
///
/// `Corrupt` if there is none, if one in between is missing, or for a name that fjall never gives.
pub(crate) fn list(data: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let failed = |cause| error::file(cause, data);
    for entry in fs::read_dir(data).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if path
            .extension()
            .is_none_or(|suffix| !suffix.eq_ignore_ascii_case("jnl"))
        {
            continue;
        }
        let number = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".jnl"))
            .and_then(|name| name.parse::<u64>().ok())
            .filter(|_| path.is_file());
        match number {
            Some(number) => found.push((number, path)),
            None => return Err(error::damaged("this is no journal of fjall; move it away", &path)),
        }
    }
    found.sort_unstable();
    if found.is_empty() {
        return Err(error::damaged(
            "the journals are missing; restore the store from a backup",
            data,
        ));
    }
    // They are removed from the oldest on, and file systems keep the order of removals.
    for pair in found.windows(2) {
        if pair[0].0 + 1 != pair[1].0 {
            let missing = data.join(format!("{}.jnl", pair[0].0 + 1));
            return Err(error::damaged(
                "a journal is missing; restore the store from a backup",
                &missing,
            ));
        }
    }
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Reads all journals.
///
/// # Errors
///
/// `Corrupt`, naming the journal, for damage that no crash can leave: in a journal that is not the newest, in one with
/// batches behind the damage that say that it was synced, or batches out of order.
pub(crate) fn read_all(data: &Path) -> Result<Vec<Journal>> {
    let paths = list(data)?;
    let newest = paths.len() - 1;
    let mut journals = Vec::with_capacity(paths.len());
    let mut last = None;
    for (index, path) in paths.into_iter().enumerate() {
        let bytes = fs::read(&path).map_err(|cause| error::file(cause, &path))?;
        let journal = judge(path, &bytes, last)?;
        if journal.torn && index != newest {
            return Err(damaged(&journal.path));
        }
        last = journal.last.or(last);
        journals.push(journal);
    }
    Ok(journals)
}

/// Checks journals that are in use, between two commits.
///
/// # Errors
///
/// `Corrupt`, naming the journal.
pub(crate) fn check(data: &Path) -> Result<()> {
    for path in list(data)? {
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            // Its batches are all in tables by now.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
            Err(cause) => return Err(error::file(cause, &path)),
        };
        if judge(path.clone(), &bytes, None)?.torn {
            return Err(damaged(&path));
        }
    }
    Ok(())
}

fn judge(path: PathBuf, bytes: &[u8], before: Option<u64>) -> Result<Journal> {
    let mut last = before;
    let mut last_but_one = before;
    let mut end = 0;
    while let Some(batch) = Batch::read(bytes, end).filter(|batch| Some(batch.number) > last) {
        last_but_one = last.replace(batch.number);
        end = batch.end;
    }
    let torn = bytes[end..].chunks(ZEROS.len()).any(|chunk| !is_zero(chunk));
    // The checksum does not cover the number: that of the last batch that was taken may be what is damaged.
    if torn && is_synced_beyond(bytes, end, last_but_one) {
        return Err(damaged(&path));
    }
    Ok(Journal {
        path,
        end: end as u64,
        last: if end > 0 { last } else { None },
        torn,
    })
}

/// Whether a batch with a number above `lowest` says that what stood at `damage` was synced.
fn is_synced_beyond(bytes: &[u8], damage: usize, lowest: Option<u64>) -> bool {
    let mut at = damage;
    while let Some(step) = bytes
        .get(at..)
        .and_then(|rest| rest.iter().position(|byte| *byte == TAG_START))
    {
        at += step;
        match Batch::read(bytes, at).filter(|batch| Some(batch.number) > lowest) {
            Some(batch) if batch.marked => return true,
            Some(batch) => at = batch.end,
            None => at += 1,
        }
    }
    false
}

fn damaged(path: &Path) -> stead_core::Error {
    error::damaged(
        "a journal is damaged where it had been synced; restore the store from a backup",
        path,
    )
}

/// One batch that is whole.
struct Batch {
    number: u64,
    end: usize,
    marked: bool,
}

impl Batch {
    /// The batch that begins at `at`, or `None` if it is not whole.
    fn read(bytes: &[u8], at: usize) -> Option<Batch> {
        let mut cursor = Cursor { bytes, at };
        if cursor.u8()? != TAG_START {
            return None;
        }
        let items = u32::from_le_bytes(cursor.array()?);
        let number = u64::from_le_bytes(cursor.array()?);
        let start = cursor.at;
        let mut marked = false;
        for _ in 0..items {
            if cursor.u8()? != TAG_ITEM {
                return None;
            }
            let [_kind, compression] = cursor.array()?;
            let keyspace = u64::from_le_bytes(cursor.array()?);
            let key = u16::from_le_bytes(cursor.array()?);
            let value = u32::from_le_bytes(cursor.array()?);
            let stored = u32::from_le_bytes(cursor.array()?);
            // Journals are never compressed here: fjall compresses again to check them, and would refuse its own as soon
            // as the compressor changes.
            if compression != 0 || stored != value {
                return None;
            }
            marked |= keyspace == MARKS_ID;
            cursor.skip(usize::from(key))?;
            cursor.skip(usize::try_from(value).ok()?)?;
        }
        let sum = xxh3_64(&bytes[start..cursor.at]);
        let whole = cursor.u8()? == TAG_END
            && u64::from_le_bytes(cursor.array()?) == sum
            && cursor.array::<4>()? == *TRAILER;
        whole.then_some(Batch {
            number,
            end: cursor.at,
            marked,
        })
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn skip(&mut self, count: usize) -> Option<&[u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.skip(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }
}

/// Cuts off what follows the batches of a journal, for good.
///
/// # Errors
///
/// `Unavailable` or `Full`.
pub(crate) fn cut(journal: &Journal) -> Result<()> {
    set_length(&journal.path, journal.end).map_err(|cause| error::file(cause, &journal.path))
}

/// Cuts off the zeros that fjall puts at the end of its journals. Only when nobody writes them.
///
/// # Errors
///
/// `Corrupt` for a journal with something else behind its batches, `Unavailable` or `Full`.
pub(crate) fn cut_zeros(data: &Path) -> Result<()> {
    for path in list(data)? {
        let end = end_of_batches(&path)?;
        set_length(&path, end).map_err(|cause| error::file(cause, &path))?;
    }
    Ok(())
}

/// Where the batches of a journal that was written to its end end.
fn end_of_batches(path: &Path) -> Result<u64> {
    let read = |at_most| {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut bytes = Vec::new();
        file.take(at_most).read_to_end(&mut bytes)?;
        Ok((bytes, length))
    };
    let failed = |cause| error::file(cause, path);
    let at_most = used_bytes(path).map_err(failed)?;
    let (bytes, length) = read(at_most).map_err(failed)?;
    let journal = judge(path.to_owned(), &bytes, None)?;
    let is_cut_short = bytes.len() as u64 != length && (journal.torn || journal.end == bytes.len() as u64);
    let journal = if is_cut_short {
        let (bytes, _) = read(u64::MAX).map_err(failed)?;
        judge(path.to_owned(), &bytes, None)?
    } else {
        journal
    };
    if journal.torn {
        return Err(damaged(path));
    }
    Ok(journal.end)
}

/// About how many bytes from the front of a file may be other than zero. New journals are nearly empty, and it takes long
/// to read 64 MiB of zeros. Too few on a file system that compresses, which is seen by the batch that is cut short.
#[cfg(unix)]
fn used_bytes(path: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(fs::metadata(path)?.blocks() * 512 + (1 << 16))
}

#[cfg(not(unix))]
fn used_bytes(_path: &Path) -> io::Result<u64> {
    Ok(u64::MAX)
}

/// Journals hold up to 64 MiB of zeros, and comparing with zeros is faster than looking at each.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

fn is_zero(chunk: &[u8]) -> bool {
    chunk == &ZEROS[..chunk.len()]
}

fn set_length(path: &Path, length: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    if file.metadata()?.len() != length {
        file.set_len(length)?;
        file.sync_all()?;
    }
    Ok(())
}

/// Which batches of a journal carry a mark.
#[cfg(test)]
pub(crate) fn marked(path: &Path) -> Vec<bool> {
    let bytes = fs::read(path).unwrap();
    let mut at = 0;
    std::iter::from_fn(|| {
        let batch = Batch::read(&bytes, at)?;
        at = batch.end;
        Some(batch.marked)
    })
    .collect()
}
