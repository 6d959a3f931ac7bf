//! Reading envelopes.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::Value;
use stead_core::Result;

use super::header::{Header, verify};
use crate::compress::decompress;
use crate::error::too_large;
use crate::{Checksum, Codec, DecodeLimits, SchemaRef, StateClass, format};

/// A verified envelope: its header, and its payload ready to be decoded.
///
/// ```
/// use stead_codec::{DecodeLimits, Envelope, EnvelopeOptions};
///
/// let stored = stead_codec::encode_bytes(b"as it is", &EnvelopeOptions::default())?;
/// let envelope = Envelope::parse(&stored, &DecodeLimits::default())?;
/// assert_eq!(envelope.payload(), b"as it is");
/// # Ok::<(), stead_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    header: Header,
    payload: Cow<'a, [u8]>,
    limits: DecodeLimits,
}

impl<'a> Envelope<'a> {
    /// Verifies an envelope and unpacks its payload.
    ///
    /// An uncompressed payload is borrowed from `bytes`, and nothing is allocated.
    ///
    /// # Errors
    ///
    /// - `Corrupt` for anything that is not a whole envelope as it was written: truncated, extended, damaged, or of a
    ///   newer format;
    /// - `Invalid` for a payload beyond `limits.output_bytes`, before it is unpacked.
    #[inline]
    pub fn parse(bytes: &'a [u8], limits: &DecodeLimits) -> Result<Envelope<'a>> {
        let header = Header::read(bytes)?;
        if limits.checksum == Checksum::Verify {
            verify(bytes)?;
        }
        if header.payload_bytes() > limits.output_bytes {
            return Err(too_large(Some(header.payload_bytes()), limits));
        }
        let stored = &bytes[header.header_bytes()..];
        let payload = if header.is_compressed() {
            Cow::Owned(decompress(stored, header.payload_bytes())?)
        } else {
            Cow::Borrowed(stored)
        };
        Ok(Envelope {
            header,
            payload,
            limits: *limits,
        })
    }

    /// The header.
    #[must_use]
    #[inline]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How the payload is written.
    #[must_use]
    #[inline]
    pub fn codec(&self) -> Codec {
        self.header.codec
    }

    /// How much care the value is given.
    #[must_use]
    #[inline]
    pub fn class(&self) -> StateClass {
        self.header.class
    }

    /// The schema that the value was written under, if any.
    #[must_use]
    #[inline]
    pub fn schema(&self) -> Option<SchemaRef> {
        self.header.schema
    }

    /// The payload, after decompression.
    #[must_use]
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The payload itself: borrowed where it was stored as it is, owned where it was unpacked.
    #[must_use]
    #[inline]
    pub fn into_payload(self) -> Cow<'a, [u8]> {
        self.payload
    }

    /// Decodes the payload in the codec that the header names.
    ///
    /// # Errors
    ///
    /// - `Serialization` where the payload is not a `T`, or is raw bytes;
    /// - `Invalid` where it is nested deeper than the limit.
    #[inline]
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        format::read(self.header.codec, &self.payload, &self.limits)
    }

    /// Decodes the payload as a dynamic value.
    ///
    /// # Errors
    ///
    /// - `Serialization` for raw bytes, for bincode, which only its own type can read, and for MessagePack that holds
    ///   what JSON cannot: NaN, infinities, byte strings, maps whose keys are not strings;
    /// - `Invalid` where it is nested deeper than the limit.
    pub fn decode_value(&self) -> Result<Value> {
        format::read_value(self.header.codec, &self.payload, &self.limits)
    }
}

/// Reads the header alone, without verifying the checksum and without unpacking: what the bytes say, not what they are
/// proved to say. For checks that come before reading, as of a value's class.
///
/// # Errors
///
/// `Corrupt` where the header is not one or the lengths do not agree.
#[inline]
pub fn peek(bytes: &[u8]) -> Result<Header> {
    Header::read(bytes)
}

/// Decodes a stored value as `T`.
///
/// # Errors
///
/// As [`Envelope::parse`] and [`Envelope::decode`].
#[inline]
pub fn decode<T: DeserializeOwned>(bytes: &[u8], limits: &DecodeLimits) -> Result<T> {
    Envelope::parse(bytes, limits)?.decode()
}

/// Decodes a stored value as a dynamic value.
///
/// # Errors
///
/// As [`Envelope::parse`] and [`Envelope::decode_value`].
#[inline]
pub fn decode_value(bytes: &[u8], limits: &DecodeLimits) -> Result<Value> {
    Envelope::parse(bytes, limits)?.decode_value()
}
