//! Encoded tuples sort as tuples do, come back, and nothing else is accepted.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use stead_codec::ordered::{Part, decode, encode};

#[derive(Arbitrary, Debug)]
enum Field {
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Str(String),
    Bytes(Vec<u8>),
}

impl Field {
    fn part(&self) -> Part<'_> {
        match self {
            Field::Bool(value) => Part::Bool(*value),
            Field::I64(value) => Part::I64(*value),
            Field::U64(value) => Part::U64(*value),
            Field::F64(value) => Part::F64(*value),
            Field::Str(value) => value.as_str().into(),
            Field::Bytes(value) => value.as_slice().into(),
        }
    }
}

fuzz_target!(|input: (Vec<Field>, Vec<Field>, Vec<u8>)| {
    let (a, b, raw) = &input;
    let a: Vec<Part<'_>> = a.iter().map(Field::part).collect();
    let b: Vec<Part<'_>> = b.iter().map(Field::part).collect();
    let (key_a, key_b) = (encode(&a), encode(&b));
    assert_eq!(key_a.cmp(&key_b), a.cmp(&b));
    assert_eq!(key_b.starts_with(&key_a), b.starts_with(&a));
    assert_eq!(decode(&key_a).expect("what was written is read"), a);
    if let Ok(parts) = decode(raw) {
        assert_eq!(&encode(&parts), raw);
    }
});
