//! Tuples as bytes that sort as the tuples do.
//!
//! For keys that are made of several parts and scanned in order: `("invoice", 2026, 17)` stands before
//! `("invoice", 2026, 100)`, and everything that begins with `("invoice", 2026)` stands together, behind the bytes of
//! that tuple as a prefix and behind nothing else.
//!
//! Parts compare by type first, in the order of [`Part`]'s variants, then by value; a tuple stands before the longer
//! ones that begin with it. An `i64` and a `u64` are different types: keep to one of them in one place of a tuple.
//!
//! # Byte layout
//!
//! Each part is a tag followed by:
//!
//! | part | tag | bytes |
//! |---|---|---|
//! | bool | `0x10` | 1: `00` or `01` |
//! | i64 | `0x20` | 8: big-endian, the sign bit flipped |
//! | u64 | `0x21` | 8: big-endian |
//! | f64 | `0x30` | 8: the bits, big-endian; all flipped where the sign is set, else only the sign bit |
//! | string | `0x40` | UTF-8, each `00` as `00 FF`, then `00 01` |
//! | bytes | `0x50` | the bytes, each `00` as `00 FF`, then `00 01` |
//!
//! Floats are in the total order of IEEE 754 ([`f64::total_cmp`]): −NaN, −∞, …, −0, +0, …, +∞, +NaN, and every bit
//! pattern is kept. The encoding is injective, and [`decode`] accepts nothing that [`encode`] does not write.

use std::borrow::Cow;
use std::cmp::Ordering;

use stead_core::{Error, Result};

const BOOL: u8 = 0x10;
const I64: u8 = 0x20;
const U64: u8 = 0x21;
const F64: u8 = 0x30;
const STR: u8 = 0x40;
const BYTES: u8 = 0x50;

const ZERO: u8 = 0x00;
const ZERO_ESCAPED: u8 = 0xFF;
/// Follows a zero at the end of text. Below [`ZERO_ESCAPED`], so that the shorter of two texts sorts first; and another
/// byte than it, so that no encoded text is a prefix of another.
const END: u8 = 0x01;

const SIGN: u64 = 1 << 63;

/// One part of a tuple.
///
/// Equality and order are those of the encoded bytes: floats by [`f64::total_cmp`], so that `-0.0` stands before `0.0`
/// and a NaN equals itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Part<'a> {
    /// A truth value; false first.
    Bool(bool),
    /// A signed number.
    I64(i64),
    /// An unsigned number.
    U64(u64),
    /// A float, in total order.
    F64(f64),
    /// Text, in the order of its UTF-8 bytes, which is that of its code points.
    Str(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
}

impl Part<'_> {
    /// The tag, which is also the rank of the type.
    fn tag(&self) -> u8 {
        match self {
            Part::Bool(_) => BOOL,
            Part::I64(_) => I64,
            Part::U64(_) => U64,
            Part::F64(_) => F64,
            Part::Str(_) => STR,
            Part::Bytes(_) => BYTES,
        }
    }
}

impl Ord for Part<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Part::Bool(a), Part::Bool(b)) => a.cmp(b),
            (Part::I64(a), Part::I64(b)) => a.cmp(b),
            (Part::U64(a), Part::U64(b)) => a.cmp(b),
            (Part::F64(a), Part::F64(b)) => a.total_cmp(b),
            (Part::Str(a), Part::Str(b)) => a.cmp(b),
            (Part::Bytes(a), Part::Bytes(b)) => a.cmp(b),
            _ => self.tag().cmp(&other.tag()),
        }
    }
}

impl PartialOrd for Part<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Part<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Part<'_> {}

macro_rules! part_from {
    ($($type:ty => $part:expr,)*) => {
        $(impl<'a> From<$type> for Part<'a> {
            fn from(value: $type) -> Self {
                $part(value.into())
            }
        })*
    };
}

part_from! {
    bool => Part::Bool,
    i64 => Part::I64,
    u64 => Part::U64,
    f64 => Part::F64,
    &'a str => Part::Str,
    String => Part::Str,
    &'a [u8] => Part::Bytes,
    Vec<u8> => Part::Bytes,
}

