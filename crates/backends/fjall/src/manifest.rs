//! Reading the manifests of fjall's trees before fjall does.
//!
//! A tree without its file `current` is made anew by fjall, and one that the first tree does not know is removed. So all
//! of them have to be there, and the first, which says what the others are, has to be whole.
//!
//! A tree's `current` holds the number of its manifest (8 bytes), the manifest's XXH3 (16 bytes) and a zero. The manifest
//! is an archive; its section `tables` lists the tables of each run of each level, with their checksums.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use stead_core::Result;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::error;
use crate::journal::MARKS_ID;

/// fjall's own tree of names and settings.
const FIRST: u64 = 0;

/// The files `current` of all trees.
pub(crate) fn currents(data: &Path) -> impl Iterator<Item = PathBuf> {
    let trees = data.join("keyspaces");
    (FIRST..=MARKS_ID).map(move |number| trees.join(number.to_string()).join("current"))
}

/// Checks that fjall will find every tree and every table.
///
/// # Errors
///
/// `Corrupt`, naming the file that is missing or damaged.
pub(crate) fn check(data: &Path) -> Result<()> {
    check_no_strangers(&data.join("keyspaces"))?;
    for (number, current) in (FIRST..).zip(currents(data)) {
        for table in tables(data, &current)? {
            if number == FIRST {
                check_table(&table.path, table.sum)?;
            } else if !table.path.is_file() {
                return Err(error::damaged(
                    "a table of the store is missing; restore the store from a backup",
                    &table.path,
                ));
            }
        }
    }
    Ok(())
}

/// Compares every table with its checksum.
///
/// # Errors
///
/// `Corrupt`, naming the file that is missing or damaged.
pub(crate) fn check_tables(data: &Path) -> Result<()> {
    for current in currents(data) {
        for table in tables(data, &current)? {
            check_table(&table.path, table.sum)?;
        }
    }
    Ok(())
}

/// fjall panics over a directory whose name is no number, and removes one that it does not know.
fn check_no_strangers(trees: &Path) -> Result<()> {
    let failed = |cause| error::file(cause, trees);
    for entry in fs::read_dir(trees).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let known = name.to_str().and_then(|name| name.parse().ok());
        if entry.path().is_dir() && known.is_none_or(|number: u64| number > MARKS_ID) {
            return Err(error::damaged(
                "this directory is not of a stead store; move it away",
                &entry.path(),
            ));
        }
    }
    Ok(())
}

/// Removes manifests that nothing refers to any more, so that an open for reading finds nothing to remove. Only when
/// nobody writes them.
///
/// # Errors
///
/// `Unavailable`.
pub(crate) fn remove_outdated(data: &Path) -> Result<()> {
    for current in currents(data) {
        let tree = current.parent().unwrap_or(data);
        let kept = manifest_of(tree, &current)?.0;
        let remove = || {
            for entry in fs::read_dir(tree)? {
                let path = entry?.path();
                let is_manifest = path.is_file()
                    && path
                        .file_name()
                        .and_then(|name| name.to_str()?.strip_prefix('v'))
                        .is_some_and(|number| number.parse::<u64>().is_ok());
                if is_manifest && path != kept {
                    fs::remove_file(path)?;
                }
            }
            Ok(())
        };
        remove().map_err(|cause| error::file(cause, tree))?;
    }
    Ok(())
}

struct Table {
    path: PathBuf,
    sum: u128,
}

/// The tables of a tree, from its manifest.
fn tables(data: &Path, current: &Path) -> Result<Vec<Table>> {
    let tree = current.parent().unwrap_or(data);
    let (manifest, sum) = manifest_of(tree, current)?;
    let bytes = fs::read(&manifest).map_err(|cause| error::file(cause, &manifest))?;
    if xxh3_128(&bytes) != sum {
        return Err(error::damaged(
            "a manifest is damaged; restore the store from a backup",
            &manifest,
        ));
    }
    read_tables(tree, &manifest).map_err(|cause| error::file(cause, &manifest))
}

/// The manifest of a tree and its checksum, as `current` says.
fn manifest_of(tree: &Path, current: &Path) -> Result<(PathBuf, u128)> {
    let bytes = fs::read(current).map_err(|cause| error::file(cause, current))?;
    match parse_current(&bytes) {
        Some((number, sum)) => Ok((tree.join(format!("v{number}")), sum)),
        None => Err(error::damaged(
            "a file is damaged; restore the store from a backup",
            current,
        )),
    }
}

fn parse_current(bytes: &[u8]) -> Option<(u64, u128)> {
    let (number, rest) = bytes.split_first_chunk()?;
    let (sum, rest) = rest.split_first_chunk()?;
    (rest == [0]).then_some((u64::from_le_bytes(*number), u128::from_le_bytes(*sum)))
}

fn read_tables(tree: &Path, manifest: &Path) -> io::Result<Vec<Table>> {
    let malformed = || io::Error::from(io::ErrorKind::InvalidData);
    let archive = sfa::Reader::new(manifest).map_err(|_| malformed())?;
    let section = archive.toc().section(b"tables").ok_or_else(malformed)?;
    let start = usize::try_from(section.pos()).map_err(|_| malformed())?;
    let bytes = fs::read(manifest)?;
    let mut reader = bytes.get(start..).ok_or_else(malformed)?;
    let mut tables = Vec::new();
    for _level in 0..u8::from_le_bytes(take(&mut reader)?) {
        for _run in 0..u8::from_le_bytes(take(&mut reader)?) {
            for _table in 0..u32::from_le_bytes(take(&mut reader)?) {
                let number = u64::from_le_bytes(take(&mut reader)?);
                let [_kind_of_sum] = take(&mut reader)?;
                let sum = u128::from_le_bytes(take(&mut reader)?);
                let _base = take::<8>(&mut reader)?;
                let path = tree.join("tables").join(number.to_string());
                tables.push(Table { path, sum });
            }
        }
    }
    Ok(tables)
}

fn take<const N: usize>(reader: &mut &[u8]) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Compares a whole table with its checksum.
///
/// # Errors
///
/// `Corrupt`, naming the table.
pub(crate) fn check_table(path: &Path, sum: u128) -> Result<()> {
    let mut digest = Xxh3::new();
    let mut read = || {
        let mut file = File::open(path)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(()),
                count => digest.update(&buffer[..count]),
            }
        }
    };
    read().map_err(|cause| error::file(cause, path))?;
    if digest.digest128() == sum {
        return Ok(());
    }
    Err(error::damaged(
        "a table is damaged; restore the store from a backup",
        path,
    ))
}
