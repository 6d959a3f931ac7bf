//! Values come back as they went in, or are refused with the reason.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::{BTreeMap, HashMap};

use common::{Record, TYPED, forge, long_record, record};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_codec::{
    Codec, DecodeLimits, Envelope, EnvelopeOptions, decode, decode_value, encode, encode_bytes,
    encode_record, encode_value, peek,
};
use stead_core::{Error, ErrorKind};

fn options(codec: Codec) -> EnvelopeOptions {
    EnvelopeOptions::default().with_codec(codec)
}

fn limits() -> DecodeLimits {
    DecodeLimits::default()
}

#[track_caller]
fn refused<T>(result: Result<T, Error>, kind: ErrorKind, text: &str) {
    let error = result.err().unwrap();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(text), "{error}");
}

#[test]
fn records_survive_every_codec() {
    for codec in TYPED {
        for value in [record(), long_record()] {
            let stored = encode(&value, &options(codec)).unwrap();
            assert_eq!(decode::<Record>(&stored, &limits()).unwrap(), value, "{codec}");
            assert_eq!(encode_record(&value, &options(codec)).unwrap(), stored, "{codec}");
        }
    }
}

#[test]
fn extremes_survive_every_codec() {
    let values = (
        i64::MIN,
        i64::MAX,
        u64::MAX,
        i128::MIN,
        u128::MAX,
        f64::MIN_POSITIVE,
        -0.0_f64,
    );
    for codec in TYPED {
        let stored = encode(&values, &options(codec)).unwrap();
        let back: (i64, i64, u64, i128, u128, f64, f64) = decode(&stored, &limits()).unwrap();
        assert_eq!(back, values, "{codec}");
        assert!(back.6.is_sign_negative(), "{codec}");
    }
    for codec in [Codec::Json, Codec::MessagePack] {
        let value = json!([i64::MIN, i64::MAX, u64::MAX, f64::MAX, 5e-324]);
        let stored = encode_value(&value, &options(codec)).unwrap();
        assert_eq!(decode_value(&stored, &limits()).unwrap(), value, "{codec}");
    }
}

#[test]
fn the_codec_is_the_one_in_the_header_whatever_a_reader_is_configured_for() {
    let value = json!({"a": [1, null, "x"]});
    for codec in [Codec::Json, Codec::MessagePack] {
        for threshold in [None, Some(0)] {
            let options = options(codec).with_compress_above_bytes(threshold);
            let stored = encode_value(&value, &options).unwrap();
            assert_eq!(peek(&stored).unwrap().codec(), codec);
            assert_eq!(decode_value(&stored, &limits()).unwrap(), value);
        }
    }
}

#[test]
fn floats_that_json_lacks_are_refused_and_others_carry_them() {
    for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let value = BTreeMap::from([("deep", vec![Some((1, float))])]);
        refused(
            encode(&value, &options(Codec::Json)),
            ErrorKind::Serialization,
            "NaN or infinite",
        );
        #[expect(
            clippy::cast_possible_truncation,
            reason = "there is no infinity that f32 lacks"
        )]
        let single = float as f32;
        refused(
            encode(&single, &options(Codec::Json)),
            ErrorKind::Serialization,
            "NaN or infinite",
        );
        for codec in [Codec::MessagePack, Codec::Bincode] {
            let stored = encode(&value, &options(codec)).unwrap();
            let back: BTreeMap<String, Vec<Option<(i32, f64)>>> = decode(&stored, &limits()).unwrap();
            let (one, other) = back["deep"][0].unwrap();
            assert_eq!((one, other.to_bits()), (1, float.to_bits()), "{codec}");
            let stored = encode(&single, &options(codec)).unwrap();
            assert_eq!(
                decode::<f32>(&stored, &limits()).unwrap().to_bits(),
                single.to_bits()
            );
        }
        // Read as a dynamic value, it would become null.
        let stored = encode(&value, &options(Codec::MessagePack)).unwrap();
        refused(
            decode_value(&stored, &limits()),
            ErrorKind::Serialization,
            "NaN or infinite",
        );
    }
    let key = HashMap::from([("a", 1)]);
    assert!(encode(&key, &options(Codec::Json)).is_ok());
}

