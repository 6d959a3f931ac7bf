//! What tells two batches with the same request id apart.

use sha2::{Digest, Sha256};

use crate::{Expect, Expiry, KeyRange, Mutation, Precondition, WriteBatch};

/// SHA-256 over the preconditions and mutations of a batch, and the revision that it is raised to.
///
/// Every field is preceded by its length or a tag, so that no two batches give the same input. Neither the request id
/// nor the durability counts: a retry may ask for more of it. Nor does what is said to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of `batch`.
    #[must_use]
    pub fn of(batch: &WriteBatch) -> Self {
        let mut hash = Canonical(Sha256::new());
        for precondition in batch.preconditions() {
            hash.precondition(precondition);
        }
        for mutation in batch.mutations() {
            hash.mutation(mutation);
        }
        if let Some(revision) = batch.raised_to() {
            hash.tag(6);
            hash.number(revision.get());
        }
        Fingerprint(hash.0.finalize().into())
    }

    /// The fingerprint that was stored as these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Fingerprint(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

struct Canonical(Sha256);

impl Canonical {
    fn tag(&mut self, tag: u8) {
        self.0.update([tag]);
    }

    fn number(&mut self, number: u64) {
        self.0.update(number.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn range(&mut self, range: &KeyRange) {
        self.bytes(range.start());
        match range.end() {
            Some(end) => {
                self.tag(1);
                self.bytes(end);
            }
            None => self.tag(0),
        }
    }

    fn precondition(&mut self, precondition: &Precondition) {
        match precondition {
            Precondition::Key { key, expect } => {
                self.tag(1);
                self.bytes(key.as_bytes());
                match expect {
                    Expect::Absent => self.tag(0),
                    Expect::Present => self.tag(1),
                    Expect::At(revision) => {
                        self.tag(2);
                        self.number(revision.get());
                    }
                }
            }
            Precondition::Count { range, entries } => {
                self.tag(2);
                self.range(range);
                self.number(*entries);
            }
        }
    }

    fn mutation(&mut self, mutation: &Mutation) {
        match mutation {
            Mutation::Put { key, value, expiry } => {
                self.tag(3);
                self.bytes(key.as_bytes());
                self.bytes(value);
                self.expiry(*expiry);
            }
            Mutation::Delete { key } => {
                self.tag(4);
                self.bytes(key.as_bytes());
            }
            Mutation::Touch { key, expiry } => {
                self.tag(5);
                self.bytes(key.as_bytes());
                self.expiry(*expiry);
            }
        }
    }

    fn expiry(&mut self, expiry: Expiry) {
        match expiry {
            Expiry::Never => self.tag(0),
            Expiry::Keep => self.tag(1),
            Expiry::After(ttl) => {
                self.tag(2);
                self.number(ttl.as_millis());
            }
            Expiry::At(deadline) => {
                self.tag(3);
                self.number(deadline.as_millis());
            }
        }
    }
}
