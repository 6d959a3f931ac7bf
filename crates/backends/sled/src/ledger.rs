//! What the store knows about itself outside of sled: up to which commit it must be found again.
//!
//! sled takes a damaged end of its log for the end that a crash left, goes back in silence, and overwrites what comes
//! behind. The ledger tells: after a clean close the commit has to be the very last one, after an unclean end at least
//! the newest durable one that is written down.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use stead_core::{Error, Result};

use crate::error;
use crate::seal::Seal;

const FILE: &str = "LEDGER";
const DRAFT: &str = "LEDGER.new";
const TITLE: &str = "stead sled ledger";

/// The contents of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// A commit that is durable.
    pub(crate) commit: u64,
    /// How the store was left, or `None` while it is open.
    pub(crate) closed: Option<Closed>,
}

/// How a clean close leaves sled's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) log_bytes: u64,
    /// The name of the snapshot file, which says where each page is.
    pub(crate) snapshot: String,
}

impl Ledger {
    /// That of a store that is open, of which `commit` is durable.
    pub(crate) fn open_at(commit: u64) -> Self {
        Ledger { commit, closed: None }
    }

    /// Reads the ledger in the directory `data`, or `None` where there is none or a damaged one: the store is then
    /// treated as after an unclean end.
    ///
    /// # Errors
    ///
    /// A failure to read it.
    pub(crate) fn read(data: &Path) -> Result<Option<Self>> {
        let path = data.join(FILE);
        match fs::read(&path) {
            Ok(text) => Ok(parse(&String::from_utf8_lossy(&text))),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(error::file(cause, &path)),
        }
    }

    /// Replaces the ledger in the directory `data`; it lasts once this returns.
    ///
    /// # Errors
    ///
    /// A failure to write it.
    pub(crate) fn write(&self, data: &Path) -> Result<()> {
        let write = || {
            let draft = data.join(DRAFT);
            let mut file = File::create(&draft)?;
            file.write_all(self.text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, data.join(FILE))?;
            File::open(data)?.sync_all()
        };
        write().map_err(|cause| error::file(cause, &data.join(FILE)))
    }

    fn text(&self) -> String {
        let mut text = format!("{TITLE}\ncommit {}\n", self.commit);
        if let Some(closed) = &self.closed {
            text += &format!("log_bytes {}\nsnapshot {}\n", closed.log_bytes, closed.snapshot);
        }
        let check = crc32fast::hash(text.as_bytes());
        text + &format!("check {check:08x}\n")
    }

    /// Compares the ledger with the newest seal that was found.
    ///
    /// # Errors
    ///
    /// `Corrupt` if commits are missing.
    pub(crate) fn compare(&self, found: &Seal) -> Result<()> {
        let is_there = match self.closed {
            Some(_) => found.commit == self.commit,
            None => found.commit >= self.commit,
        };
        if is_there {
            return Ok(());
        }
        Err(
            Error::corrupt("sled's log lost commits that were durable; restore the store from a backup")
                .with("commit", found.commit)
                .with("expected_commit", self.commit),
        )
    }
}

/// The file that says which commit was durable last, while the store is open.
///
/// It is overwritten after each durable commit, and not synced each time: the end of the process leaves it as it is, a
/// power failure may leave an older commit, which is true as well.
#[derive(Debug)]
pub(crate) struct Mark {
    file: File,
    writes: u64,
}

/// The number of the commit and its checksum, big-endian.
const MARK_BYTES: usize = 12;
const MARK: &str = "DURABLE";
/// A power failure takes back at most this many marks.
const MARKS_PER_SYNC: u64 = 4096;

impl Mark {
    /// Opens the mark in the directory `data`, or makes one that says nothing.
    ///
    /// # Errors
    ///
    /// A failure to do so.
    pub(crate) fn open(data: &Path) -> Result<Self> {
        let path = data.join(MARK);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(|cause| error::file(cause, &path))?;
        Ok(Mark { file, writes: 0 })
    }

    /// The commit, or `None` where there is none, or half of one.
    ///
    /// # Errors
    ///
    /// A failure to read it.
    pub(crate) fn read(&self) -> Result<Option<u64>> {
        let mut bytes = Vec::new();
        let mut read = || {
            (&self.file).rewind()?;
            (&self.file).take(MARK_BYTES as u64).read_to_end(&mut bytes)
        };
        read().map_err(error::sync)?;
        let Some((number, check)) = bytes.split_first_chunk::<8>() else {
            return Ok(None);
        };
        let is_whole = crc32fast::hash(number).to_be_bytes() == check;
        Ok(is_whole.then(|| u64::from_be_bytes(*number)))
    }

