//! Encoded tuples sort as tuples do.

use std::borrow::Cow;

use proptest::prelude::*;
use stead_codec::ordered::{Part, append, decode, encode};
use stead_core::ErrorKind;

fn text() -> impl Strategy<Value = String> {
    // Zeroes, ones and the highest bytes are where an escape goes wrong.
    prop_oneof![
        proptest::collection::vec(
            prop_oneof![Just('\0'), Just('\u{1}'), Just('a'), Just('\u{10FFFF}')],
            0..6
        )
        .prop_map(String::from_iter),
        any::<String>(),
    ]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(0xFE), Just(0xFF)], 0..6),
        proptest::collection::vec(any::<u8>(), 0..20),
    ]
}

fn part() -> impl Strategy<Value = Part<'static>> {
    prop_oneof![
        any::<bool>().prop_map(Part::from),
        prop_oneof![any::<i64>(), -2..2_i64, Just(i64::MIN), Just(i64::MAX)].prop_map(Part::from),
        prop_oneof![any::<u64>(), 0..2_u64, Just(u64::MAX)].prop_map(Part::from),
        any::<u64>().prop_map(|bits| Part::F64(f64::from_bits(bits))),
        (-2.0..2.0_f64).prop_map(Part::from),
        text().prop_map(Part::from),
        bytes().prop_map(Part::from),
    ]
}

fn tuple() -> impl Strategy<Value = Vec<Part<'static>>> {
    proptest::collection::vec(part(), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn byte_order_is_tuple_order(a in tuple(), b in tuple()) {
        prop_assert_eq!(encode(&a).cmp(&encode(&b)), a.cmp(&b));
    }

    #[test]
    fn byte_order_is_value_order_within_one_type(a in part(), b in part(), lead in tuple(), tail in tuple()) {
        let build = |part: &Part<'static>| {
            let mut tuple = lead.clone();
            tuple.push(part.clone());
            tuple.extend(tail.iter().cloned());
            tuple
        };
        prop_assert_eq!(encode(&build(&a)).cmp(&encode(&build(&b))), a.cmp(&b));
    }

    #[test]
    fn tuples_come_back(tuple in tuple()) {
        let bytes = encode(&tuple);
        prop_assert_eq!(decode(&bytes).unwrap(), tuple);
    }

    #[test]
    fn a_prefix_in_bytes_is_a_prefix_in_parts(a in tuple(), b in tuple()) {
        prop_assert_eq!(encode(&b).starts_with(&encode(&a)), b.starts_with(&a));
    }

    #[test]
    fn only_what_is_written_is_read(
        tuple in tuple(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encode(&tuple);
        if !bytes.is_empty() {
            for (place, byte) in damage {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        if let Ok(parts) = decode(&bytes) {
            prop_assert_eq!(encode(&parts), bytes);
        }
    }
}

#[test]
fn floats_are_in_total_order() {
    let floats = [
        -f64::NAN,
        f64::NEG_INFINITY,
        f64::MIN,
        -1.0,
        -f64::MIN_POSITIVE,
        -0.0,
        0.0,
        f64::MIN_POSITIVE,
        1.0,
        f64::MAX,
        f64::INFINITY,
        f64::NAN,
    ];
    let keys: Vec<Vec<u8>> = floats.iter().map(|float| encode(&[Part::F64(*float)])).collect();
    assert!(keys.is_sorted_by(|a, b| a < b));
    for (float, key) in floats.iter().zip(&keys) {
        let Part::F64(back) = decode(key).unwrap()[0] else {
            panic!("not a float");
        };
        assert_eq!(back.to_bits(), float.to_bits());
    }
}

#[test]
fn agent_1_is_no_prefix_of_agent_10() {
    let one = encode(&["agent".into(), "1".into()]);
    let ten = encode(&["agent".into(), "10".into()]);
    assert!(!ten.starts_with(&one));
    assert!(one < ten);
    let zero = encode(&["agent".into(), "1\0".into()]);
    assert!(!zero.starts_with(&one));
}

#[test]
fn the_layout_is_the_documented_one() {
    let tuple: [Part<'_>; 6] = [
        true.into(),
        (-1_i64).into(),
        258_u64.into(),
        1.0_f64.into(),
        "a\0b".into(),
        (&b"\xFF"[..]).into(),
    ];
    let wanted = [
        &b"\x10\x01"[..],
        b"\x20\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
        b"\x21\0\0\0\0\0\0\x01\x02",
        b"\x30\xBF\xF0\0\0\0\0\0\0",
        b"\x40a\0\xFFb\0\x01",
        b"\x50\xFF\0\x01",
    ]
    .concat();
    assert_eq!(encode(&tuple), wanted);
    let mut piecemeal = Vec::new();
    for part in &tuple {
        append(&mut piecemeal, part);
    }
    assert_eq!(piecemeal, wanted);
    assert!(encode(&[]).is_empty());
    assert!(decode(&[]).unwrap().is_empty());
}

#[test]
fn text_without_zeroes_is_borrowed() {
    let key = encode(&["plain".into()]);
    assert!(matches!(
        decode(&key).unwrap()[0],
        Part::Str(Cow::Borrowed("plain"))
    ));
}

#[test]
fn what_is_not_a_tuple_is_corrupt() {
    let bad: [&[u8]; 9] = [
        b"\x00",
        b"\x10",
        b"\x10\x02",
        b"\x20\0\0\0\0\0\0\0",
        b"\x40a",
        b"\x40a\0",
        b"\x40a\0\x02",
        b"\x40\xFF\0\x01",
        b"\x10\x00\x99",
    ];
    for bytes in bad {
        let error = decode(bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{bytes:?}");
    }
    assert!(
        decode(b"\x10\x00\x99")
            .unwrap_err()
            .to_string()
            .contains("position=2")
    );
}
