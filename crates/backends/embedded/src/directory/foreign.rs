//! Telling whose files these are.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// The text of a marker.
pub(super) fn marker(engine: &str, layout: u32) -> String {
    format!("stead store\nengine {engine}\nlayout {layout}\n")
}

/// The engine and the layout that a marker names.
pub(super) fn parse_marker(text: &str) -> Option<(String, u32)> {
    let mut lines = text.lines();
    if lines.next() != Some("stead store") {
        return None;
    }
    let mut engine = None;
    let mut layout = None;
    for line in lines {
        match line.split_once(' ') {
            Some(("engine", name)) => engine = Some(name.to_owned()),
            Some(("layout", number)) => layout = number.parse().ok(),
            _ => {}
        }
    }
    Some((engine?, layout?))
}

/// The first bytes of a redb file.
const REDB_MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";
/// The first bytes of fjall's version file.
const FJALL_MAGIC: &[u8] = b"FJL";

/// The engine whose bare database, without our marker, lies in the directory `path`.
pub(super) fn recognise(path: &Path) -> io::Result<Option<&'static str>> {
    let has = |name: &str| path.join(name).exists();
    if has("CURRENT") && has_prefix(path, "MANIFEST-")? {
        return Ok(Some("rocksdb"));
    }
    if has("conf") && has("db") && (has("blobs") || has_prefix(path, "snap.")?) {
        return Ok(Some("sled"));
    }
    if has("version") && begins_with(&path.join("version"), FJALL_MAGIC)? {
        return Ok(Some("fjall"));
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && begins_with(&entry.path(), REDB_MAGIC)? {
            return Ok(Some("redb"));
        }
    }
    Ok(None)
}

fn has_prefix(path: &Path, prefix: &str) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        if entry?.file_name().to_string_lossy().starts_with(prefix) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn begins_with(file: &Path, magic: &[u8]) -> io::Result<bool> {
    let mut front = Vec::new();
    File::open(file)?
        .take(magic.len() as u64)
        .read_to_end(&mut front)?;
    Ok(front == magic)
}
