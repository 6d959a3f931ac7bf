//! What an earlier version wrote keeps being read, to the same value.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{BYTES, TYPED, fixture_path, fixtures, long_bytes, long_record, record};
use stead_codec::{Codec, DecodeLimits, Envelope, SchemaRef, StateClass};

fn read(name: &str) -> Vec<u8> {
    std::fs::read(fixture_path(name)).unwrap()
}

#[test]
#[ignore = "writes fixtures that are missing; run by hand for a new format version"]
fn write_fixtures() {
    for (name, bytes) in fixtures() {
        // Never over a file that is there: what was once written is what must be read.
        if !fixture_path(&name).exists() {
            std::fs::write(fixture_path(&name), bytes).unwrap();
        }
    }
}

#[test]
fn raw_bytes_of_version_1_are_read() {
    let limits = DecodeLimits::default();
    let stored = read("bytes");
    let envelope = Envelope::parse(&stored, &limits).unwrap();
    assert_eq!(envelope.payload(), BYTES);
    assert_eq!(envelope.codec(), Codec::Bytes);
    assert_eq!(envelope.class(), StateClass::Ephemeral);
    assert_eq!(envelope.schema(), None);
    assert!(!envelope.header().is_compressed());

    let stored = read("bytes-zstd");
    let envelope = Envelope::parse(&stored, &limits).unwrap();
    assert_eq!(envelope.payload(), long_bytes());
    assert_eq!(envelope.class(), StateClass::Sensitive);
    assert!(envelope.header().is_compressed());
    assert!(stored.len() < 1000);
}

#[test]
fn records_of_version_1_are_read_in_every_codec() {
    let limits = DecodeLimits::default();
    for codec in TYPED {
        let stored = read(codec.as_str());
        let envelope = Envelope::parse(&stored, &limits).unwrap();
        assert_eq!(envelope.codec(), codec);
        assert_eq!(envelope.class(), StateClass::Standard);
        assert_eq!(envelope.decode::<common::Record>().unwrap(), record(), "{codec}");

        let stored = read(&format!("{codec}-zstd-schema"));
        let envelope = Envelope::parse(&stored, &limits).unwrap();
        assert_eq!(envelope.codec(), codec);
        assert_eq!(envelope.class(), StateClass::External);
        assert_eq!(envelope.schema(), Some(SchemaRef::new(0x0102_0304, 7)));
        assert!(envelope.header().is_compressed());
        assert_eq!(
            envelope.decode::<common::Record>().unwrap(),
            long_record(),
            "{codec}"
        );
    }
}

#[test]
fn json_and_messagepack_of_version_1_are_the_same_dynamic_value() {
    let limits = DecodeLimits::default();
    let mut json = stead_codec::decode_value(&read("json"), &limits).unwrap();
    let packed = stead_codec::decode_value(&read("messagepack"), &limits).unwrap();
    assert_eq!(json["most"], i64::MAX);
    assert_eq!(json["largest"], u64::MAX);
    assert_eq!(json["shapes"][3]["Named"]["name"], "north");
    // JSON writes an f32 in its shortest form, MessagePack in its own width.
    assert_eq!(packed["single"], f64::from(0.1_f32));
    json["single"] = packed["single"].clone();
    assert_eq!(json, packed);
}

#[test]
fn this_version_writes_the_bytes_of_version_1() {
    for (name, bytes) in fixtures() {
        // Another zstd may pack differently; what it packs is covered by reading.
        if !name.contains("zstd") {
            assert_eq!(bytes, read(&name), "{name}");
        }
    }
}

#[test]
fn the_layout_is_the_documented_one() {
    let stored = read("bytes");
    let crc = crc32fast::hash(&[&stored[..4], &stored[8..]].concat());
    let mut wanted = vec![0xE1, 0, 0, 0];
    wanted.extend_from_slice(&crc.to_le_bytes());
    wanted.extend_from_slice(&[12, 0]);
    wanted.extend_from_slice(BYTES);
    assert_eq!(stored, wanted);

    let stored = read("json-zstd-schema");
    assert_eq!(stored[..4], [0xE1, 1, 0b011, 4]);
    assert_eq!(
        usize::from(stored[8]) | usize::from(stored[9]) << 8,
        stored.len() - 22
    );
    assert_eq!(stored[10..18], [4, 3, 2, 1, 7, 0, 0, 0]);
    let unpacked = serde_json::to_vec(&long_record()).unwrap();
    assert_eq!(
        stored[18..22],
        u32::try_from(unpacked.len()).unwrap().to_le_bytes()
    );
    assert_eq!(zstd::bulk::decompress(&stored[22..], 1 << 20).unwrap(), unpacked);
}

/// The example in `docs/src/formats/envelope.md`.
#[test]
fn the_documented_example_is_what_is_written() {
    let value = std::collections::BTreeMap::from([("n", 1)]);
    let stored = stead_codec::encode(&value, &stead_codec::EnvelopeOptions::default()).unwrap();
    let mut wanted = vec![0xE1, 1, 0, 2, 0xD5, 0x75, 0x6D, 0xCE, 7, 0];
    wanted.extend_from_slice(b"{\"n\":1}");
    assert_eq!(stored, wanted);
}
