//! Damage is an error or changes nothing; it is never another value and never a panic.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{fixture_path, fixtures, forge, read_every_way, reseal};
use proptest::prelude::*;
use stead_codec::{
    Codec, DecodeLimits, Envelope, EnvelopeOptions, SchemaRef, StateClass, encode_bytes, peek,
};
use stead_core::ErrorKind;

fn stored_fixtures() -> Vec<(String, Vec<u8>)> {
    fixtures()
        .into_iter()
        .map(|(name, _)| {
            let bytes = std::fs::read(fixture_path(&name)).unwrap();
            (name, bytes)
        })
        .collect()
}

/// The kind of the error, or `None` for a value.
fn verdict(bytes: &[u8]) -> Option<ErrorKind> {
    Envelope::parse(bytes, &DecodeLimits::default())
        .err()
        .map(|error| error.kind())
}

#[test]
fn every_truncation_is_corrupt() {
    for (name, bytes) in stored_fixtures() {
        for length in 0..bytes.len() {
            assert_eq!(
                verdict(&bytes[..length]),
                Some(ErrorKind::Corrupt),
                "{name} cut to {length}"
            );
            assert!(peek(&bytes[..length]).is_err(), "{name} cut to {length}");
        }
        assert_eq!(verdict(&bytes), None);
    }
}

#[test]
fn every_single_bit_flip_is_corrupt() {
    for (name, mut bytes) in stored_fixtures() {
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(verdict(&bytes), Some(ErrorKind::Corrupt), "{name} bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn every_appended_byte_is_corrupt() {
    for (name, mut bytes) in stored_fixtures() {
        for byte in 0..=255 {
            bytes.push(byte);
            assert_eq!(verdict(&bytes), Some(ErrorKind::Corrupt), "{name} and {byte}");
            bytes.pop();
        }
    }
}

/// A cut that happens to keep a right checksum: the length finds it all the same.
#[test]
fn truncated_and_extended_envelopes_are_corrupt_whatever_their_checksum() {
    for (name, bytes) in stored_fixtures() {
        for length in 0..bytes.len() {
            let cut = reseal(bytes[..length].to_vec());
            assert_eq!(verdict(&cut), Some(ErrorKind::Corrupt), "{name} cut to {length}");
        }
        let mut extended = bytes.clone();
        extended.push(0);
        assert_eq!(verdict(&reseal(extended)), Some(ErrorKind::Corrupt), "{name}");
    }
}

#[test]
fn every_flip_in_the_header_of_a_long_envelope_is_corrupt() {
    let options = EnvelopeOptions::default()
        .with_schema(SchemaRef::new(1, 2))
        .with_compress_above_bytes(None);
    let mut bytes = encode_bytes(&vec![7; 70_000], &options).unwrap();
    assert_eq!(peek(&bytes).unwrap().header_bytes(), 20);
    assert_eq!(verdict(&bytes), None);
    for bit in 0..40 * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(verdict(&bytes), Some(ErrorKind::Corrupt), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    // The length that a short header would hold is the same here: 70,000 and 4,464 differ by 65,536.
    assert_eq!(verdict(&bytes[..bytes.len() - 65_536]), Some(ErrorKind::Corrupt));
}

#[test]
fn no_byte_string_of_up_to_three_bytes_panics() {
    assert_eq!(read_every_way(&[]), 0);
    for number in 0..1_u32 << 24 {
        let bytes = number.to_le_bytes();
        // All lengths: each string of one and two bytes comes by where the rest of the number is zero.
        if number < 1 << 8 {
            assert!(peek(&bytes[..1]).is_err());
            assert_eq!(read_every_way(&bytes[..1]), 0);
        }
        if number < 1 << 16 {
            assert_eq!(read_every_way(&bytes[..2]), 0);
        }
        assert!(verdict(&bytes[..3]).is_some());
    }
}

#[test]
fn every_short_payload_in_every_codec_is_answered() {
    for codec in 0..4 {
        assert!(read_every_way(&forge(codec, &[], None)) <= 6);
        for number in 0..1_u32 << 16 {
            let bytes = number.to_le_bytes();
            if number < 1 << 8 {
                read_every_way(&forge(codec, &bytes[..1], None));
            }
            read_every_way(&forge(codec, &bytes[..2], None));
        }
    }
}

#[test]
fn unknown_versions_codecs_classes_and_flags_are_named() {
    let good = forge(1, b"1", None);
    assert_eq!(verdict(&good), None);
    let with = |offset: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[offset] = byte;
        let bytes = reseal(bytes);
        let error = Envelope::parse(&bytes, &DecodeLimits::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        error.to_string()
    };
    assert!(with(0, 0xE2).contains("use a newer one: format_version=2 known_version=1"));
    assert!(with(0, b'{').contains("not an envelope"));
    assert!(with(1, 4).contains("codec or class"));
    assert!(with(3, 5).contains("codec or class"));
    for flag in 3..8 {
        assert!(with(2, 1 << flag).contains("a flag"));
    }
}

#[test]
fn a_length_has_one_form_only() {
    // The long form of a short length.
    let mut bytes = vec![0xE1, 0, 4, 2, 0, 0, 0, 0, 3, 0, 0, 0];
    bytes.extend_from_slice(b"abc");
    let error = Envelope::parse(&reseal(bytes), &DecodeLimits::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

fn options() -> impl Strategy<Value = EnvelopeOptions> {
    (
        0..5_usize,
        proptest::option::of((any::<u32>(), any::<u32>())),
        proptest::option::of(0..200_usize),
    )
        .prop_map(|(class, schema, threshold)| {
            EnvelopeOptions::default()
                .with_class(StateClass::ALL[class])
                .with_schema(schema.map(|(id, version)| SchemaRef::new(id, version)))
                .with_compress_above_bytes(threshold)
        })
}

/// Bytes that sometimes compress.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..400),
        (any::<u8>(), 0..4000_usize).prop_map(|(byte, count)| vec![byte; count]),
    ]
}

proptest! {
    #[test]
    fn any_bytes_survive_and_any_damage_is_corrupt(
        payload in payload(),
        options in options(),
        cut in any::<prop::sample::Index>(),
        flip in any::<prop::sample::Index>(),
    ) {
        let mut stored = encode_bytes(&payload, &options).unwrap();
        let limits = DecodeLimits::default();
        {
            let envelope = Envelope::parse(&stored, &limits).unwrap();
            prop_assert_eq!(envelope.payload(), &payload[..]);
            prop_assert_eq!(envelope.class(), options.class);
            prop_assert_eq!(envelope.schema(), options.schema);
            prop_assert_eq!(envelope.codec(), Codec::Bytes);
            prop_assert_eq!(*envelope.header(), peek(&stored).unwrap());
            // Compression never costs a byte.
            prop_assert!(stored.len() <= payload.len() + 18);
        }
        prop_assert_eq!(verdict(&stored[..cut.index(stored.len())]), Some(ErrorKind::Corrupt));
        let bit = flip.index(stored.len() * 8);
        stored[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(verdict(&stored), Some(ErrorKind::Corrupt));
    }

    #[test]
    fn forged_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200), head in 0..4_u8) {
        let mut forged = vec![0xE1, head];
        forged.extend_from_slice(&bytes);
        read_every_way(&forged);
        read_every_way(&reseal(forged));
        read_every_way(&forge(head, &bytes, None));
        read_every_way(&forge(head, &bytes, Some(200)));
    }

    #[test]
    fn damaged_and_resealed_fixtures_are_answered(
        which in 0..8_usize,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (_, mut bytes) = stored_fixtures().swap_remove(which);
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        read_every_way(&reseal(bytes));
    }
}
