//! The least that a checkpoint and a restore have to do: a bare map, two threads, and the same steps written by hand.
//!
//! A checkpoint iterates over an ordered map, frames the entries, compresses with zstd at level 1, hashes what that gives, and
//! writes files that are synced each before a list of their names and hashes is renamed into place. There is no tree of
//! hashes, no hash of a value, no snapshot, and no other writer. A restore reads the files, compares their hashes,
//! decompresses, and builds a map.
//!
//! With [`Care::Taken`] a checkpoint hashes each value as well, and all that it hashed; and a restore looks at all files before
//! it builds the map, and compares the map with the files in the end.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::ops::Bound;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::data;

/// Framed bytes of a file, as many as a chunk of a repository has about.
const FILE_BYTES: usize = 1 << 20;
const LEVEL: i32 = 1;

type Bytes = Box<[u8]>;
type Decompressor = zstd::bulk::Decompressor<'static>;
type Half<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// A map of keys and values, and the key in its middle.
pub(super) struct BareMap {
    pub(super) entries: BTreeMap<Bytes, Bytes>,
    middle: Bytes,
}

/// Whether more is done than has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    None,
    Taken,
}

/// A file that was written.
struct Written {
    name: String,
    hash: String,
    content_bytes: usize,
    /// Of the hashes of its values.
    values: String,
}

fn digits(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl BareMap {
    /// The map with the entries of [`data::load`].
    pub(super) fn filled(entries: usize) -> Self {
        let value = |number| data::value(number, 0, data::VALUE_BYTES).into();
        BareMap {
            entries: (0..entries)
                .map(|number| (data::key(number).as_bytes().into(), value(number)))
                .collect(),
            middle: data::key(entries / 2).as_bytes().into(),
        }
    }

    /// Writes everything to `dir`, durably.
    pub(super) fn checkpoint(&self, dir: &Path, care: Care) {
        let middle = &*self.middle;
        let halves: [Half<'_>; 2] = [
            (Bound::Unbounded, Bound::Excluded(middle)),
            (Bound::Included(middle), Bound::Unbounded),
        ];
        let written: Vec<Written> = std::thread::scope(|scope| {
            let threads = halves.map(|half| scope.spawn(move || self.write(half, dir, care)));
            let written = threads.map(|thread| thread.join().expect("the thread ends well"));
            written.into_iter().flatten().collect()
        });
        let lines = written.iter().map(|file| {
            format!(
                "{} {} {} {}\n",
                file.name, file.hash, file.content_bytes, file.values
            )
        });
        let list = dir.join("list.new");
        durably(&list, lines.collect::<String>().as_bytes());
        sync(dir);
        fs::rename(list, dir.join("list")).expect("it is renamed");
        sync(dir);
    }

    fn write(&self, half: Half<'_>, dir: &Path, care: Care) -> Vec<Written> {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL).expect("a compressor");
        let prefix = if matches!(half.0, Bound::Unbounded) {
            "a"
        } else {
            "b"
        };
        let mut written: Vec<Written> = Vec::new();
        let mut frame = Vec::with_capacity(FILE_BYTES + 4096);
        let mut before: &[u8] = &[];
        let mut flush = |frame: &[u8], values: Sha256| {
            let compressed = compressor.compress(frame).expect("it is compressed");
            let name = format!("{prefix}{:06}", written.len());
            durably(&dir.join(&name), &compressed);
            written.push(Written {
                name,
                hash: digits(&Sha256::digest(&compressed)),
                content_bytes: frame.len(),
                values: digits(&values.finalize()),
            });
        };
        let mut values = Sha256::new();
        for (key, value) in self.entries.range::<[u8], _>(half) {
            if care == Care::Taken {
                values.update(Sha256::digest(value));
            }
            let shared = before
                .iter()
                .zip(key)
                .take_while(|(one, other)| one == other)
                .count();
            // The lengths of this data fit: that of a key in a byte, that of a value in two.
            frame.push(u8::try_from(shared).expect("a short key"));
            frame.push(u8::try_from(key.len() - shared).expect("a short key"));
            frame.extend_from_slice(&key[shared..]);
            frame.extend_from_slice(&u16::try_from(value.len()).expect("a short value").to_le_bytes());
            frame.extend_from_slice(value);
            before = key;
            if frame.len() >= FILE_BYTES {
                flush(&frame, std::mem::take(&mut values));
                frame.clear();
                before = &[];
            }
        }
        flush(&frame, values);
        written
    }
}

/// Reads what a checkpoint wrote.
pub(super) fn restore(dir: &Path, care: Care) -> BTreeMap<Bytes, Bytes> {
    let list = fs::read_to_string(dir.join("list")).expect("there is a checkpoint");
    let lines: Vec<&str> = list.lines().collect();
    let (one, other) = lines.split_at(lines.partition_point(|line| line.starts_with('a')));
    if care == Care::Taken {
        side_by_side(|| check(dir, one), || check(dir, other));
    }
    let (mut entries, mut rest) = side_by_side(|| build(dir, one), || build(dir, other));
    let middle = rest.first_key_value().map(|(key, _)| key.clone());
    entries.append(&mut rest);
    if care == Care::Taken {
        let middle = middle.expect("there are entries in both halves");
        side_by_side(
            || compare(dir, one, entries.range(..middle.clone())),
            || compare(dir, other, entries.range(middle.clone()..)),
        );
    }
    entries
}

fn side_by_side<T: Send>(one: impl FnOnce() -> T + Send, other: impl FnOnce() -> T + Send) -> (T, T) {
    std::thread::scope(|scope| {
        let other = scope.spawn(other);
        (one(), other.join().expect("the thread ends well"))
    })
}

/// That all files are what the list says, down to the hashes of their values.
fn check(dir: &Path, lines: &[&str]) {
    let mut decompressor = decompressor();
    for line in lines {
        let mut found = Sha256::new();
        let values = read(dir, line, &mut decompressor, &mut |_, value| {
            found.update(Sha256::digest(value));
        });
        assert_eq!(digits(&found.finalize()), values);
    }
}

fn build(dir: &Path, lines: &[&str]) -> BTreeMap<Bytes, Bytes> {
    let mut decompressor = decompressor();
    let mut entries: Vec<(Bytes, Bytes)> = Vec::new();
    for line in lines {
        read(dir, line, &mut decompressor, &mut |key, value| {
            entries.push((key.into(), value.into()));
        });
    }
    entries.into_iter().collect()
}

/// That `entries` are what the files say, and no more.
fn compare<'a>(dir: &Path, lines: &[&str], mut entries: impl Iterator<Item = (&'a Bytes, &'a Bytes)>) {
    let mut decompressor = decompressor();
    for line in lines {
        read(dir, line, &mut decompressor, &mut |key, value| {
            let (found, held) = entries
                .next()
                .expect("there is an entry for each that was written");
            assert!(**found == *key && **held == *value);
        });
    }
    assert!(entries.next().is_none());
}

