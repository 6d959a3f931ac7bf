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
        let tree = current.parent().unwrap_or(data);
        for table in tables(tree, &current)? {
            let path = tree.join("tables").join(table.number.to_string());
            if number == FIRST {
                check_table(&path, table.sum)?;
            } else if !path.is_file() {
                return Err(error::damaged(
                    "a table of the store is missing; restore the store from a backup",
                    &path,
                ));
            }
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

struct Table {
    number: u64,
    sum: u128,
}

/// The tables of a tree, from its manifest.
fn tables(tree: &Path, current: &Path) -> Result<Vec<Table>> {
    let bytes = fs::read(current).map_err(|cause| error::file(cause, current))?;
    let (number, sum) = parse_current(&bytes)
        .ok_or_else(|| error::damaged("a file is damaged; restore the store from a backup", current))?;
    let manifest = tree.join(format!("v{number}"));
    let bytes = fs::read(&manifest).map_err(|cause| error::file(cause, &manifest))?;
    if xxh3_128(&bytes) != sum {
        return Err(error::damaged(
            "a manifest is damaged; restore the store from a backup",
            &manifest,
        ));
    }
    read_tables(&manifest).map_err(|cause| error::file(cause, &manifest))
}

fn parse_current(bytes: &[u8]) -> Option<(u64, u128)> {
    let (number, rest) = bytes.split_first_chunk()?;
    let (sum, rest) = rest.split_first_chunk()?;
    (rest == [0]).then_some((u64::from_le_bytes(*number), u128::from_le_bytes(*sum)))
}

fn read_tables(manifest: &Path) -> io::Result<Vec<Table>> {
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
                tables.push(Table { number, sum });
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