#[test]
fn dynamic_values_never_go_through_bincode() {
    #[derive(Serialize)]
    struct Holder {
        id: u32,
        extra: HashMap<String, Option<Vec<Value>>>,
    }
    #[derive(Serialize)]
    struct Wrapped(Value);
    #[derive(Serialize)]
    #[serde(transparent)]
    struct Clear {
        inner: Value,
    }
    #[derive(Serialize)]
    enum Choice {
        Dynamic { value: Box<Value> },
        Tuple(u8, Value),
    }
    let bincode = options(Codec::Bincode);
    let text = "bincode cannot read dynamic values back";
    let unsupported = ErrorKind::Unsupported;
    refused(encode(&json!({"a": 1}), &bincode), unsupported, text);
    refused(encode(&json!(null), &bincode), unsupported, text);
    refused(encode(&&json!(7), &bincode), unsupported, text);
    refused(encode(&vec![json!(1)], &bincode), unsupported, text);
    refused(encode(&(1, json!(1)), &bincode), unsupported, text);
    refused(encode(&Some(json!(1)), &bincode), unsupported, text);
    refused(encode(&Wrapped(json!(true)), &bincode), unsupported, text);
    refused(
        encode(
            &Choice::Dynamic {
                value: Box::new(json!(1)),
            },
            &bincode,
        ),
        unsupported,
        text,
    );
    refused(encode(&Choice::Tuple(1, json!(1)), &bincode), unsupported, text);
    refused(
        encode(&json!({"a": 1}).as_object().unwrap(), &bincode),
        unsupported,
        text,
    );
    let holder = Holder {
        id: 1,
        extra: HashMap::from([("a".to_owned(), Some(vec![json!("x")]))]),
    };
    refused(encode(&holder, &bincode), unsupported, text);
    for inner in [json!({"a": 1}), json!([1])] {
        refused(encode(&Clear { inner }, &bincode), unsupported, text);
    }
    // The call for dynamic values does not even look.
    refused(encode_value(&json!(1), &bincode), unsupported, "codec=bincode");
    refused(
        encode_value(&json!(1), &options(Codec::Bytes)),
        unsupported,
        "codec=bytes",
    );
    assert!(encode(&holder, &options(Codec::MessagePack)).is_ok());
}

#[test]
fn what_bincode_could_not_read_back_is_found_before_it_is_stored() {
    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Clear {
        inner: Value,
    }
    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(u32),
    }
    #[derive(Serialize, Deserialize)]
    struct Skipping {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        maybe: Option<u8>,
        last: u8,
    }
    #[derive(Serialize, Deserialize)]
    struct Flat {
        #[serde(flatten)]
        rest: BTreeMap<String, u8>,
    }
    let bincode = options(Codec::Bincode);
    let unsupported = ErrorKind::Unsupported;
    refused(
        encode_record(&Clear { inner: json!(1) }, &bincode),
        unsupported,
        "cannot read this type back",
    );
    refused(
        encode_record(&Untagged::Number(1), &bincode),
        unsupported,
        "cannot read this type back",
    );
    let skipping = Skipping { maybe: None, last: 1 };
    refused(encode(&skipping, &bincode), unsupported, "field=maybe");
    let flat = Flat {
        rest: BTreeMap::from([("a".to_owned(), 1)]),
    };
    refused(
        encode(&flat, &bincode),
        unsupported,
        "length of a sequence or map",
    );
    for codec in [Codec::Json, Codec::MessagePack] {
        assert!(encode_record(&Clear { inner: json!(1) }, &options(codec)).is_ok());
        assert!(encode_record(&Untagged::Number(1), &options(codec)).is_ok());
        assert!(encode_record(&skipping, &options(codec)).is_ok());
        assert!(encode_record(&flat, &options(codec)).is_ok());
    }
}

#[test]
fn raw_bytes_are_not_structured_values() {
    let stored = encode_bytes(b"{}", &options(Codec::MessagePack)).unwrap();
    let envelope = Envelope::parse(&stored, &limits()).unwrap();
    assert_eq!(envelope.codec(), Codec::Bytes);
    refused(envelope.decode_value(), ErrorKind::Serialization, "raw bytes");
    refused(
        envelope.decode::<Vec<u8>>(),
        ErrorKind::Serialization,
        "raw bytes",
    );
    refused(
        encode(&1, &options(Codec::Bytes)),
        ErrorKind::Unsupported,
        "needs a codec",
    );
}

