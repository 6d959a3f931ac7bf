//! What several tests share: a record of every kind of field, and envelopes with a forged header.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stead_codec::{Codec, EnvelopeOptions, SchemaRef, StateClass, encode, encode_bytes};

/// The codecs that take typed values.
pub(crate) const TYPED: [Codec; 3] = [Codec::Json, Codec::MessagePack, Codec::Bincode];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Shape {
    Point,
    Circle(f64),
    Line(i32, i32),
    Named { name: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) least: i64,
    pub(crate) most: i64,
    pub(crate) largest: u64,
    pub(crate) ratio: f64,
    pub(crate) single: f32,
    pub(crate) flag: bool,
    pub(crate) letter: char,
    pub(crate) text: String,
    pub(crate) nothing: Option<u8>,
    pub(crate) something: Option<u8>,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) counts: BTreeMap<String, u32>,
    pub(crate) pair: (u8, String),
    pub(crate) unit: (),
}

pub(crate) fn record() -> Record {
    Record {
        least: i64::MIN,
        most: i64::MAX,
        largest: u64::MAX,
        ratio: 0.1 + 0.2,
        single: 0.1,
        flag: true,
        letter: 'ß',
        text: "line\nbreak \"quoted\" \u{0} \u{1F980}".to_owned(),
        nothing: None,
        something: Some(7),
        shapes: vec![
            Shape::Point,
            Shape::Circle(1.5),
            Shape::Line(-1, 2),
            Shape::Named {
                name: "north".to_owned(),
            },
        ],
        counts: BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), u32::MAX)]),
        pair: (255, String::new()),
        unit: (),
    }
}

/// A record that compresses well.
pub(crate) fn long_record() -> Record {
    Record {
        text: "the same words again and again, ".repeat(60),
        ..record()
    }
}

/// Every fixture: its file, and the bytes that this version writes for it.
pub(crate) fn fixtures() -> Vec<(String, Vec<u8>)> {
    let plain = EnvelopeOptions::default();
    let schema = SchemaRef::new(0x0102_0304, 7);
    let mut fixtures = vec![
        (
            "bytes".to_owned(),
            encode_bytes(BYTES, &plain.clone().with_class(StateClass::Ephemeral)).unwrap(),
        ),
        (
            "bytes-zstd".to_owned(),
            encode_bytes(&long_bytes(), &plain.clone().with_class(StateClass::Sensitive)).unwrap(),
        ),
    ];
    for codec in TYPED {
        let options = plain.clone().with_codec(codec);
        fixtures.push((codec.to_string(), encode(&record(), &options).unwrap()));
        let options = options.with_class(StateClass::External).with_schema(schema);
        fixtures.push((
            format!("{codec}-zstd-schema"),
            encode(&long_record(), &options).unwrap(),
        ));
    }
    fixtures
}

pub(crate) const BYTES: &[u8] = b"raw \x00\xFF bytes";

pub(crate) fn long_bytes() -> Vec<u8> {
    (0..4000_u32)
        .map(|index| (index / 100).to_le_bytes()[0])
        .collect()
}

/// The path of a fixture.
pub(crate) fn fixture_path(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(format!("{name}.bin"))
}

/// Makes the checksum right again, as someone who forges a value would.
pub(crate) fn reseal(mut envelope: Vec<u8>) -> Vec<u8> {
    if envelope.len() >= 8 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&envelope[..4]);
        hasher.update(&envelope[8..]);
        let crc = hasher.finalize();
        envelope[4..8].copy_from_slice(&crc.to_le_bytes());
    }
    envelope
}

/// An envelope with a right checksum and right lengths round any payload.
pub(crate) fn forge(codec: u8, payload: &[u8], unpacked_bytes: Option<u32>) -> Vec<u8> {
    let mut flags = 0;
    let mut out = vec![0xE1, codec, 0, 2, 0, 0, 0, 0];
    match u16::try_from(payload.len()) {
        Ok(length) => out.extend_from_slice(&length.to_le_bytes()),
        Err(_) => {
            flags |= 4;
            out.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        }
    }
    if let Some(unpacked_bytes) = unpacked_bytes {
        flags |= 1;
        out.extend_from_slice(&unpacked_bytes.to_le_bytes());
    }
    out[2] = flags;
    out.extend_from_slice(payload);
    reseal(out)
}

/// Type-erased reading in every way there is; for tests that demand no more than an answer.
pub(crate) fn read_every_way(envelope: &[u8]) -> usize {
    let limits = stead_codec::DecodeLimits::default().with_output_bytes(1 << 20);
    let answers = [
        stead_codec::peek(envelope).is_ok(),
        stead_codec::decode_value(envelope, &limits).is_ok(),
        stead_codec::decode::<Record>(envelope, &limits).is_ok(),
        stead_codec::decode::<Vec<Option<String>>>(envelope, &limits).is_ok(),
        stead_codec::decode::<BTreeMap<u64, (i8, Shape)>>(envelope, &limits).is_ok(),
        stead_codec::decode::<List>(envelope, &limits).is_ok(),
    ];
    answers.iter().filter(|answer| **answer).count()
}

/// A type that nests without end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum List {
    End,
    More(Box<List>),
}
