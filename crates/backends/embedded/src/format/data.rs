//! Records of entries.

use stead_core::{Entry, Error, Result, Revision, Timestamp};

use super::checksums::{Checksums, LONG_BYTES};
use super::{RECORD_VERSION, Reader, checksum};
use crate::recent::Facts;

const HAS_DEADLINE: u8 = 0x01;

/// An entry as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DataRecord<'a> {
    pub(crate) revision: Revision,
    pub(crate) deadline: Option<Timestamp>,
    pub(crate) value: &'a [u8],
}

impl<'a> DataRecord<'a> {
    /// Reads the record under `key`.
    ///
    /// # Errors
    ///
    /// `Corrupt` when these are not the bytes that were written there.
    #[inline]
    pub(crate) fn decode(key: &[u8], bytes: &'a [u8]) -> Result<Self> {
        let parsed = Self::parse(bytes)
            .filter(|(record, header, stored)| *stored == checksum(&[key, header, record.value]));
        parsed.map(|(record, ..)| record).ok_or_else(|| refused(bytes))
    }

    /// As [`decode`](DataRecord::decode), for a reader of many records: what it gives is to be trusted only once
    /// `checksums` were compared.
    ///
    /// # Errors
    ///
    /// `Corrupt` when these, or those before, are not the bytes that were written there.
    #[inline]
    pub(crate) fn decode_for(checksums: &mut Checksums, key: &[u8], bytes: &'a [u8]) -> Result<Self> {
        if bytes.len() >= LONG_BYTES {
            return Self::decode(key, bytes);
        }
        let (record, header, stored) = Self::parse(bytes).ok_or_else(|| refused(bytes))?;
        checksums.add([key, header, record.value], stored)?;
        Ok(record)
    }

    /// The record, the bytes in front of its checksum, and the checksum, which is not compared.
    #[inline]
    fn parse(bytes: &'a [u8]) -> Option<(Self, &'a [u8], u32)> {
        let mut reader = Reader::new(bytes);
        let tag = reader.u8()?;
        if tag & !HAS_DEADLINE != RECORD_VERSION {
            return None;
        }
        let revision = Revision::new(reader.u64()?);
        let (deadline, header_bytes) = if tag & HAS_DEADLINE == 0 {
            (None, 9)
        } else {
            (Some(Timestamp::from_millis(reader.u64()?)), 17)
        };
        let stored = reader.u32()?;
        let record = DataRecord {
            revision,
            deadline,
            value: reader.rest(),
        };
        (deadline != Some(Timestamp::MAX)).then_some((record, bytes.get(..header_bytes)?, stored))
    }

    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// All but the value.
    pub(crate) fn facts(&self) -> Facts {
        Facts {
            revision: self.revision,
            deadline: self.deadline,
            value_bytes: self.value.len() as u64,
        }
    }

    pub(crate) fn to_entry(self) -> Entry {
        Entry::new(self.value, self.revision, self.deadline)
    }
}

#[cold]
fn refused(bytes: &[u8]) -> Error {
    match bytes.first() {
        Some(tag) if tag & 0xF0 > RECORD_VERSION => {
            Error::corrupt("an entry was written by a newer format; use a newer version of the program")
                .with("record_version", tag >> 4)
        }
        _ => damaged().with("record_bytes", bytes.len()),
    }
}

#[cold]
pub(super) fn damaged() -> Error {
    Error::corrupt("an entry is not what was written; restore it from a backup and check the disk")
}

/// The record of an entry under `key`.
pub(crate) fn encode_data(key: &[u8], record: &DataRecord<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(21 + record.value.len());
    out.push(
        RECORD_VERSION
            | if record.deadline.is_some() {
                HAS_DEADLINE
            } else {
                0
            },
    );
    out.extend_from_slice(&record.revision.get().to_be_bytes());
    if let Some(deadline) = record.deadline {
        out.extend_from_slice(&deadline.as_millis().to_be_bytes());
    }
    let checksum = checksum(&[key, &out, record.value]);
    out.extend_from_slice(&checksum.to_be_bytes());
    out.extend_from_slice(record.value);
    out
}

