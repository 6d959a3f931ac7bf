//! Nesting has one limit in every codec, on writing and on reading, and never meets the end of the stack.
//!
//! The tests run on threads of 2 MiB, unoptimised: the worst that a caller may have.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{List, TYPED, forge};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_codec::{
    Codec, DecodeLimits, EnvelopeOptions, MAX_NESTING_DEPTH, canonical_json, decode, decode_value, encode,
    encode_value,
};
use stead_core::{Error, ErrorKind, Result};

fn nested_array(levels: usize) -> Value {
    (0..levels).fold(json!(1), |value, _| Value::Array(vec![value]))
}

fn nested_object(levels: usize) -> Value {
    (0..levels).fold(json!(1), |value, _| {
        Value::Object([("a".to_owned(), value)].into_iter().collect())
    })
}

/// Drops a deep value level by level; its own drop would overflow the stack.
fn dismantle(mut value: Value) {
    loop {
        value = match value {
            Value::Array(mut items) if !items.is_empty() => items.swap_remove(0),
            Value::Object(mut map) if !map.is_empty() => map["a"].take(),
            _ => return,
        };
    }
}

fn nested_list(levels: usize) -> List {
    (0..levels).fold(List::End, |list, _| List::More(Box::new(list)))
}

fn options(codec: Codec) -> EnvelopeOptions {
    EnvelopeOptions::default().with_codec(codec)
}

#[track_caller]
fn assert_too_deep<T>(result: Result<T>, limit: usize) {
    let error: Error = result.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(
        error.to_string().contains(&format!("limit_levels={limit}")),
        "{error}"
    );
}

#[test]
fn the_limit_is_the_same_on_both_sides_of_both_dynamic_codecs() {
    let limits = DecodeLimits::default();
    for codec in [Codec::Json, Codec::MessagePack] {
        for nested in [nested_array, nested_object] {
            let deepest = nested(128);
            let stored = encode_value(&deepest, &options(codec)).unwrap();
            assert_eq!(decode_value(&stored, &limits).unwrap(), deepest, "{codec}");
            assert_eq!(decode::<Value>(&stored, &limits).unwrap(), deepest, "{codec}");
            assert_too_deep(decode_value(&stored, &limits.with_nesting_depth(127)), 127);
            assert_too_deep(decode::<Value>(&stored, &limits.with_nesting_depth(127)), 127);
            assert_too_deep(encode_value(&nested(129), &options(codec)), 128);
        }
    }
}

#[test]
fn typed_values_have_the_limit_in_every_codec() {
    let limits = DecodeLimits::default();
    for codec in TYPED {
        let deepest = nested_list(128);
        let stored = encode(&deepest, &options(codec)).unwrap();
        assert_eq!(decode::<List>(&stored, &limits).unwrap(), deepest, "{codec}");
        assert_too_deep(decode::<List>(&stored, &limits.with_nesting_depth(127)), 127);
        assert_too_deep(encode(&nested_list(129), &options(codec)), 128);
    }
}

#[test]
fn scalars_have_no_depth() {
    let flat = EnvelopeOptions::default().with_limits(DecodeLimits::default().with_nesting_depth(0));
    assert!(encode(&Some("text"), &flat).is_ok());
    assert_too_deep(encode(&[1; 2], &flat), 0);
}

#[test]
fn a_limit_beyond_the_most_counts_as_the_most() {
    let limits = DecodeLimits::default().with_nesting_depth(usize::MAX);
    for codec in [Codec::Json, Codec::MessagePack] {
        let options = options(codec).with_limits(limits);
        let deepest = nested_object(MAX_NESTING_DEPTH);
        let stored = encode_value(&deepest, &options).unwrap();
        assert_eq!(decode_value(&stored, &limits).unwrap(), deepest);
        assert_too_deep(
            encode_value(&nested_object(MAX_NESTING_DEPTH + 1), &options),
            MAX_NESTING_DEPTH,
        );
    }
    for codec in TYPED {
        let options = options(codec).with_limits(limits);
        let stored = encode(&nested_list(MAX_NESTING_DEPTH), &options).unwrap();
        assert!(decode::<List>(&stored, &limits).is_ok());
    }
}

#[test]
fn bottomless_values_are_refused_on_writing() {
    for levels in [10_000, 1_000_000] {
        for nested in [nested_array, nested_object] {
            let value = nested(levels);
            for codec in [Codec::Json, Codec::MessagePack] {
                assert_too_deep(encode_value(&value, &options(codec)), 128);
            }
            assert!(canonical_json(&value).len() > 2 * levels);
            dismantle(value);
        }
    }
}

#[test]
fn bottomless_payloads_are_refused_on_reading() {
    let limits = DecodeLimits::default();
    for levels in [10_000, 1_000_000] {
        let texts = [
            "[".repeat(levels),
            "{\"a\":".repeat(levels),
            format!("{}1{}", "[".repeat(levels), "]".repeat(levels)),
            format!("[{{\"b\":{}", "[{\"a\":".repeat(levels)),
        ];
        for text in texts {
            let stored = forge(1, text.as_bytes(), None);
            assert_too_deep(decode_value(&stored, &limits), 128);
            assert!(decode::<List>(&stored, &limits).is_err());
        }
        let packed: [&[u8]; 4] = [
            &[0x91],
            &[0x81, 0xA1, b'a'],
            &[0xDC, 0, 1],
            &[0xDF, 0, 0, 0, 1, 0xA1, b'a'],
        ];
        for level in packed {
            let stored = forge(2, &level.repeat(levels), None);
            assert_too_deep(decode_value(&stored, &limits), 128);
            assert!(decode::<List>(&stored, &limits).is_err());
        }
        let ext = forge(2, &[0xC7, 1, 0].repeat(levels), None);
        assert!(decode_value(&ext, &limits).is_err());
        let list = forge(3, &vec![1; levels], None);
        assert_too_deep(decode::<List>(&list, &limits), 128);
    }
}

/// What a type does not want is skipped, and must not be a way round the limit.
#[test]
fn skipped_fields_cannot_overflow_the_stack() {
    #[derive(Deserialize)]
    struct Small {
        #[expect(dead_code, reason = "only read")]
        a: Option<u8>,
    }
    let limits = DecodeLimits::default();
    let text = format!("{{\"b\":{}1{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    // serde_json skips without recursion, so this is well: the deep part is never built.
    let _ = decode::<Small>(&forge(1, text.as_bytes(), None), &limits);
    let packed = [&[0x81, 0xA1, b'b'][..], &[0x91].repeat(1_000_000), &[1]].concat();
    assert_too_deep(decode::<Small>(&forge(2, &packed, None), &limits), 128);
    // Nor is what stands behind the value.
    let behind = [&[1][..], &[0x91].repeat(1_000_000)].concat();
    assert!(decode::<u8>(&forge(2, &behind, None), &limits).is_err());
}

#[test]
fn a_type_without_end_is_refused() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Endless(Option<Box<Endless>>);
    let limits = DecodeLimits::default();
    for (codec, payload) in [(1, vec![b'5']), (2, vec![5]), (3, vec![1; 100_000])] {
        let error = decode::<Endless>(&forge(codec, &payload, None), &limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Serialization);
        assert!(error.to_string().contains("no end"), "{error}");
    }
    let deep = (0..1000).fold(Endless(None), |inner, _| Endless(Some(Box::new(inner))));
    for codec in TYPED {
        let error = encode(&deep, &options(codec)).unwrap_err();
        assert!(error.to_string().contains("no end"), "{error}");
    }
}
