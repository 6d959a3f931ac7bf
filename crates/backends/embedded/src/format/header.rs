//! The one record that is written with every commit.

use stead_core::{Error, Result, Revision};

use super::reader::{seal, verified};
use super::{FORMAT_VERSION, Reader};

/// Where the header stands in the meta keyspace.
pub(crate) const HEADER_KEY: &[u8] = b"store";

const MAGIC: [u8; 8] = *b"STEADEMB";

/// What a store knows about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Tells this store from every other one.
    pub(crate) lineage: u128,
    /// The newest revision.
    pub(crate) revision: Revision,
    /// No revision above this one was ever handed out. Equal to `revision` after a clean close.
    pub(crate) ceiling: Revision,
    /// The lowest revision that a watch may begin after.
    pub(crate) floor: Revision,
    /// Records in the change log.
    pub(crate) change_sets: u64,
    /// Records in the data keyspace.
    pub(crate) entries: u64,
    /// Bytes of their keys and values.
    pub(crate) bytes: u64,
    /// The sequence number of the oldest request id that is remembered.
    pub(crate) first_request: u64,
    /// The sequence number that the next request id gets.
    pub(crate) next_request: u64,
}

impl Header {
    pub(crate) fn new(lineage: u128) -> Self {
        Header {
            lineage,
            revision: Revision::ZERO,
            ceiling: Revision::ZERO,
            floor: Revision::ZERO,
            change_sets: 0,
            entries: 0,
            bytes: 0,
            first_request: 0,
            next_request: 0,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(94);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
        out.extend_from_slice(&self.lineage.to_be_bytes());
        for number in [
            self.revision.get(),
            self.ceiling.get(),
            self.floor.get(),
            self.change_sets,
            self.entries,
            self.bytes,
            self.first_request,
            self.next_request,
        ] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        seal(HEADER_KEY, out)
    }

    /// Reads a header. The magic and the version are looked at first, so that a newer store is named as one.
    ///
    /// # Errors
    ///
    /// `Corrupt`.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut front = Reader::new(bytes);
        if front.array() != Some(MAGIC) {
            return Err(Error::corrupt("the header is not that of a stead store"));
        }
        match front.u16() {
            Some(FORMAT_VERSION) => {}
            Some(version) if version > FORMAT_VERSION => {
                return Err(Error::corrupt(
                    "the store was written by a newer format; use a newer version of the program",
                )
                .with("format", version)
                .with("newest_known", FORMAT_VERSION));
            }
            _ => return Err(damaged()),
        }
        let header = verified(HEADER_KEY, bytes).and_then(parse).ok_or_else(damaged)?;
        let sane = header.revision <= header.ceiling
            && header.floor <= header.revision
            && header.first_request <= header.next_request;
        if sane { Ok(header) } else { Err(damaged()) }
    }
}

fn damaged() -> Error {
    Error::corrupt("the store's header is not what was written; restore the store from a backup")
}

fn parse(body: &[u8]) -> Option<Header> {
    let mut reader = Reader::new(body);
    reader.bytes(MAGIC.len() + 2)?;
    let header = Header {
        lineage: u128::from_be_bytes(reader.array()?),
        revision: Revision::new(reader.u64()?),
        ceiling: Revision::new(reader.u64()?),
        floor: Revision::new(reader.u64()?),
        change_sets: reader.u64()?,
        entries: reader.u64()?,
        bytes: reader.u64()?,
        first_request: reader.u64()?,
        next_request: reader.u64()?,
    };
    reader.is_empty().then_some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Header {
        Header {
            lineage: 0x0123_4567_89ab_cdef_0011_2233_4455_6677,
            revision: Revision::new(12),
            ceiling: Revision::new(1_048_588),
            floor: Revision::new(3),
            change_sets: 9,
            entries: 5,
            bytes: 300,
            first_request: 1,
            next_request: 4,
        }
    }

    #[test]
    fn what_was_written_is_read_and_every_flipped_bit_is_found() {
        let bytes = sample().encode();
        assert_eq!(bytes.len(), 94);
        assert_eq!(Header::decode(&bytes).unwrap(), sample());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&flipped).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(Header::decode(&bytes[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn newer_format_is_named_before_the_checksum_is_looked_at() {
        let mut bytes = sample().encode();
        bytes[9] = 2;
        bytes.extend_from_slice(b"more fields");
        let error = Header::decode(&bytes).unwrap_err();
        assert!(error.to_string().contains("newer format"), "{error}");
    }

    #[test]
    fn impossible_numbers_are_refused() {
        let wrong = Header {
            floor: Revision::new(13),
            ..sample()
        };
        assert!(Header::decode(&wrong.encode()).is_err());
    }
}