/// What an entry counts for in the store's byte counter: its key and its value.
pub(crate) fn data_record_bytes(key: &[u8], value: &[u8]) -> u64 {
    counted_bytes(key, value.len() as u64)
}

/// The same, of a value of this length.
pub(crate) fn counted_bytes(key: &[u8], value_bytes: u64) -> u64 {
    key.len() as u64 + value_bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn layout_is_as_documented() {
        let record = DataRecord {
            revision: Revision::new(0x0102),
            deadline: Some(Timestamp::from_millis(0x0304)),
            value: b"v",
        };
        let bytes = encode_data(b"p\0k", &record);
        assert_eq!(
            bytes[..17],
            [0x11, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 3, 4]
        );
        assert_eq!(
            bytes[17..21],
            crc32fast::hash(&[b"p\0k", &bytes[..17], b"v"].concat()).to_be_bytes()
        );
        assert_eq!(&bytes[21..], b"v");
        let plain = DataRecord {
            deadline: None,
            ..record
        };
        let bytes = encode_data(b"p\0k", &plain);
        assert_eq!(bytes[..9], [0x10, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(bytes.len(), 14);
    }

    #[test]
    fn newer_record_is_named_as_such() {
        let error = DataRecord::decode(b"k", &[0x20, 1, 2, 3]).unwrap_err();
        assert!(error.to_string().contains("newer format"), "{error}");
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(key: Vec<u8>, revision: u64, deadline in proptest::option::of(0..u64::MAX), value: Vec<u8>) {
            let record = DataRecord {
                revision: Revision::new(revision),
                deadline: deadline.map(Timestamp::from_millis),
                value: &value,
            };
            let bytes = encode_data(&key, &record);
            prop_assert_eq!(DataRecord::decode(&key, &bytes).unwrap(), record);
        }

        #[test]
        fn every_flipped_bit_and_every_cut_is_found(value in proptest::collection::vec(any::<u8>(), 0..40), deadline in proptest::option::of(0..u64::MAX)) {
            let record = DataRecord {
                revision: Revision::new(77),
                deadline: deadline.map(Timestamp::from_millis),
                value: &value,
            };
            let bytes = encode_data(b"p\0key", &record);
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                prop_assert!(DataRecord::decode(b"p\0key", &flipped).is_err(), "bit {}", bit);
            }
            for length in 0..bytes.len() {
                prop_assert!(DataRecord::decode(b"p\0key", &bytes[..length]).is_err(), "length {}", length);
            }
            prop_assert!(DataRecord::decode(b"p\0kex", &bytes).is_err());
        }

        /// Records before and behind the damaged one, and so long ones that some are in strings of their own.
        #[test]
        fn every_flipped_bit_is_found_among_many(
            mut values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..6),
            long in 0..4 * LONG_BYTES,
            deadline in proptest::option::of(0..u64::MAX),
        ) {
            values.push(vec![7; long]);
            let deadline = deadline.map(Timestamp::from_millis);
            let records: Vec<_> = values
                .iter()
                .map(|value| encode_data(b"p\0key", &DataRecord { revision: Revision::new(77), deadline, value }))
                .collect();
            let sound = |records: &[Vec<u8>]| {
                let mut checksums = Checksums::for_about(2);
                let read = |record: &Vec<u8>| DataRecord::decode_for(&mut checksums, b"p\0key", record).map(drop);
                records.iter().try_for_each(read).and_then(|()| checksums.compare()).is_ok()
            };
            prop_assert!(sound(&records));
            for (index, record) in records.iter().enumerate() {
                for bit in 0..record.len().min(64) * 8 {
                    let mut flipped = records.clone();
                    flipped[index][bit / 8] ^= 1 << (bit % 8);
                    prop_assert!(!sound(&flipped), "bit {}", bit);
                }
            }
        }
    }
}
