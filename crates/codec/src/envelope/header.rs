//! The header: reading and writing it, and the checksum.

use std::ops::Range;

use stead_core::{Error, Result};

use crate::{Codec, SchemaRef, StateClass};

/// Byte 0 of every envelope: the mark in the upper half, the version in the lower.
const VERSION: u8 = 0xE1;
const MARK: u8 = 0xF0;

const ZSTD: u8 = 0x01;
const SCHEMA: u8 = 0x02;
const LONG: u8 = 0x04;

/// Where the checksum stands.
const CRC: Range<usize> = 4..8;
/// Version, codec, flags, class, checksum.
const FIXED_BYTES: usize = 8;
/// Up to here a payload length takes two bytes.
const SHORT_MAX: usize = u16::MAX as usize;

/// What stands in front of a payload.
///
/// From [`peek`](crate::peek) it is what the bytes say, unverified; from [`Envelope::header`](crate::Envelope::header)
/// the checksum has been found right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub(super) codec: Codec,
    pub(super) class: StateClass,
    pub(super) schema: Option<SchemaRef>,
    /// The length after decompression; `None` where the payload is stored as it is.
    pub(super) unpacked_bytes: Option<u32>,
    pub(super) stored_bytes: u32,
}

impl Header {
    /// How the payload is written.
    #[must_use]
    #[inline]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// How much care the value is given.
    #[must_use]
    #[inline]
    pub fn class(&self) -> StateClass {
        self.class
    }

    /// The schema that the value was written under, if any.
    #[must_use]
    #[inline]
    pub fn schema(&self) -> Option<SchemaRef> {
        self.schema
    }

    /// Whether the payload is stored compressed.
    #[must_use]
    #[inline]
    pub fn is_compressed(&self) -> bool {
        self.unpacked_bytes.is_some()
    }

    /// The length of the payload as it is read, after decompression, in bytes.
    #[must_use]
    #[inline]
    pub fn payload_bytes(&self) -> usize {
        self.unpacked_bytes.unwrap_or(self.stored_bytes) as usize
    }

    /// The length of the header itself in bytes: 10 to 24.
    #[must_use]
    #[inline]
    pub fn header_bytes(&self) -> usize {
        head_bytes(
            self.schema.is_some(),
            self.unpacked_bytes.is_some(),
            self.stored_bytes as usize > SHORT_MAX,
        )
    }

    /// Reads the header of a whole envelope and checks that the lengths agree. Does not look at the payload.
    #[inline]
    pub(super) fn read(envelope: &[u8]) -> Result<Header> {
        let Some(fixed) = envelope.first_chunk::<FIXED_BYTES>() else {
            return Err(truncated(envelope.len()));
        };
        let [version, codec, flags, class, ..] = *fixed;
        if version != VERSION {
            return Err(unknown_version(version));
        }
        let (Some(codec), Some(class)) = (Codec::from_byte(codec), StateClass::from_byte(class)) else {
            return Err(unknown("codec or class"));
        };
        if flags & !(ZSTD | SCHEMA | LONG) != 0 {
            return Err(unknown("flag"));
        }
        let mut rest = &envelope[FIXED_BYTES..];
        let stored_bytes = if flags & LONG == 0 {
            u32::from(u16::from_le_bytes(take(&mut rest)?))
        } else {
            u32::from_le_bytes(take(&mut rest)?)
        };
        let schema = if flags & SCHEMA == 0 {
            None
        } else {
            let id = u32::from_le_bytes(take(&mut rest)?);
            let version = u32::from_le_bytes(take(&mut rest)?);
            Some(SchemaRef { id, version })
        };
        let unpacked_bytes = if flags & ZSTD == 0 {
            None
        } else {
            Some(u32::from_le_bytes(take(&mut rest)?))
        };
        let stored = stored_bytes as usize;
        if rest.len() != stored || (flags & LONG != 0) != (stored > SHORT_MAX) {
            return Err(wrong_length(stored, rest.len()));
        }
        Ok(Header {
            codec,
            class,
            schema,
            unpacked_bytes,
            stored_bytes,
        })
    }

    /// Writes the header into the front of an envelope whose payload is in place, and seals it with the checksum.
    #[inline]
    pub(super) fn write(&self, envelope: &mut [u8]) {
        let (fixed, behind) = envelope.split_at_mut(FIXED_BYTES);
        let mut flags = 0;
        let mut rest = &mut *behind;
        let length = self.stored_bytes.to_le_bytes();
        if self.stored_bytes as usize > SHORT_MAX {
            flags |= LONG;
            put(&mut rest, length);
        } else {
            put(&mut rest, [length[0], length[1]]);
        }
        if let Some(schema) = self.schema {
            flags |= SCHEMA;
            put(&mut rest, schema.id.to_le_bytes());
            put(&mut rest, schema.version.to_le_bytes());
        }
        if let Some(unpacked_bytes) = self.unpacked_bytes {
            flags |= ZSTD;
            put(&mut rest, unpacked_bytes.to_le_bytes());
        }
        let head = [VERSION, self.codec.to_byte(), flags, self.class.to_byte()];
        let crc = checksum(head, behind);
        fixed[..CRC.start].copy_from_slice(&head);
        fixed[CRC].copy_from_slice(&crc.to_le_bytes());
    }
}

