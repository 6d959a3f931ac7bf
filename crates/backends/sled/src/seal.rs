//! What a commit says about all records, so that records which sled lost in silence are missed.
//!
//! sled checks every page that it reads, but not that its log is whole: after an unclean end it takes what it finds as
//! the end of the log, or of a part of it. A seal counts the records and sums up their checksums. It is part of the
//! commit that it is about.

use stead_core::{Error, Result};
use stead_embedded::Keyspace;

use crate::error;
use crate::record::{self, OWN_KEY};

/// The bytes of a seal: three numbers, big-endian, in the order of the fields.
pub(crate) const SEAL_BYTES: usize = 24;

/// The record that carries the seal when a commit writes it, and the store's header is part of each: a record of its
/// own would be one more write in every commit.
pub(crate) const HOST: (Keyspace, &[u8]) = (Keyspace::Meta, b"store");

/// What a commit says about all records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seal {
    /// The number of the commit.
    pub(crate) commit: u64,
    /// How many records there are, parts counted, the engine's own not.
    pub(crate) records: u64,
    /// The wrapping sum of their checksums.
    pub(crate) sum: u64,
}

impl Seal {
    pub(crate) fn encode(&self) -> [u8; SEAL_BYTES] {
        let mut bytes = [0; SEAL_BYTES];
        bytes[..8].copy_from_slice(&self.commit.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.records.to_be_bytes());
        bytes[16..].copy_from_slice(&self.sum.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; SEAL_BYTES]) -> Self {
        let number = |from: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[from..from + 8]);
            u64::from_be_bytes(number)
        };
        Seal {
            commit: number(0),
            records: number(8),
            sum: number(16),
        }
    }

    /// Counts a record in.
    pub(crate) fn add(&mut self, key: &[u8], record: &[u8]) {
        self.records = self.records.wrapping_add(1);
        self.sum = self.sum.wrapping_add(record::weight(key, record));
    }

    /// Counts a record out.
    pub(crate) fn remove(&mut self, key: &[u8], record: &[u8]) {
        self.records = self.records.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(record::weight(key, record));
    }

    /// Compares what was found with what the last commit says.
    ///
    /// # Errors
    ///
    /// `Corrupt` if it is not the same.
    pub(crate) fn compare(&self, found: &Seal) -> Result<()> {
        if (self.records, self.sum) == (found.records, found.sum) {
            return Ok(());
        }
        Err(
            Error::corrupt("sled lost or changed records in silence; restore the store from a backup")
                .with("records", found.records)
                .with("expected_records", self.records),
        )
    }
}

/// The newest of the seals in the host and in the engine's own record.
///
/// # Errors
///
/// `Corrupt` for a record that is none.
pub(crate) fn newest(host: Option<&[u8]>, own: Option<&[u8]>) -> Result<Option<Seal>> {
    let mut newest: Option<Seal> = None;
    for bytes in [host, own].into_iter().flatten() {
        let seal = record::decode(bytes)?.seal;
        newest = newest.into_iter().chain(seal).max_by_key(|seal| seal.commit);
    }
    Ok(newest)
}

/// The newest seal in a tree.
///
/// # Errors
///
/// A failure to read, `Corrupt` for a record that is none.
pub(crate) fn find(tree: &sled::Tree) -> Result<Option<Seal>> {
    let read = |key: &[u8]| tree.get(key).map_err(error::storage);
    let host = read(&record::key_of(HOST.0, HOST.1))?;
    newest(host.as_deref(), read(OWN_KEY)?.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seal_comes_back() {
        let seal = Seal {
            commit: 1,
            records: u64::MAX,
            sum: 3,
        };
        assert_eq!(Seal::decode(&seal.encode()), seal);
    }

    #[test]
    fn order_of_writes_does_not_matter_but_every_record_does() {
        let (mut one, mut two) = (Seal::default(), Seal::default());
        one.add(b"\x01a", b"\x101");
        one.add(b"\x01b", b"\x102");
        one.add(b"\x01c", b"\x103");
        one.remove(b"\x01c", b"\x103");
        two.add(b"\x01b", b"\x102");
        two.add(b"\x01a", b"\x101");
        assert!(one.compare(&two).is_ok());
        two.remove(b"\x01a", b"\x101");
        assert!(one.compare(&two).is_err());
        two.add(b"\x01a", b"\x102");
        assert!(one.compare(&two).is_err(), "an older value is missed");
    }

    #[test]
    fn newest_seal_counts() {
        let sealed = |commit| {
            let mut bytes = vec![0x10];
            let seal = Seal {
                commit,
                ..Seal::default()
            };
            record::append_seal(&mut bytes, &seal);
            bytes
        };
        let commit =
            |host: Option<&[u8]>, own: Option<&[u8]>| newest(host, own).unwrap().map(|seal| seal.commit);
        assert_eq!(commit(Some(&sealed(2)), Some(&sealed(1))), Some(2));
        assert_eq!(commit(Some(&sealed(2)), Some(&sealed(3))), Some(3));
        assert_eq!(commit(Some(b"\x10"), Some(&sealed(1))), Some(1));
        assert_eq!(commit(None, None), None);
    }
}
