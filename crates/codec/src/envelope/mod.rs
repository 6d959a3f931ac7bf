//! The envelope: a header, a checksum and the payload.
//!
//! # Byte layout, version 1
//!
//! All numbers are little-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version: `0xE1` (the mark `E`, version 1) |
//! | 1 | 1 | codec: 0 bytes, 1 JSON, 2 MessagePack by name, 3 bincode 2 (standard configuration) |
//! | 2 | 1 | flags: `0x01` zstd, `0x02` schema, `0x04` long; every other bit is zero |
//! | 3 | 1 | class: 0 ephemeral, 1 trusted, 2 standard, 3 sensitive, 4 external |
//! | 4 | 4 | CRC-32 (IEEE 802.3, reflected) of bytes 0..4 followed by bytes 8..end |
//! | 8 | 2, or 4 if long | length of the stored payload; long exactly when it is above 65,535 |
//! | next | 8, only with schema | schema id, then schema version, four bytes each |
//! | next | 4, only with zstd | length of the payload after decompression |
//! | next | to the end | the payload, or one zstd frame of it that declares its content size |
//!
//! Ten bytes come before a usual value. The length makes every truncation and every appended byte an error by itself;
//! the CRC-32 finds every single flipped bit, and every burst of up to 32 of them within either of the two stretches
//! that it covers. Neither is a defence against someone who forges values: encryption is a layer above.
//!
//! # Reading
//!
//! The header decides how a value is read, never the reader's configuration. Checks come in this order: structure,
//! checksum, the length against [`DecodeLimits`], and only then allocation and decompression.
//! The payload of an uncompressed envelope is borrowed from the input and costs no allocation.
//!
//! An envelope of a newer version, or with a codec, class or flag that this version does not know, is `Corrupt`, with a
//! message that says so: reading it half would be worse.
//!
//! [`DecodeLimits`]: crate::DecodeLimits

mod decode;
mod encode;
mod header;

pub use decode::{Envelope, decode, decode_value, peek};
pub use encode::{encode, encode_bytes, encode_in, encode_record, encode_value};
pub use header::Header;
