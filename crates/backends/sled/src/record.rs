//! Keys and records as they are in sled's one tree.
//!
//! A key begins with the byte of its keyspace: [`Keyspace::index`] plus one. Parts of long records have the keys of their
//! records behind [`PARTS`] and a part number at the end, four bytes, big-endian.
//!
//! A record begins with a tag: version 1 in its upper half, and what follows in its lower one.
//!
//! | bit | set | what follows |
//! |---|---|---|
//! | | none | the value |
//! | 0 | `COMPRESSED` | the length of the value, four bytes, big-endian; one zstd frame |
//! | 1 | `PARTED` | the length of what would follow otherwise, four bytes, big-endian; it is in parts of 16 KiB |
//! | 2 | `SEALED` | besides, a seal at the very end |
//!
//! Between the records and the parts lies a fence of [`FENCE_RECORDS`] empty records behind [`FENCE`]. sled writes all of a
//! page with every tenth change of it, and the store's header, which every commit changes, would otherwise share its page
//! with the first parts, sixteen times 16 KiB.
//!
//! Parts are why sled never writes a blob: a page holds at most 17 records, and what fits into a quarter of a segment
//! stays in the log. Blobs are files of their own, which sled does not sync, and forgets in silence when they are lost.

use sled::IVec;
use stead_core::{Error, Result};
use stead_embedded::Keyspace;

use crate::compress;
use crate::seal::{SEAL_BYTES, Seal};

/// The first byte of the keys of parts.
const PARTS: u8 = 0x10;
/// The first byte of the keys of the fence; the number of the record follows.
const FENCE: u8 = 0x0F;
/// So many that no page has records on both sides of it: sled splits pages of more than 16 records, and merges those of
/// less than 4 with their neighbours.
const FENCE_RECORDS: u8 = 32;
/// The engine's own record, which holds a seal where no other does.
pub(crate) const OWN_KEY: &[u8] = b"\0seal";
/// The most bytes of a record's body that stay in the record.
pub(crate) const PART_BYTES: usize = 16 << 10;

/// Up to this many bytes are put together on the stack.
const JOINED_BYTES: usize = 256;

/// The record of an empty value.
pub(crate) const EMPTY: &[u8] = &[VERSION];

const VERSION: u8 = 0x10;
const COMPRESSED: u8 = 1;
const PARTED: u8 = 2;
const SEALED: u8 = 4;

/// The key in sled of a key in a keyspace.
pub(crate) fn key_of(space: Keyspace, key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + key.len());
    bytes.push(space_byte(space));
    bytes.extend_from_slice(key);
    bytes
}

/// As [`key_of`], the way sled takes it.
pub(crate) fn sled_key(space: Keyspace, key: &[u8]) -> IVec {
    // On the stack: sled copies it anyway.
    let mut bytes = [0; JOINED_BYTES];
    match bytes.get_mut(..=key.len()) {
        Some(bytes) => {
            bytes[0] = space_byte(space);
            bytes[1..].copy_from_slice(key);
            IVec::from(&*bytes)
        }
        None => IVec::from(key_of(space, key)),
    }
}

/// The first key behind a keyspace.
pub(crate) fn end_of(space: Keyspace) -> Vec<u8> {
    vec![space_byte(space) + 1]
}

#[expect(clippy::cast_possible_truncation, reason = "there are five")]
fn space_byte(space: Keyspace) -> u8 {
    space.index() as u8 + 1
}

/// The key of a part of the record at `key`.
pub(crate) fn part_key(key: &[u8], number: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len() + 5);
    bytes.push(PARTS);
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
    bytes
}

/// The keys of the fence.
pub(crate) fn fence_keys() -> impl Iterator<Item = [u8; 2]> {
    (0..FENCE_RECORDS).map(|number| [FENCE, number])
}

/// Whether a key is of a record of the engine's own, which no seal counts.
pub(crate) fn is_own(key: &[u8]) -> bool {
    key == OWN_KEY || key.first() == Some(&FENCE)
}

/// A record to be written.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) record: Vec<u8>,
    pub(crate) parts: Vec<IVec>,
}