/// The bytes of a tuple. The empty tuple has none.
///
/// ```
/// use stead_codec::ordered::{Part, decode, encode};
///
/// let seventeenth = encode(&["invoice".into(), Part::U64(2026), Part::U64(17)]);
/// let hundredth = encode(&["invoice".into(), Part::U64(2026), Part::U64(100)]);
/// assert!(seventeenth < hundredth);
/// assert!(hundredth.starts_with(&encode(&["invoice".into(), Part::U64(2026)])));
/// assert_eq!(decode(&hundredth)?[2], Part::U64(100));
/// # Ok::<(), stead_core::Error>(())
/// ```
#[must_use]
pub fn encode(parts: &[Part<'_>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.len() * 16);
    for part in parts {
        append(&mut out, part);
    }
    out
}

/// Adds one part to an encoded tuple.
pub fn append(out: &mut Vec<u8>, part: &Part<'_>) {
    out.push(part.tag());
    match part {
        Part::Bool(value) => out.push(u8::from(*value)),
        Part::I64(value) => out.extend_from_slice(&(value.cast_unsigned() ^ SIGN).to_be_bytes()),
        Part::U64(value) => out.extend_from_slice(&value.to_be_bytes()),
        Part::F64(value) => {
            let bits = value.to_bits();
            let flipped = if bits & SIGN == 0 { bits ^ SIGN } else { !bits };
            out.extend_from_slice(&flipped.to_be_bytes());
        }
        Part::Str(text) => append_text(out, text.as_bytes()),
        Part::Bytes(bytes) => append_text(out, bytes),
    }
}

fn append_text(out: &mut Vec<u8>, text: &[u8]) {
    for (index, run) in text.split(|byte| *byte == ZERO).enumerate() {
        if index > 0 {
            out.extend_from_slice(&[ZERO, ZERO_ESCAPED]);
        }
        out.extend_from_slice(run);
    }
    out.extend_from_slice(&[ZERO, END]);
}

/// The tuple that these bytes encode. Text without zeroes is borrowed from `bytes`.
///
/// # Errors
///
/// `Corrupt` for bytes that [`encode`] does not write, with the position of the part.
pub fn decode(bytes: &[u8]) -> Result<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let position = bytes.len() - rest.len();
        let Some(part) = take_part(&mut rest) else {
            return Err(Error::corrupt("not an encoded tuple").with("position", position));
        };
        parts.push(part);
    }
    Ok(parts)
}

fn take_part<'a>(rest: &mut &'a [u8]) -> Option<Part<'a>> {
    let (tag, tail) = rest.split_first()?;
    *rest = tail;
    match *tag {
        BOOL => {
            let (value, tail) = rest.split_first()?;
            *rest = tail;
            match *value {
                0 => Some(Part::Bool(false)),
                1 => Some(Part::Bool(true)),
                _ => None,
            }
        }
        I64 => Some(Part::I64((take_u64(rest)? ^ SIGN).cast_signed())),
        U64 => Some(Part::U64(take_u64(rest)?)),
        F64 => {
            let flipped = take_u64(rest)?;
            let bits = if flipped & SIGN == 0 {
                !flipped
            } else {
                flipped ^ SIGN
            };
            Some(Part::F64(f64::from_bits(bits)))
        }
        STR => Some(Part::Str(match take_text(rest)? {
            Cow::Borrowed(bytes) => Cow::Borrowed(std::str::from_utf8(bytes).ok()?),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).ok()?),
        })),
        BYTES => Some(Part::Bytes(take_text(rest)?)),
        _ => None,
    }
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    let (bytes, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(u64::from_be_bytes(*bytes))
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<Cow<'a, [u8]>> {
    let mut text = Cow::Borrowed(&[][..]);
    loop {
        let zero = rest.iter().position(|byte| *byte == ZERO)?;
        let (run, tail) = rest.split_at(zero);
        let (mark, tail) = tail[1..].split_first()?;
        *rest = tail;
        if text.is_empty() {
            text = Cow::Borrowed(run);
        } else {
            text.to_mut().extend_from_slice(run);
        }
        match *mark {
            END => return Some(text),
            ZERO_ESCAPED => text.to_mut().push(ZERO),
            _ => return None,
        }
    }
}