fn decompressor() -> Decompressor {
    Decompressor::new().expect("a decompressor")
}

/// Reads the entries of the file that a line of the list names, and gives what the line says of its values.
fn read<'a>(
    dir: &Path,
    line: &'a str,
    decompressor: &mut Decompressor,
    each: &mut dyn FnMut(&[u8], &[u8]),
) -> &'a str {
    let words: Vec<&str> = line.split(' ').collect();
    let [name, hash, content_bytes, values] = words[..] else {
        panic!("the list names files with their hashes and lengths");
    };
    let compressed = fs::read(dir.join(name)).expect("the file is there");
    assert_eq!(digits(&Sha256::digest(&compressed)), hash);
    let content_bytes = content_bytes.parse().expect("a length");
    let frame = decompressor
        .decompress(&compressed, content_bytes)
        .expect("it is decompressed");
    let (mut frame, mut key) = (&frame[..], Vec::new());
    while let [shared, suffix, rest @ ..] = frame {
        key.truncate(usize::from(*shared));
        let (suffix, rest) = rest.split_at(usize::from(*suffix));
        key.extend_from_slice(suffix);
        let (length, rest) = rest.split_at(2);
        let (value, rest) = rest.split_at(usize::from(u16::from_le_bytes([length[0], length[1]])));
        each(&key, value);
        frame = rest;
    }
    values
}

fn durably(path: &Path, bytes: &[u8]) {
    let mut file = File::create_new(path).expect("a new file");
    file.write_all(bytes).expect("it is written");
    file.sync_all().expect("it is synced");
}

fn sync(dir: &Path) {
    let dir = File::open(dir).expect("the directory is there");
    dir.sync_all().expect("it is synced");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let map = BareMap::filled(30_000);
        for care in [Care::None, Care::Taken] {
            let dir = tempfile::tempdir().expect("a temporary directory");
            map.checkpoint(dir.path(), care);
            assert!(restore(dir.path(), care) == map.entries);
        }
        assert_eq!(map.entries.len(), 30_000);
    }
}