/// Encodes a value.
///
/// # Errors
///
/// `Invalid` for one of 4 GiB or more; `Unsupported` where compression is wanted and not compiled in.
pub(crate) fn encode(value: &[u8], compressing: bool) -> Result<Encoded> {
    let compressed = if compressing {
        compress::compress(value)?
    } else {
        None
    };
    let (tag, body) = match &compressed {
        Some(body) => (VERSION | COMPRESSED, body.as_slice()),
        None => (VERSION, value),
    };
    if body.len() <= PART_BYTES {
        let mut record = Vec::with_capacity(1 + body.len() + SEAL_BYTES);
        record.push(tag);
        record.extend_from_slice(body);
        return Ok(Encoded {
            record,
            parts: Vec::new(),
        });
    }
    let length = u32::try_from(body.len()).map_err(|_| {
        Error::invalid("a record is larger than the engine can hold").with("size_bytes", body.len())
    })?;
    let mut record = vec![tag | PARTED];
    record.extend_from_slice(&length.to_be_bytes());
    Ok(Encoded {
        record,
        parts: body.chunks(PART_BYTES).map(IVec::from).collect(),
    })
}

/// What a record says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded<'a> {
    pub(crate) is_compressed: bool,
    pub(crate) body: Body<'a>,
    pub(crate) seal: Option<Seal>,
}

/// Where the body of a record is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    Here(&'a [u8]),
    /// In parts of this many bytes together.
    Parts(usize),
}

impl Body<'_> {
    /// How many parts there are.
    pub(crate) fn parts(&self) -> usize {
        match self {
            Body::Here(_) => 0,
            Body::Parts(length) => length.div_ceil(PART_BYTES),
        }
    }
}

/// Reads a record.
///
/// # Errors
///
/// `Corrupt` for what is none.
pub(crate) fn decode(record: &[u8]) -> Result<Decoded<'_>> {
    let (&tag, mut body) = record.split_first().ok_or_else(damaged)?;
    if tag & !(COMPRESSED | PARTED | SEALED) != VERSION {
        return Err(damaged().with("tag", tag));
    }
    let mut seal = None;
    if tag & SEALED != 0 {
        let (front, back) = body.split_last_chunk().ok_or_else(damaged)?;
        seal = Some(Seal::decode(back));
        body = front;
    }
    let body = if tag & PARTED == 0 {
        Body::Here(body)
    } else {
        let length: [u8; 4] = body.try_into().map_err(|_| damaged())?;
        Body::Parts(u32::from_be_bytes(length) as usize)
    };
    Ok(Decoded {
        is_compressed: tag & COMPRESSED != 0,
        body,
        seal,
    })
}

/// Puts a seal at the end of a record that has none.
pub(crate) fn append_seal(record: &mut Vec<u8>, seal: &Seal) {
    if let Some(tag) = record.first_mut() {
        debug_assert_eq!(*tag & SEALED, 0, "a record is sealed once");
        *tag |= SEALED;
        record.extend_from_slice(&seal.encode());
    }
}

/// The checksum of a key and its record, a seal left out.
pub(crate) fn weight(key: &[u8], record: &[u8]) -> u64 {
    let mut joined = [0; JOINED_BYTES];
    let Some(joined) = joined.get_mut(..key.len() + record.len()) else {
        return weight_in_pieces(key, record);
    };
    let (front, behind) = joined.split_at_mut(key.len());
    front.copy_from_slice(key);
    behind.copy_from_slice(record);
    let mut length = joined.len();
    if let Some(tag) = record.first()
        && tag & SEALED != 0
        && key.first() != Some(&PARTS)
    {
        joined[key.len()] = tag & !SEALED;
        length -= SEAL_BYTES.min(record.len() - 1);
    }
    u64::from(crc32fast::hash(&joined[..length]))
}

/// The same of what is long, where putting it together would cost more than its beginnings and ends do.
fn weight_in_pieces(key: &[u8], record: &[u8]) -> u64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    match record.split_first() {
        Some((tag, body)) if key.first() != Some(&PARTS) => {
            let sealed = if tag & SEALED == 0 { 0 } else { SEAL_BYTES };
            hasher.update(&[tag & !SEALED]);
            hasher.update(&body[..body.len().saturating_sub(sealed)]);
        }
        _ => hasher.update(record),
    }
    u64::from(hasher.finalize())
}

