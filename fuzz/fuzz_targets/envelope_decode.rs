//! Any bytes, as they are and with a right checksum, are answered in every way of reading, without a panic.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use stead_codec::{DecodeLimits, Envelope, decode, decode_value, peek};

/// A type with every kind of thing that a format can be asked for.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only decoded")]
enum Anything {
    Unit,
    Text(String),
    Numbers(i64, u64, f32, f64, i128),
    Named {
        bytes: Vec<u8>,
        maybe: Option<Box<Anything>>,
        map: BTreeMap<String, Anything>,
        letter: char,
    },
}

fn read(bytes: &[u8]) {
    let limits = DecodeLimits::default().with_output_bytes(1 << 20);
    let peeked = peek(bytes);
    if let Ok(envelope) = Envelope::parse(bytes, &limits) {
        assert_eq!(peeked.ok().as_ref(), Some(envelope.header()));
        assert_eq!(envelope.payload().len(), envelope.header().payload_bytes());
    }
    let _ = decode_value(bytes, &limits);
    let _ = decode::<Anything>(bytes, &limits);
    let _ = decode::<BTreeMap<u64, (Option<String>, Vec<Anything>)>>(bytes, &limits);
}

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    if bytes.len() < 10 {
        return;
    }
    // Past the checksum, and past the length of short values.
    let mut forged = bytes.to_vec();
    let head = 10 + if forged[2] & 2 == 0 { 0 } else { 8 } + if forged[2] & 1 == 0 { 0 } else { 4 };
    if let Some(length) = forged
        .len()
        .checked_sub(head)
        .and_then(|length| u16::try_from(length).ok())
    {
        forged[0] = 0xE1;
        forged[2] &= 3;
        forged[8..10].copy_from_slice(&length.to_le_bytes());
    }
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&forged[..4]);
    hasher.update(&forged[8..]);
    let crc = hasher.finalize();
    forged[4..8].copy_from_slice(&crc.to_le_bytes());
    read(&forged);
});
