//! The three formats behind one pair of functions.

use std::io::{self, Write};

use serde::Deserialize as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use stead_core::{Error, Result};

use crate::error::{not_read, not_written, refused, too_large};
use crate::guard::{Finite, Free, Guarded, Ledger, Positional, ReadGuard, Rules};
use crate::{Codec, DecodeLimits};

/// `out` with `value` appended in the format of `codec`.
///
/// # Errors
///
/// `Invalid` beyond the limits, `Unsupported` for what the codec cannot hold, `Serialization` for what the type
/// refuses.
#[inline]
pub(crate) fn write<T: Serialize + ?Sized>(
    codec: Codec,
    value: &T,
    out: Vec<u8>,
    limits: &DecodeLimits,
) -> Result<Vec<u8>> {
    match codec {
        Codec::Bytes => Err(Error::unsupported(
            "a typed value needs a codec; choose json, messagepack or bincode, or encode raw bytes",
        )),
        Codec::Json => write_json(value, out, limits),
        Codec::MessagePack => write_message_pack(value, out, limits),
        Codec::Bincode => write_bincode(value, out, limits),
    }
}

/// Reads a whole payload as `T`.
///
/// # Errors
///
/// `Invalid` beyond the limits, `Serialization` where the payload is not a `T`.
#[inline]
pub(crate) fn read<T: DeserializeOwned>(codec: Codec, payload: &[u8], limits: &DecodeLimits) -> Result<T> {
    match codec {
        Codec::Bytes => Err(raw_bytes()),
        Codec::Json => read_json(payload, limits),
        Codec::MessagePack => read_message_pack::<T, Free>(payload, limits),
        Codec::Bincode => read_bincode(payload, limits),
    }
}

/// Reads a whole payload as a dynamic value.
///
/// # Errors
///
/// As [`read`]; and `Serialization` for raw bytes, for bincode, and for MessagePack that holds what JSON cannot.
pub(crate) fn read_value(codec: Codec, payload: &[u8], limits: &DecodeLimits) -> Result<serde_json::Value> {
    match codec {
        Codec::Bytes => Err(raw_bytes()),
        Codec::Json => read_json(payload, limits),
        Codec::MessagePack => read_message_pack::<_, Finite>(payload, limits),
        Codec::Bincode => Err(Error::serialization(
            "the value was written with bincode and can only be read as the type that was written",
        )),
    }
}

#[cold]
fn raw_bytes() -> Error {
    Error::serialization("the stored value is raw bytes, not a structured value; read its bytes")
        .with("codec", Codec::Bytes)
}

/// Where a format writes to: the end of a vector, up to a limit.
///
/// JSON writes a usual value in some forty pieces, so a piece costs one comparison where it fits; the limit is looked
/// at where the vector would grow, and once at the end.
struct Sink {
    out: Vec<u8>,
    /// The length at which the payload has reached its limit.
    end: usize,
    full: bool,
}

impl Sink {
    #[inline]
    fn new(out: Vec<u8>, limits: &DecodeLimits) -> Self {
        Sink {
            end: out.len().saturating_add(limits.output_bytes),
            out,
            full: false,
        }
    }

