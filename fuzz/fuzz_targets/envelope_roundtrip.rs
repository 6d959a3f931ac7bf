//! Whatever is written is read back the same, and a flipped bit of it never is.
#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use serde::{Deserialize, Serialize};
use stead_codec::{
    Codec, DecodeLimits, Envelope, EnvelopeOptions, SchemaRef, StateClass, canonical_json, decode,
    decode_value, encode, encode_bytes, encode_value,
};

#[derive(Arbitrary, Debug, Serialize, Deserialize)]
enum Node {
    Unit,
    Flag(bool),
    Text(String),
    Numbers(i64, u64),
    Float(f64),
    Named {
        many: Vec<Node>,
        map: BTreeMap<String, Node>,
    },
}

#[derive(Arbitrary, Debug)]
struct Input {
    node: Node,
    bytes: Vec<u8>,
    codec: u8,
    class: u8,
    schema: Option<(u32, u32)>,
    compress_above_bytes: Option<u16>,
    flip: u32,
}

fuzz_target!(|input: Input| {
    let codec = Codec::ALL[usize::from(input.codec) % Codec::ALL.len()];
    let class = StateClass::ALL[usize::from(input.class) % StateClass::ALL.len()];
    let options = EnvelopeOptions::default()
        .with_codec(codec)
        .with_class(class)
        .with_schema(input.schema.map(|(id, version)| SchemaRef::new(id, version)))
        .with_compress_above_bytes(input.compress_above_bytes.map(usize::from));
    let limits = DecodeLimits::default();
    let text = |node: &Node| format!("{node:?}");

    let mut stored = encode_bytes(&input.bytes, &options).expect("bytes below the limit are taken");
    if let Ok(typed) = encode(&input.node, &options) {
        let back: Node = decode(&typed, &limits).expect("what was written is read");
        // As text: a NaN is not equal to itself.
        assert_eq!(text(&back), text(&input.node));
        if matches!(codec, Codec::Json | Codec::MessagePack)
            && let Ok(value) = decode_value(&typed, &limits)
        {
            let again = encode_value(&value, &options).expect("a value that was read is written");
            let value_again = decode_value(&again, &limits).expect("and read again");
            assert_eq!(canonical_json(&value_again), canonical_json(&value));
        }
        stored = typed;
    }
    {
        let envelope = Envelope::parse(&stored, &limits).expect("what was written is an envelope");
        assert_eq!(
            (envelope.class(), envelope.schema()),
            (options.class, options.schema)
        );
    }
    let bit = input.flip as usize % (stored.len() * 8);
    stored[bit / 8] ^= 1 << (bit % 8);
    assert!(Envelope::parse(&stored, &limits).is_err());
    stored[bit / 8] ^= 1 << (bit % 8);
    stored.truncate(bit / 8);
    assert!(Envelope::parse(&stored, &limits).is_err());
});