#[test]
fn bincode_is_read_as_its_type_only() {
    let stored = encode(&record(), &options(Codec::Bincode)).unwrap();
    refused(
        decode_value(&stored, &limits()),
        ErrorKind::Serialization,
        "only be read as the type",
    );
    refused(
        decode::<Value>(&stored, &limits()),
        ErrorKind::Serialization,
        "type=serde_json",
    );
}

#[test]
fn what_json_cannot_hold_is_refused_when_messagepack_is_read_as_json() {
    #[derive(Serialize)]
    struct Raw<'a>(#[serde(serialize_with = "as_bytes")] &'a [u8]);
    fn as_bytes<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }
    let packed = options(Codec::MessagePack);
    let bytes = encode(&Raw(b"abc"), &packed).unwrap();
    refused(
        decode_value(&bytes, &limits()),
        ErrorKind::Serialization,
        "byte array",
    );
    let keys = encode(&BTreeMap::from([(1, 2)]), &packed).unwrap();
    refused(
        decode_value(&keys, &limits()),
        ErrorKind::Serialization,
        "integer",
    );
    assert_eq!(decode::<BTreeMap<u8, u8>>(&keys, &limits()).unwrap()[&1], 2);
}

#[test]
fn map_keys_that_json_lacks_are_refused() {
    let value = BTreeMap::from([((1, 2), 3)]);
    refused(
        encode(&value, &options(Codec::Json)),
        ErrorKind::Serialization,
        "map keys must be strings",
    );
    assert!(encode(&value, &options(Codec::MessagePack)).is_ok());
}

#[test]
fn bytes_left_over_are_refused() {
    let cases: [(u8, &[u8]); 5] = [
        (1, b"1 2"),
        (2, &[1, 2]),
        (2, &[1, 0x91]),
        (2, &[1, 0xD9]),
        (3, &[1, 2]),
    ];
    for (codec, payload) in cases {
        refused(
            decode::<u8>(&forge(codec, payload, None), &limits()),
            ErrorKind::Serialization,
            "left over",
        );
    }
    assert_eq!(decode::<u8>(&forge(1, b"1 \n", None), &limits()).unwrap(), 1);
}

#[test]
fn errors_name_the_type_and_the_place_and_never_the_value() {
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Login {
        user: String,
        code: u32,
    }
    let secret = "hunter2";
    let values = [
        json!({"user": "u", "code": secret}),
        json!({"user": "u", "code": 1, secret: 1}),
        json!({ "user": secret }),
        json!(secret),
        json!([secret]),
    ];
    for codec in [Codec::Json, Codec::MessagePack] {
        for value in &values {
            let stored = encode_value(value, &options(codec)).unwrap();
            let error = decode::<Login>(&stored, &limits()).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert_eq!(error.kind(), ErrorKind::Serialization);
            assert!(!shown.contains(secret), "{shown}");
            assert!(shown.contains("Login"), "{shown}");
        }
    }
    let stored = encode_value(&values[0], &options(Codec::Json)).unwrap();
    let error = decode::<Login>(&stored, &limits()).unwrap_err().to_string();
    assert!(error.contains("invalid type: string, expected u32"), "{error}");
    assert!(error.contains("line=1 column="), "{error}");
    let error = decode::<Login>(&forge(1, b"{\"user\": hunter2", None), &limits()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("not well-formed JSON: line=1 column=10"),
        "{error}"
    );
    assert!(!format!("{error:?}").contains(secret));
}

#[test]
fn text_that_is_not_utf8_is_no_json() {
    let stored = forge(1, b"{\"user\": \"u\",\n \"other\": \"\xFF\", \"code\": 1}", None);
    for error in [
        decode::<BTreeMap<String, Value>>(&stored, &limits()).unwrap_err(),
        decode_value(&stored, &limits()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Serialization);
        let text = error.to_string();
        assert!(text.ends_with("not well-formed JSON: line=2 column=12"), "{text}");
    }
}