    #[cold]
    fn grow(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > self.end.saturating_sub(self.out.len()) {
            self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// What was written.
    #[inline]
    fn finish(self, limits: &DecodeLimits) -> Result<Vec<u8>> {
        if self.out.len() > self.end {
            return Err(too_large(None, limits));
        }
        Ok(self.out)
    }
}

impl Write for Sink {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > self.out.capacity() - self.out.len() {
            return self.grow(bytes);
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The reason of a failed write: our own if we have one.
#[cold]
fn write_error<T: ?Sized, R: Rules>(
    codec: Codec,
    message: &dyn std::fmt::Display,
    full: bool,
    ledger: &Ledger<R>,
    limits: &DecodeLimits,
) -> Error {
    match ledger.refusal() {
        Some(refusal) => refused(refusal, codec, limits),
        None if full => too_large(None, limits),
        None => not_written::<T>(codec, &message.to_string()),
    }
}

/// The reason of a failed read: our own if we have one.
#[cold]
fn read_error<T, R: Rules>(codec: Codec, message: &str, ledger: &Ledger<R>, limits: &DecodeLimits) -> Error {
    match ledger.refusal() {
        Some(refusal) => refused(refusal, codec, limits),
        None => not_read::<T>(codec, message),
    }
}

#[cold]
fn trailing<T>(codec: Codec) -> Error {
    Error::serialization("stored value has bytes left over after the type asked for")
        .with("codec", codec)
        .with("type", std::any::type_name::<T>())
}

#[inline]
fn write_json<T: Serialize + ?Sized>(value: &T, out: Vec<u8>, limits: &DecodeLimits) -> Result<Vec<u8>> {
    let ledger = Ledger::<Finite>::new(limits);
    let mut sink = Sink::new(out, limits);
    let mut serializer = serde_json::Serializer::new(&mut sink);
    match Guarded::top(value, &ledger).serialize(&mut serializer) {
        Ok(()) => sink.finish(limits),
        Err(error) => Err(write_error::<T, _>(
            Codec::Json,
            &error,
            sink.full,
            &ledger,
            limits,
        )),
    }
}

#[inline]
fn read_json<T: DeserializeOwned>(payload: &[u8], limits: &DecodeLimits) -> Result<T> {
    let ledger = Ledger::<Finite>::new(limits);
    // Looking once whether all of it is UTF-8 costs a tenth of looking at each string in turn.
    let text = std::str::from_utf8(payload).map_err(|error| not_utf8(payload, error))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // Its own limit counts differently and is fixed. The guard's stands in its place.
    deserializer.disable_recursion_limit();
    let value = T::deserialize(ReadGuard::top(&mut deserializer, &ledger))
        .map_err(|error| json_error::<T>(&error, &ledger, limits))?;
    deserializer.end().map_err(|_| trailing::<T>(Codec::Json))?;
    Ok(value)
}

#[cold]
fn not_utf8(payload: &[u8], error: std::str::Utf8Error) -> Error {
    let (before, _) = payload.split_at(error.valid_up_to());
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    not_well_formed(line, column)
}

#[cold]
fn not_well_formed(line: usize, column: usize) -> Error {
    Error::serialization("stored value is not well-formed JSON")
        .with("line", line)
        .with("column", column)
}

#[cold]
fn json_error<T>(error: &serde_json::Error, ledger: &Ledger<Finite>, limits: &DecodeLimits) -> Error {
    use serde_json::error::Category;
    if ledger.refusal().is_none() && matches!(error.classify(), Category::Syntax | Category::Eof) {
        return not_well_formed(error.line(), error.column());
    }
    let place = (error.line(), error.column());
    let error = read_error::<T, _>(Codec::Json, &error.to_string(), ledger, limits);
    if place.0 == 0 {
        return error;
    }
    error.with("line", place.0).with("column", place.1)
}

#[inline]
fn write_message_pack<T: Serialize + ?Sized>(
    value: &T,
    out: Vec<u8>,
    limits: &DecodeLimits,
) -> Result<Vec<u8>> {
    let ledger = Ledger::<Free>::new(limits);
    let mut sink = Sink::new(out, limits);
    let mut serializer = rmp_serde::Serializer::new(&mut sink).with_struct_map();
    match Guarded::top(value, &ledger).serialize(&mut serializer) {
        Ok(()) => sink.finish(limits),
        Err(error) => Err(write_error::<T, _>(
            Codec::MessagePack,
            &error,
            sink.full,
            &ledger,
            limits,
        )),
    }
}

#[inline]
fn read_message_pack<T: DeserializeOwned, R: Rules>(payload: &[u8], limits: &DecodeLimits) -> Result<T> {
    let ledger = Ledger::<R>::new(limits);
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(payload);
    // As for JSON: out of the guard's way.
    deserializer.set_max_depth(usize::MAX);
    let value = T::deserialize(ReadGuard::top(&mut deserializer, &ledger))
        .map_err(|error| message_pack_error::<T, R>(error, &ledger, limits))?;
    // The reader does not tell where it stands, so ask it for one more scalar: only at the end is there no marker.
    match bool::deserialize(&mut deserializer) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(value),
        _ => Err(trailing::<T>(Codec::MessagePack)),
    }
}

#[cold]
fn message_pack_error<T, R: Rules>(
    error: rmp_serde::decode::Error,
    ledger: &Ledger<R>,
    limits: &DecodeLimits,
) -> Error {
    use rmp_serde::decode::Error as Cause;
    let message = match error {
        Cause::Uncategorized(message) | Cause::Syntax(message) => message,
        _ => String::new(),
    };
    read_error::<T, R>(Codec::MessagePack, &message, ledger, limits)
}

/// bincode's own limit is a constant of the type and counts the size in memory, not the bytes read, so that one tied
/// to the payload would refuse sound values. It is not needed: the guard takes strings and bytes by borrowing, which
/// looks whether they are there before anything is allocated, and bounds what takes no bytes at all.
const BINCODE: bincode::config::Configuration = bincode::config::standard();

#[inline]
fn write_bincode<T: Serialize + ?Sized>(value: &T, out: Vec<u8>, limits: &DecodeLimits) -> Result<Vec<u8>> {
    let ledger = Ledger::<Positional>::new(limits);
    let mut sink = Sink::new(out, limits);
    match bincode::serde::encode_into_std_write(Guarded::top(value, &ledger), &mut sink, BINCODE) {
        Ok(_) => sink.finish(limits),
        Err(error) => Err(write_error::<T, _>(
            Codec::Bincode,
            &error,
            sink.full,
            &ledger,
            limits,
        )),
    }
}

#[inline]
fn read_bincode<T: DeserializeOwned>(payload: &[u8], limits: &DecodeLimits) -> Result<T> {
    let ledger = Ledger::<Positional>::new(limits);
    let seed = ReadGuard::top(std::marker::PhantomData::<T>, &ledger);
    match bincode::serde::seed_decode_from_slice(seed, payload, BINCODE) {
        Ok((value, read)) if read == payload.len() => Ok(value),
        Ok(_) => Err(trailing::<T>(Codec::Bincode)),
        Err(error) => {
            let message = match error {
                bincode::error::DecodeError::OtherString(message) => message,
                bincode::error::DecodeError::Other(message) => message.to_owned(),
                _ => String::new(),
            };
            Err(read_error::<T, _>(Codec::Bincode, &message, &ledger, limits))
        }
    }
}
