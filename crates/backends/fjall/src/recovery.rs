//! What is looked at before fjall opens the files of a store.
//!
//! fjall goes on where it should stop over some kinds of damage (see `journal` and `manifest`), and it changes files while
//! it opens them. So the damage that it would pass over is found first, and nothing is touched that is refused.

use std::fs;
use std::path::Path;

use stead_core::{Error, Result};

use crate::{closed, error, journal, manifest};

/// fjall's file that says which format the others are of.
const VERSION_FILE: &str = "version";
const VERSION: &[u8] = b"FJL\x03";

/// fjall's lock, which it does not make anew.
const LOCK_FILE: &str = "lock";

/// What the files said.
pub(crate) struct Found {
    /// The sequence number of the last batch in the journals.
    pub(crate) last: Option<u64>,
}

/// Judges the files in `data` of the store at `path`, and cuts off what a crash tore.
///
/// # Errors
///
/// `Corrupt`, naming the file, for damage that no crash leaves. `Unavailable` for a store that was not closed and is to
/// be opened for reading only.
pub(crate) fn before_open(path: &Path, data: &Path, read_only: bool) -> Result<Found> {
    check_version(data)?;
    let lock = data.join(LOCK_FILE);
    fs::metadata(&lock).map_err(|cause| error::file(cause, &lock))?;
    manifest::check(data)?;
    let clean = closed::check(path, data)?;
    if read_only && !clean {
        return Err(Error::unavailable(
            "the store was not closed cleanly; open it once for writing, which repairs it",
        )
        .with("path", path.display())
        .during("open"));
    }
    let journals = journal::read_all(data)?;
    for journal in &journals {
        if clean {
            check_whole(journal)?;
        } else if journal.torn {
            journal::cut(journal)?;
        }
    }
    Ok(Found {
        last: journals.iter().filter_map(|journal| journal.last).max(),
    })
}

fn check_version(data: &Path) -> Result<()> {
    let file = data.join(VERSION_FILE);
    let found = fs::read(&file).map_err(|cause| error::file(cause, &file))?;
    match found.as_slice() {
        VERSION => Ok(()),
        [b'F', b'J', b'L', version] => Err(error::damaged(
            "the files are of a fjall format that this version does not read",
            &file,
        )
        .with("fjall_format", version)),
        _ => Err(error::damaged(
            "a file is damaged; restore the store from a backup",
            &file,
        )),
    }
}

/// A clean close leaves journals that end with their last batch.
fn check_whole(journal: &journal::Journal) -> Result<()> {
    let length = fs::metadata(&journal.path)
        .map_err(|cause| error::file(cause, &journal.path))?
        .len();
    if journal.torn || journal.end != length {
        return Err(error::damaged(
            "a journal is damaged; restore the store from a backup",
            &journal.path,
        ));
    }
    Ok(())
}
