//! The hash of what a partition holds.

use sha2::{Digest as _, Sha256};
use stead_core::{Entry, Key};

/// Entries, bytes and the content hash, gathered entry by entry in the order of keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digest {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    hash: Sha256,
}

impl Digest {
    /// Takes in one entry. Each part is preceded by its length or a tag, so that no two contents give the same input.
    pub(crate) fn add(&mut self, key: &Key, entry: &Entry) {
        self.entries += 1;
        self.bytes += (key.as_bytes().len() + entry.value().len()) as u64;
        let mut front = [0; 25];
        front[..8].copy_from_slice(&(key.as_bytes().len() as u64).to_be_bytes());
        if let Some(deadline) = entry.deadline() {
            front[8] = 1;
            front[9..17].copy_from_slice(&deadline.as_millis().to_be_bytes());
        }
        front[17..].copy_from_slice(&(entry.value().len() as u64).to_be_bytes());
        self.hash.update(front);
        self.hash.update(key.as_bytes());
        self.hash.update(entry.value());
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.hash.finalize().into()
    }
}

/// The hash over partitions.
#[derive(Debug, Default)]
pub(crate) struct Overall(Sha256);

impl Overall {
    pub(crate) fn add(&mut self, partition: &[u8], entries: u64, content: &[u8; 32]) {
        self.0.update((partition.len() as u64).to_be_bytes());
        self.0.update(partition);
        self.0.update(entries.to_be_bytes());
        self.0.update(content);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}
