//! The encoding of keys is injective and keeps the order of (partition, path).
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use stead_core::{Key, KeyRange, Partition};

fn partition() -> impl Strategy<Value = Vec<u8>> {
    // Few different bytes, so that prefixes of each other are common.
    prop::collection::vec(prop_oneof![Just(1u8), Just(2), Just(b':'), Just(0xFF)], 1..6)
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(b'/'), Just(0xFF)], 0..6)
}

fn key(partition: &[u8], path: &[u8]) -> Key {
    Key::new(&Partition::new(partition).unwrap(), path).unwrap()
}

proptest! {
    #[test]
    fn order_of_encoded_keys_is_order_of_parts(a in (partition(), path()), b in (partition(), path())) {
        prop_assert_eq!(key(&a.0, &a.1).as_bytes().cmp(key(&b.0, &b.1).as_bytes()), a.cmp(&b));
    }

    #[test]
    fn encoding_reads_back(a in (partition(), path())) {
        let key = key(&a.0, &a.1);
        let back = Key::from_encoded(key.as_bytes()).unwrap();
        prop_assert_eq!(back.partition_bytes(), &a.0[..]);
        prop_assert_eq!(back.path(), &a.1[..]);
    }

    #[test]
    fn prefix_range_holds_just_the_paths_with_the_prefix(a in (partition(), path()), b in (partition(), path())) {
        let range = KeyRange::prefix(&Partition::new(&a.0).unwrap(), &a.1).unwrap();
        let inside = b.0 == a.0 && b.1.starts_with(&a.1);
        prop_assert_eq!(range.contains(&key(&b.0, &b.1)), inside);
    }

    #[test]
    fn partition_range_holds_just_the_partition(a in partition(), b in (partition(), path())) {
        let range = KeyRange::partition(&Partition::new(&a).unwrap());
        prop_assert_eq!(range.contains(&key(&b.0, &b.1)), a == b.0);
    }

    #[test]
    fn after_and_before_split_a_range_at_a_key(a in path(), b in path()) {
        let all = KeyRange::all();
        let (a, b) = (key(b"p", &a), key(b"p", &b));
        prop_assert_eq!(all.after(&a).contains(&b), b > a);
        prop_assert_eq!(all.before(&a).contains(&b), b < a);
        prop_assert_eq!(all.up_to(&a).contains(&b), b <= a);
        prop_assert!(!all.before(&a).up_to(&b).contains(&a));
    }
}

#[test]
fn agent_1_is_no_prefix_of_agent_10() {
    let one = Partition::new("agent:1").unwrap();
    let ten = key(b"agent:10", b"plan");
    assert!(!KeyRange::partition(&one).contains(&ten));
    assert!(!KeyRange::prefix(&one, "").unwrap().contains(&ten));
}

#[test]
fn limits_are_typed_and_exact() {
    assert!(Partition::new([b'p'; 255]).is_ok());
    let error = Partition::new([b'p'; 256]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "partition is longer than the limit: length_bytes=256 limit_bytes=255"
    );
    assert!(Partition::new("").is_err());
    assert!(Partition::new("a\0b").is_err());
    let longest = Partition::new([b'p'; 255]).unwrap();
    let key = Key::new(&longest, [0; 1024]).unwrap();
    assert_eq!(key.as_bytes().len(), Key::MAX_ENCODED_BYTES);
    assert_eq!(Key::from_encoded(key.as_bytes()).unwrap(), key);
    assert!(Key::check_encoded(key.as_bytes()).is_ok());
    let longer = [key.as_bytes(), b"0"].concat();
    assert!(Key::from_encoded(&longer).is_err() && Key::check_encoded(&longer).is_err());
    assert!(Key::new(&longest, [0; 1025]).is_err());
}

#[test]
fn malformed_encodings_are_corrupt() {
    for bytes in [&b""[..], b"\0", b"\0path", b"no-separator", &[1; 300]] {
        assert_eq!(
            Key::from_encoded(bytes).unwrap_err().kind(),
            stead_core::ErrorKind::Corrupt
        );
        assert!(Key::check_encoded(bytes).is_err());
    }
}

#[test]
fn separator_is_found_wherever_it_is() {
    for length in 1..=Partition::MAX_BYTES {
        // Neighbours of zero in one way or another.
        for byte in [0x01, 0x7F, 0x80, 0xFF] {
            for path in [&b""[..], b"\0", b"\x01\0\x80"] {
                let key = key(&vec![byte; length], path);
                let back = Key::from_encoded(key.as_bytes()).unwrap();
                assert_eq!(back.partition_bytes().len(), length);
                assert_eq!(back.path(), path);
            }
        }
    }
}
