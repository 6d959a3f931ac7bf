//! Writing envelopes.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use stead_core::{Error, Result};

use super::header::{Header, MAX_HEAD_BYTES, head_bytes, is_long};
use crate::compress::compress;
use crate::error::too_large;
use crate::{Codec, EnvelopeOptions, format};

/// Room for a usual value, so that it is written without growing.
const USUAL_BYTES: usize = 160;

/// Encodes `value` into an envelope, in the codec of the options.
///
/// The payload is serialised straight behind the room for its header: a value up to the compression threshold is never
/// copied, but where it grows beyond what was reserved.
///
/// With bincode, everything that could not be read back is refused as far as serialising shows it: dynamic values
/// (`serde_json::Value` and its like) anywhere in the record, fields left out by `skip_serializing_if`, sequences of
/// unknown length (`flatten`). What it cannot show is a type that asks the reader what comes next: an untagged or
/// internally tagged enum, or a scalar dynamic value inside a `#[serde(transparent)]` type. Those are written, and
/// refused on reading. [`encode_record`] finds them before they are stored.
///
/// As everywhere in serde, JSON and MessagePack do not tell `Some(None)` and `Some(())` from `None`.
///
/// # Errors
///
/// - `Invalid` beyond the limits of the options: size in bytes, or nesting in levels;
/// - `Unsupported` for the codec `Bytes` (use [`encode_bytes`]) and for what bincode cannot read back;
/// - `Serialization` for NaN and infinities in JSON, for map keys that JSON cannot hold, and where the type itself
///   refuses.
#[inline]
pub fn encode<T: Serialize + ?Sized>(value: &T, options: &EnvelopeOptions) -> Result<Vec<u8>> {
    encode_in(value, options, Vec::with_capacity(USUAL_BYTES))
}

/// Encodes as [`encode`] does, in the memory of `buffer`, whose content goes: for those who copy the envelope anyway.
///
/// # Errors
///
/// As [`encode`]; the buffer goes, too.
#[inline]
pub fn encode_in<T: Serialize + ?Sized>(
    value: &T,
    options: &EnvelopeOptions,
    buffer: Vec<u8>,
) -> Result<Vec<u8>> {
    let mut out = buffer;
    out.clear();
    if options.schema.is_none() {
        // Of a known length: two stores instead of a call.
        out.extend_from_slice(&[0; head_bytes(false, false, false)]);
    } else {
        out.resize(reserved(options), 0);
    }
    let out = format::write(options.codec, value, out, &options.limits)?;
    seal(out, options.codec, options)
}

/// Encodes a record as [`encode`] does and, if the codec is bincode, reads it back before returning it.
///
/// bincode keeps no field names and no types, so whether a value can be read again depends on its type alone. Reading
/// it back proves that it can, for about twice the time. The other codecs do not need it and do not pay for it.
///
/// # Errors
///
/// As [`encode`]; and `Unsupported` where the bytes cannot be read back.
pub fn encode_record<T: Serialize + DeserializeOwned>(
    value: &T,
    options: &EnvelopeOptions,
) -> Result<Vec<u8>> {
    let head = reserved(options);
    let mut out = Vec::with_capacity(USUAL_BYTES);
    out.resize(head, 0);
    let out = format::write(options.codec, value, out, &options.limits)?;
    if options.codec == Codec::Bincode {
        format::read::<T>(Codec::Bincode, &out[head..], &options.limits).map_err(|error| {
            Error::unsupported("bincode cannot read this type back; use json or messagepack")
                .with("type", std::any::type_name::<T>())
                .because(error)
        })?;
    }
    seal(out, options.codec, options)
}

/// Encodes a dynamic value. JSON and MessagePack only: bincode would write it and could not read it back.
///
/// # Errors
///
/// As [`encode`]; `Unsupported` for any other codec.
pub fn encode_value(value: &Value, options: &EnvelopeOptions) -> Result<Vec<u8>> {
    match options.codec {
        Codec::Json | Codec::MessagePack => encode(value, options),
        Codec::Bytes | Codec::Bincode => Err(Error::unsupported(
            "a dynamic value cannot be read back from this codec; use json or messagepack",
        )
        .with("codec", options.codec)),
    }
}

/// Puts raw bytes into an envelope, as [`Codec::Bytes`] whatever the codec of the options is; the rest of the options
/// holds.
///
/// # Errors
///
/// `Invalid` beyond the size limit of the options.
pub fn encode_bytes(payload: &[u8], options: &EnvelopeOptions) -> Result<Vec<u8>> {
    if payload.len() > options.limits.output_bytes {
        return Err(too_large(Some(payload.len()), &options.limits));
    }
    let head = reserved(options);
    let mut out = Vec::with_capacity(MAX_HEAD_BYTES + payload.len());
    out.resize(head, 0);
    out.extend_from_slice(payload);
    seal(out, Codec::Bytes, options)
}

/// The room left for the header of a short, uncompressed value.
#[inline]
fn reserved(options: &EnvelopeOptions) -> usize {
    head_bytes(options.schema.is_some(), false, false)
}

/// Compresses if that is due, and writes the header in front of the payload.
#[inline]
fn seal(mut out: Vec<u8>, codec: Codec, options: &EnvelopeOptions) -> Result<Vec<u8>> {
    let head = reserved(options);
    let payload_bytes = out.len() - head;
    if options
        .compress_above_bytes
        .is_some_and(|threshold| payload_bytes > threshold)
        && let Some(packed) = seal_packed(&out[head..], codec, options)?
    {
        return Ok(packed);
    }
    if is_long(payload_bytes) {
        widen(&mut out, head, head_bytes(options.schema.is_some(), false, true));
    }
    Header {
        codec,
        class: options.class,
        schema: options.schema,
        unpacked_bytes: None,
        stored_bytes: stored_bytes(payload_bytes)?,
    }
    .write(&mut out);
    Ok(out)
}

/// The compressed envelope, or `None` where it would not be smaller.
fn seal_packed(payload: &[u8], codec: Codec, options: &EnvelopeOptions) -> Result<Option<Vec<u8>>> {
    let schema = options.schema.is_some();
    let head = head_bytes(schema, true, false);
    // A longer header by so much must be won back, and a byte more.
    let cost_bytes = head - head_bytes(schema, false, false);
    let Some(room_bytes) = payload.len().checked_sub(cost_bytes + 1) else {
        return Ok(None);
    };
    let Some(mut out) = compress(payload, options.level, head, room_bytes)? else {
        return Ok(None);
    };
    let packed_bytes = out.len() - head;
    let long = is_long(packed_bytes);
    if long {
        widen(&mut out, head, head_bytes(schema, true, true));
    }
    Header {
        codec,
        class: options.class,
        schema: options.schema,
        unpacked_bytes: Some(stored_bytes(payload.len())?),
        stored_bytes: stored_bytes(packed_bytes)?,
    }
    .write(&mut out);
    Ok(Some(out))
}

/// Moves the payload back to make room for a longer header. Only payloads beyond 64 KiB come here, for which the move
/// is a small part of writing them; reserving for it always would cost every small value two bytes.
fn widen(out: &mut Vec<u8>, from: usize, to: usize) {
    let end = out.len();
    out.resize(end + (to - from), 0);
    out.copy_within(from..end, to);
}

/// A length as it is stored.
#[inline]
fn stored_bytes(length: usize) -> Result<u32> {
    u32::try_from(length).map_err(|_| {
        Error::invalid("value is larger than an envelope can hold")
            .with("size_bytes", length)
            .with("limit_bytes", u32::MAX)
    })
}
