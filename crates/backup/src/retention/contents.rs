//! What backups take together, of which many share chunks.

use std::collections::{BTreeMap, HashMap};

use super::plan::Candidate;
use crate::chunk::ChunkRef;
use crate::hash::Hash;

/// The chunks of backups. Each is held once, and a number of it for each backup.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    numbers: BTreeMap<Hash, u32>,
    bytes: Vec<u32>,
    of: HashMap<u64, Vec<u32>>,
}

impl Contents {
    /// Adds the chunks of the backup with this sequence number.
    pub(crate) fn add(&mut self, id: u64, chunks: &BTreeMap<Hash, ChunkRef>) {
        let mut numbered = Vec::with_capacity(chunks.len());
        for chunk in chunks.values() {
            let next = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
            let number = *self.numbers.entry(chunk.id).or_insert(next);
            if number == next {
                self.bytes.push(chunk.stored);
            }
            numbered.push(number);
        }
        self.of.insert(id, numbered);
    }

    pub(super) fn scale(&self) -> Scale<'_> {
        Scale {
            contents: self,
            weighed: vec![false; self.bytes.len()],
        }
    }
}

/// Weighs backups, one upon the other.
pub(super) struct Scale<'a> {
    contents: &'a Contents,
    weighed: Vec<bool>,
}

impl Scale<'_> {
    /// How many bytes more it is with `one`. Where its chunks are not known, those that it added to the repository when it
    /// was made.
    pub(super) fn add(&mut self, one: &Candidate) -> u64 {
        let Some(chunks) = self.contents.of.get(&one.id) else {
            return one.stored_bytes;
        };
        let mut more = 0_u64;
        for number in chunks.iter().map(|number| *number as usize) {
            if !std::mem::replace(&mut self.weighed[number], true) {
                more += u64::from(self.contents.bytes[number]);
            }
        }
        more
    }
}