    /// Says that `commit` and all before it are durable.
    ///
    /// # Errors
    ///
    /// A failure to write it.
    pub(crate) fn write(&mut self, commit: u64) -> Result<()> {
        let number = commit.to_be_bytes();
        let mut bytes = [0; MARK_BYTES];
        bytes[..8].copy_from_slice(&number);
        bytes[8..].copy_from_slice(&crc32fast::hash(&number).to_be_bytes());
        let sync = self.writes.is_multiple_of(MARKS_PER_SYNC);
        self.writes += 1;
        let mut write = || {
            self.file.rewind()?;
            self.file.write_all(&bytes)?;
            if sync { self.file.sync_data() } else { Ok(()) }
        };
        write().map_err(error::sync)
    }
}

fn parse(text: &str) -> Option<Ledger> {
    let (front, check) = text.rsplit_once("check ")?;
    let check = u32::from_str_radix(check.strip_suffix('\n')?, 16).ok()?;
    if crc32fast::hash(front.as_bytes()) != check {
        return None;
    }
    let mut lines = front.lines();
    if lines.next() != Some(TITLE) {
        return None;
    }
    let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    let commit = field("commit")?.parse().ok()?;
    let closed = match field("log_bytes") {
        Some(log_bytes) => Some(Closed {
            log_bytes: log_bytes.parse().ok()?,
            snapshot: field("snapshot")?.to_owned(),
        }),
        None => None,
    };
    Some(Ledger { commit, closed })
}

#[cfg(test)]
mod tests {
    use stead_core::ErrorKind;
    use stead_embedded::Engine;

    use super::*;
    use crate::{SledConfig, SledEngine};

    fn closed() -> Ledger {
        Ledger {
            commit: 12,
            closed: Some(Closed {
                log_bytes: 345,
                snapshot: "snap.00000000000000FF".to_owned(),
            }),
        }
    }

    #[test]
    fn ledger_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Ledger::read(dir.path()).unwrap(), None);
        for ledger in [closed(), Ledger::open_at(13)] {
            ledger.write(dir.path()).unwrap();
            assert_eq!(Ledger::read(dir.path()).unwrap(), Some(ledger));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn newest_whole_mark_counts() {
        let dir = tempfile::tempdir().unwrap();
        let read = || Mark::open(dir.path()).unwrap().read().unwrap();
        assert_eq!(read(), None);
        let mut mark = Mark::open(dir.path()).unwrap();
        for commit in [1, u64::MAX, 7] {
            mark.write(commit).unwrap();
            assert_eq!(read(), Some(commit));
        }
        let path = dir.path().join(MARK);
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(read(), None, "length {length}");
        }
        let mut torn = whole;
        torn[7] ^= 1;
        fs::write(&path, torn).unwrap();
        assert_eq!(read(), None);
    }

    #[test]
    fn damaged_ledger_is_none() {
        let text = closed().text();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert_eq!(parse(&String::from_utf8_lossy(&bytes)), None, "byte {at}");
            assert_eq!(parse(&text[..at]), None, "length {at}");
        }
    }

    #[test]
    fn clean_close_wants_the_last_commit_and_an_unclean_end_an_old_one() {
        let found = |commit| Seal {
            commit,
            ..Seal::default()
        };
        let open = Ledger::open_at(12);
        assert!(closed().compare(&found(12)).is_ok());
        assert!(closed().compare(&found(11)).is_err());
        assert!(closed().compare(&found(13)).is_err());
        assert!(open.compare(&found(12)).is_ok());
        assert!(open.compare(&found(13)).is_ok());
        assert!(open.compare(&found(11)).is_err());
    }

    #[test]
    fn store_that_is_older_than_its_ledger_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let config = SledConfig::new(dir.path().join("store"));
        SledEngine::open(&config).unwrap().close().unwrap();
        let data = config.path.join("state.sled");
        let last = Ledger::read(&data).unwrap().unwrap();
        assert!(last.closed.is_some());
        for closed in [last.closed, None] {
            let commit = last.commit + 1;
            Ledger { commit, closed }.write(&data).unwrap();
            let error = SledEngine::open(&config).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        }
        Ledger::open_at(last.commit).write(&data).unwrap();
        drop(SledEngine::open(&config).unwrap());
    }
}
