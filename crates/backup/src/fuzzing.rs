//! What the fuzz targets call: any bytes are answered, without a panic, in little memory, and soon.
#![allow(missing_docs, reason = "no part of the API")]

use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use stead_core::{Backend, Clock};

use crate::chunk::{self, ChunkRef, Kind};
use crate::hash::Hash;
use crate::index::Node;
use crate::location::Location;
use crate::log::{self, LogRecord};
use crate::manifest::Root;
use crate::records::{self, Shape};
use crate::repository::Repository;
use crate::{RestoreOptions, RestorePoint, VerifyOptions, lock, partitions, repository, sealed};

/// The name of an object, and its bytes.
pub type File = (String, Vec<u8>);

/// Objects that are sealed: as they are, and with a right seal.
pub fn sealed(bytes: &[u8]) {
    read_sealed(bytes);
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut forged = line.to_vec();
    forged.extend_from_slice(format!("\n{}\n", Hash::of(line)).as_bytes());
    read_sealed(&forged);
}

fn read_sealed(bytes: &[u8]) {
    if let Ok((record, hash)) = sealed::decode::<LogRecord>(bytes) {
        let (again, same) = sealed::encode(&record).expect("what was read is written");
        assert_eq!((&again[..], same), (bytes, hash));
        let _ = record.is_sound();
    }
    log::fuzz_head(bytes);
    repository::fuzz_format(bytes);
    lock::fuzz(bytes);
}

/// A chunk: under its own name, as each kind, with the length of content that it says itself.
pub fn chunk(bytes: &[u8]) {
    let content = match bytes.get(8..12) {
        Some(length) => u32::from_le_bytes(length.try_into().expect("four bytes")),
        None => 0,
    };
    let named = ChunkRef {
        id: Hash::of(bytes),
        content,
        stored: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
    };
    let bytes = Bytes::copy_from_slice(bytes);
    for kind in [Kind::Records, Kind::Index, Kind::Partitions] {
        if let Ok(content) = chunk::decode(&named, kind, &bytes) {
            contents(&content);
        }
    }
}

/// What is in a chunk, as each kind.
pub fn contents(content: &[u8]) {
    let content = Bytes::copy_from_slice(content);
    for shape in [Shape::Full, Shape::Increment] {
        if let Ok(records) = records::decode(&content, shape) {
            let mut again = Vec::new();
            records::encode(&records, shape, &mut again);
            let again = Bytes::from(again);
            let same = records::decode(&again, shape).expect("what was read is written");
            assert_eq!(records.len(), same.len());
            assert!(records.is_sorted_by(|one, other| one.key < other.key));
            assert!(
                records
                    .iter()
                    .map(|record| record.payload.value().map_or(0, <[u8]>::len))
                    .sum::<usize>()
                    <= content.len()
            );
        }
    }
    if let Ok(node) = Node::read(&content) {
        assert_eq!(node.encode(), content);
        let root = Root {
            chunk: ChunkRef {
                id: Hash::of(&content),
                content: 0,
                stored: 0,
            },
            digest: node.digest(),
            level: node.level,
            records: node.records(),
        };
        assert!(Node::decode(&root, &content).is_ok());
    }
    let _ = partitions::check(&content, 0);
}

/// A repository of these files, listed, verified, and each of its backups restored into what `target` gives. With
/// `reseal`, its sealed objects have right seals, and name one another by them.
pub fn repository(files: &[File], reseal: bool, target: impl Fn() -> Arc<dyn Backend>, clock: &dyn Clock) {
    let files = if reseal { resealed(files) } else { files.to_vec() };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime begins");
    runtime.block_on(async {
        let store = Arc::new(InMemory::new());
        for (name, bytes) in files {
            // What is no name of an object cannot be there.
            if let Ok(path) = Path::parse(&name) {
                let _ = store.put(&path, bytes.into()).await;
            }
        }
        let location = Location::new(store as Arc<dyn ObjectStore>, Path::default(), "files");
        let Ok(repository) = Repository::open_at(location).await else {
            return;
        };
        let verified = repository.verify(&VerifyOptions::default()).await;
        let Ok(backups) = repository.backups().await else {
            assert!(verified.is_err());
            return;
        };
        for backup in backups.iter().rev().take(8) {
            let target = target();
            let options = RestoreOptions::new(RestorePoint::Backup(backup.id));
            match repository.restore(&target, &options, clock).await {
                Ok(_) => {}
                Err(_) => {
                    // What is whole is refused for what it holds alone, and what is not is never begun.
                    let commits = target.stats().await.expect("a store in memory").commits;
                    assert!(commits == 0 || verified.is_ok());
                }
            }
        }
    });
}

/// The files with right seals, and with the new hash of each record in those that name it.
fn resealed(files: &[File]) -> Vec<File> {
    let mut files = files.to_vec();
    // HEAD names records, and records those before: in the order of the log, and HEAD last.
    files.sort_by_key(|(name, _)| (name == "HEAD", name.clone()));
    for index in 0..files.len() {
        let (name, bytes) = &files[index];
        if name.starts_with("chunks/") {
            continue;
        }
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let (line, seal) = (
            lines.next().unwrap_or_default().to_vec(),
            lines.next().unwrap_or_default().to_vec(),
        );
        let hash = Hash::of(&line).to_string();
        files[index].1 = [&line[..], b"\n", hash.as_bytes(), b"\n"].concat();
        if seal.len() == hash.len() && seal != hash.as_bytes() {
            for (_, later) in &mut files[index + 1..] {
                replace(later, &seal, hash.as_bytes());
            }
        }
    }
    files
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    for start in 0..bytes.len().saturating_sub(from.len() - 1) {
        if bytes[start..].starts_with(from) {
            bytes[start..start + from.len()].copy_from_slice(to);
        }
    }
}

/// Files in one: each a byte with the length of the name, the name, four bytes with its length (little-endian), the file.
pub fn unpack(mut bytes: &[u8]) -> Vec<File> {
    let mut files = Vec::new();
    while let Some((file, rest)) = unpack_one(bytes) {
        files.push(file);
        bytes = rest;
    }
    files
}

fn unpack_one(bytes: &[u8]) -> Option<(File, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    // One that is cut short is shorter.
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let (file, rest) = rest.split_at(length.min(rest.len()));
    Some(((String::from_utf8_lossy(name).into_owned(), file.to_vec()), rest))
}

#[cfg(test)]
pub(crate) fn pack(files: &[File]) -> Vec<u8> {
    let mut packed = Vec::new();
    for (name, bytes) in files {
        packed.push(u8::try_from(name.len()).expect("a short name"));
        packed.extend_from_slice(name.as_bytes());
        packed.extend_from_slice(&u32::try_from(bytes.len()).expect("a short file").to_le_bytes());
        packed.extend_from_slice(bytes);
    }
    packed
}