#[cold]
pub(crate) fn damaged() -> Error {
    Error::corrupt("a record is none of a stead store; restore the store from a backup")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_value_follows_its_tag() {
        let encoded = encode(b"milk", false).unwrap();
        assert_eq!(encoded.record, b"\x10milk");
        assert!(encoded.parts.is_empty());
        let decoded = decode(&encoded.record).unwrap();
        assert_eq!(decoded.body, Body::Here(b"milk"));
        assert!(!decoded.is_compressed && decoded.seal.is_none());
    }

    #[test]
    fn long_value_is_in_parts() {
        for (length, parts) in [(PART_BYTES, 0), (PART_BYTES + 1, 2), (3 * PART_BYTES, 3)] {
            let encoded = encode(&vec![7; length], false).unwrap();
            assert_eq!(encoded.parts.len(), parts);
            let decoded = decode(&encoded.record).unwrap();
            assert_eq!(decoded.body.parts(), parts);
            let total: usize = encoded.parts.iter().map(|part| part.len()).sum();
            assert!(parts == 0 || total == length);
        }
    }

    #[test]
    fn seal_comes_off_and_weighs_nothing() {
        let seal = Seal {
            commit: 7,
            records: 2,
            sum: u64::MAX,
        };
        let plain = encode(b"milk", false).unwrap().record;
        let mut sealed = plain.clone();
        append_seal(&mut sealed, &seal);
        let decoded = decode(&sealed).unwrap();
        assert_eq!(decoded.body, Body::Here(b"milk"));
        assert_eq!(decoded.seal, Some(seal));
        assert_eq!(weight(b"\x04k", &plain), weight(b"\x04k", &sealed));
        assert_ne!(weight(b"\x04k", &plain), weight(b"\x04l", &plain));
    }

    #[test]
    fn weight_is_the_same_in_one_piece_and_in_several() {
        let seal = Seal::default();
        for length in [0, 1, 23, 24, 100, JOINED_BYTES - 3, JOINED_BYTES] {
            for is_sealed in [false, true] {
                let mut record = encode(&vec![7; length], false).unwrap().record;
                if is_sealed {
                    append_seal(&mut record, &seal);
                }
                for key in [&b"\x01k"[..], &[PARTS, 1], b""] {
                    assert_eq!(weight(key, &record), weight_in_pieces(key, &record));
                }
            }
        }
        for damaged in [&b""[..], &[VERSION | SEALED], &[VERSION | SEALED, 1]] {
            assert_eq!(weight(b"\x01k", damaged), weight_in_pieces(b"\x01k", damaged));
        }
    }

    #[test]
    fn keys_of_any_length_are_those_of_sled() {
        for length in [0, 1, 22, JOINED_BYTES - 1, JOINED_BYTES] {
            let key = vec![7; length];
            assert_eq!(sled_key(Keyspace::Meta, &key), key_of(Keyspace::Meta, &key));
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for bytes in [
            &b""[..],
            b"\x20",
            b"\x18",
            b"\x14short",
            b"\x12\0\0\0",
            b"\x12\0\0\0\0\0",
        ] {
            assert_eq!(decode(bytes).unwrap_err().kind(), stead_core::ErrorKind::Corrupt);
        }
    }

    #[test]
    fn parts_of_different_keys_never_meet() {
        assert_ne!(part_key(b"\x01a", 0), part_key(b"\x01a\0\0\0\0", 0));
        assert!(part_key(b"\x01a", 255) < part_key(b"\x01a", 256));
        assert!(end_of(Keyspace::History) < vec![PARTS]);
    }

    #[test]
    fn fence_lies_between_the_records_and_the_parts() {
        assert!(fence_keys().is_sorted() && fence_keys().all(|key| is_own(&key)));
        assert!(fence_keys().all(|key| end_of(Keyspace::History)[..] < key[..] && key[0] < PARTS));
    }
}
