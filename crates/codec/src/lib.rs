//! What a value looks like when it is stored.
//!
//! A value travels in an [envelope]: a header of ten bytes that names the [`Codec`], the [`StateClass`], the
//! schema and the compression, a checksum, and the payload. The header is the only source of truth on reading: a
//! value that was written as MessagePack and compressed is read so, whatever the options of today's writer say.
//!
//! ```
//! use serde_json::json;
//! use stead_codec::{Codec, DecodeLimits, EnvelopeOptions, StateClass};
//!
//! let options = EnvelopeOptions::default().with_codec(Codec::MessagePack).with_class(StateClass::Trusted);
//! let stored = stead_codec::encode(&("planner", 3_u64), &options)?;
//!
//! let limits = DecodeLimits::default();
//! let (name, step): (String, u64) = stead_codec::decode(&stored, &limits)?;
//! assert_eq!((name.as_str(), step), ("planner", 3));
//! assert_eq!(stead_codec::decode_value(&stored, &limits)?, json!(["planner", 3]));
//! assert_eq!(stead_codec::peek(&stored)?.class(), StateClass::Trusted);
//! # Ok::<(), stead_core::Error>(())
//! ```
//!
//! Beside it stand two encodings for other needs: [`ordered`] turns tuples into bytes that sort as the tuples do, and
//! [`canonical_json`] gives the one text of a JSON value that a hash may be taken of.
//!
//! # What is refused
//!
//! Nothing is silently coerced, cut or skipped:
//!
//! - a NaN or an infinity in JSON, which JSON would turn into null, and in any value that is read as dynamic JSON;
//! - dynamic values through bincode, which writes them and cannot read them back;
//! - nesting beyond [`DecodeLimits::nesting_depth`], on writing and on reading, whatever the stack would bear;
//! - payloads beyond [`DecodeLimits::output_bytes`], before anything is allocated for them.
//!
//! Errors name the types, the limits and the place. They never print a stored value.

mod canonical;
mod class;
mod codec;
mod compress;
pub mod envelope;
mod error;
mod format;
mod guard;
mod options;
pub mod ordered;

pub use canonical::canonical_json;
pub use class::StateClass;
pub use codec::Codec;
pub use envelope::{
    Envelope, Header, decode, decode_value, encode, encode_bytes, encode_in, encode_record, encode_value,
    peek,
};
pub use options::{Checksum, DecodeLimits, EnvelopeOptions, MAX_NESTING_DEPTH, SchemaRef};