/// Writes `bytes` to the front of `rest`, which goes on behind them. Of a known length each: stores instead of calls.
#[inline]
fn put<const N: usize>(rest: &mut &mut [u8], bytes: [u8; N]) {
    let (front, behind) = std::mem::take(rest)
        .split_first_chunk_mut()
        .expect("there is room for the header");
    *front = bytes;
    *rest = behind;
}

/// The longest header.
pub(super) const MAX_HEAD_BYTES: usize = head_bytes(true, true, true);

/// How many bytes a header takes.
#[inline]
pub(super) const fn head_bytes(schema: bool, zstd: bool, long: bool) -> usize {
    FIXED_BYTES + if long { 4 } else { 2 } + if schema { 8 } else { 0 } + if zstd { 4 } else { 0 }
}

/// Whether a payload of this length needs the long form.
#[inline]
pub(super) const fn is_long(stored_bytes: usize) -> bool {
    stored_bytes > SHORT_MAX
}

/// The checksum of everything but itself: of the first four bytes and of what is behind it.
#[inline]
fn checksum(head: [u8; 4], behind: &[u8]) -> u32 {
    let [version, codec, flags, class] = head;
    let begun = BEGUN
        .get(usize::from(codec))
        .and_then(|classes| classes.get(usize::from(class)));
    let mut hasher = match begun {
        Some(begun) if version == VERSION && flags == 0 => {
            crc32fast::Hasher::new_with_initial_len(*begun, head.len() as u64)
        }
        _ => {
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(&head);
            hasher
        }
    };
    hasher.update(behind);
    hasher.finalize()
}

const CODECS: usize = Codec::ALL.len();
const CLASSES: usize = StateClass::ALL.len();

/// The checksums of the first four bytes of envelopes without flags, by codec and class: to go through these bytes each
/// time takes a third as long as a usual value does.
const BEGUN: [[u32; CLASSES]; CODECS] = {
    let mut begun = [[0; CLASSES]; CODECS];
    let mut codec = 0;
    while codec < CODECS {
        let mut class = 0;
        while class < CLASSES {
            begun[codec][class] = checksum_of_head([
                VERSION,
                Codec::ALL[codec].to_byte(),
                0,
                StateClass::ALL[class].to_byte(),
            ]);
            class += 1;
        }
        codec += 1;
    }
    begun
};

const fn checksum_of_head(bytes: [u8; 4]) -> u32 {
    let mut crc = !0 ^ u32::from_le_bytes(bytes);
    let mut bit = 0;
    while bit < 32 {
        crc = crc >> 1 ^ if crc & 1 == 0 { 0 } else { 0xEDB8_8320 };
        bit += 1;
    }
    !crc
}

/// Checks the checksum of an envelope whose header was read.
#[inline]
pub(super) fn verify(envelope: &[u8]) -> Result<()> {
    let Some((head, rest)) = envelope.split_first_chunk::<4>() else {
        return Err(truncated(envelope.len()));
    };
    let Some((stored, behind)) = rest.split_first_chunk::<4>() else {
        return Err(truncated(envelope.len()));
    };
    if checksum(*head, behind) != u32::from_le_bytes(*stored) {
        return Err(damaged());
    }
    Ok(())
}

#[inline]
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
    let Some((head, tail)) = rest.split_first_chunk::<N>() else {
        return Err(truncated(rest.len()));
    };
    *rest = tail;
    Ok(*head)
}

#[cold]
fn truncated(size_bytes: usize) -> Error {
    Error::corrupt("stored value ends inside its header").with("size_bytes", size_bytes)
}

#[cold]
fn unknown_version(version: u8) -> Error {
    if version & MARK == VERSION & MARK {
        return Error::corrupt("stored value has a format that this version cannot read; use a newer one")
            .with("format_version", version & !MARK)
            .with("known_version", VERSION & !MARK);
    }
    Error::corrupt("stored value is not an envelope; it was not written by this library")
}

#[cold]
fn unknown(what: &str) -> Error {
    Error::corrupt(format!(
        "stored value has a {what} that this version does not know; it is damaged or newer"
    ))
}

#[cold]
fn wrong_length(stored_bytes: usize, found_bytes: usize) -> Error {
    Error::corrupt("stored value is longer or shorter than its header says")
        .with("stored_bytes", stored_bytes)
        .with("found_bytes", found_bytes)
}

#[cold]
fn damaged() -> Error {
    Error::corrupt("stored value does not match its checksum")
}