#[test]
fn a_failing_serialize_does_not_leak_its_message() {
    struct Failing;
    impl Serialize for Failing {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("hunter2 is locked"))
        }
    }
    for codec in TYPED {
        let error = encode(&Failing, &options(codec)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Serialization);
        assert!(!format!("{error:?}").contains("hunter2"));
        assert!(error.to_string().contains("Failing"), "{error}");
    }
}

/// Bytes that do not compress, by a multiplicative generator.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_le_bytes()[7]
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn compression_begins_above_the_threshold_and_stays_only_where_it_saves() {
    let text = |length: usize| "a".repeat(length);
    let is_compressed = |payload: &[u8], options: &EnvelopeOptions| {
        let stored = encode_bytes(payload, options).unwrap();
        assert_eq!(Envelope::parse(&stored, &limits()).unwrap().payload(), payload);
        peek(&stored).unwrap().is_compressed()
    };
    let default = EnvelopeOptions::default();
    assert!(!is_compressed(text(1024).as_bytes(), &default));
    assert!(is_compressed(text(1025).as_bytes(), &default));
    let low = default.clone().with_compress_above_bytes(100).with_level(19);
    assert!(is_compressed(text(101).as_bytes(), &low));
    let off = default.clone().with_compress_above_bytes(None);
    assert!(!is_compressed(text(100_000).as_bytes(), &off));
    // What does not shrink is stored as it is.
    assert!(!is_compressed(&noise(5000), &default));
}

/// Just where a frame saves less than the four bytes that its header costs, too.
#[test]
fn compression_never_makes_an_envelope_longer() {
    let plain = EnvelopeOptions::default().with_compress_above_bytes(None);
    let eager = EnvelopeOptions::default().with_compress_above_bytes(Some(0));
    let mut compressed = 0;
    let noise = noise(600);
    // Noise, and then the beginning of it again: each byte more of it saves about one.
    for repeated in 0..100 {
        let payload = [&noise[..], &noise[..repeated]].concat();
        let packed = encode_bytes(&payload, &eager).unwrap();
        let unpacked = encode_bytes(&payload, &plain).unwrap();
        if peek(&packed).unwrap().is_compressed() {
            compressed += 1;
            assert!(packed.len() < unpacked.len(), "{repeated} bytes repeated");
        } else {
            assert_eq!(packed, unpacked);
        }
    }
    assert!((1..100).contains(&compressed));
}

#[test]
fn sizes_round_the_long_form_survive() {
    for length in [65_534, 65_535, 65_536, 65_537, 1 << 20] {
        for threshold in [None, Some(0)] {
            for schema in [None, Some(stead_codec::SchemaRef::new(9, 9))] {
                let options = EnvelopeOptions::default()
                    .with_compress_above_bytes(threshold)
                    .with_schema(schema);
                let text = "b".repeat(length - 2);
                let stored = encode(&text, &options).unwrap();
                let header = peek(&stored).unwrap();
                assert_eq!(header.payload_bytes(), length);
                assert_eq!(header.schema(), schema);
                assert_eq!(decode::<String>(&stored, &limits()).unwrap(), text);
            }
        }
    }
}

#[test]
fn a_long_payload_that_compresses_to_a_long_one_survives() {
    let numbers: Vec<u64> = (0..60_000_u64)
        .map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15))
        .collect();
    let stored = encode(&numbers, &options(Codec::Json)).unwrap();
    let header = peek(&stored).unwrap();
    assert!(header.is_compressed() && stored.len() > 65_600);
    assert_eq!(decode::<Vec<u64>>(&stored, &limits()).unwrap(), numbers);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_dynamic_value_survives(value in value(), threshold in proptest::option::of(0..100_usize)) {
        for codec in [Codec::Json, Codec::MessagePack] {
            let options = options(codec).with_compress_above_bytes(threshold);
            let stored = encode_value(&value, &options).unwrap();
            prop_assert_eq!(decode_value(&stored, &limits()).unwrap(), value.clone());
        }
    }

    #[test]
    fn any_float_survives_bit_for_bit(bits in any::<u64>()) {
        let float = f64::from_bits(bits);
        for codec in TYPED {
            if codec == Codec::Json && !float.is_finite() {
                continue;
            }
            let stored = encode(&float, &options(codec)).unwrap();
            prop_assert_eq!(decode::<f64>(&stored, &limits()).unwrap().to_bits(), bits);
        }
    }
}
