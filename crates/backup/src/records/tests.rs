use proptest::prelude::*;
use stead_core::Partition;

use super::*;

fn key(path: &[u8]) -> Key {
    Key::new(&Partition::new("p").unwrap(), path).unwrap()
}

prop_compose! {
    fn record()(
        path in prop::collection::vec(any::<u8>(), 0..40),
        revision in any::<u64>(),
        behind in any::<u64>(),
        deadline in prop::option::of(0..u64::MAX),
        value in prop::option::of(prop::collection::vec(any::<u8>(), 0..100)),
        expired: bool,
    ) -> Record {
        let payload = match value {
            Some(value) => Payload::Value(value.into()),
            None if expired => Payload::Expired,
            None => Payload::Deleted,
        };
        Record {
            key: key(&path),
            revision: Revision::new(revision),
            first: Revision::new(revision - behind.min(revision)),
            deadline: deadline.filter(|_| payload.value().is_some()).map(Timestamp::from_millis),
            payload,
        }
    }
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    prop::collection::vec(record(), 0..60).prop_map(|mut records| {
        records.sort_by(|one, other| one.key.cmp(&other.key));
        records.dedup_by(|one, other| one.key == other.key);
        records
    })
}

fn leaf(records: &[Record]) -> Hash {
    let mut hash = LeafHash::new();
    records.iter().for_each(|record| hash.add(record));
    hash.finish()
}

fn encoded(records: &[Record], shape: Shape) -> Vec<u8> {
    let mut content = Vec::new();
    encode(records, shape, &mut content);
    content
}

proptest! {
    #[test]
    fn records_are_read_as_they_were_written(records in records()) {
        for shape in [Shape::Full, Shape::Increment] {
            let content = Bytes::from(encoded(&records, shape));
            let read = decode(&content, shape).unwrap();
            prop_assert_eq!(read.len(), records.len());
            for (read, record) in read.iter().zip(&records) {
                prop_assert_eq!(&read.key, &record.key);
                prop_assert_eq!(read.revision, record.revision);
                let first = if shape == Shape::Full { record.revision } else { record.first };
                prop_assert_eq!(read.first, first);
                prop_assert_eq!(read.deadline, record.deadline);
                prop_assert_eq!(read.payload.value(), record.payload.value());
                prop_assert_eq!(read.row().cell.tag(), record.row().cell.tag());
            }
            prop_assert_eq!(leaf(&read), leaf(&records));
            for length in (0..content.len()).step_by(1 + content.len() / 40) {
                prop_assert!(decode(&content.slice(..length), shape).is_err());
            }
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let content = Bytes::from(bytes);
        for shape in [Shape::Full, Shape::Increment] {
            if let Ok(records) = decode(&content, shape) {
                prop_assert!(records.len() <= content.len());
            }
        }
    }
}

#[test]
fn the_leaf_is_as_documented() {
    let record = Record {
        key: key(b"k"),
        revision: Revision::new(7),
        first: Revision::new(7),
        deadline: None,
        payload: Payload::Value(Bytes::from_static(b"v")),
    };
    let mut wanted = vec![0, 2, 0, 3, b'p', 0, b'k', 0, 0, 0, 0, 0, 0, 0, 7];
    wanted.extend([0xff; 8]);
    wanted.extend(Hash::of(b"v").as_bytes());
    assert_eq!(leaf(&[record]), Hash::of(&wanted));
}

#[test]
fn long_keys_are_hashed_like_short_ones() {
    let of = |length: usize| {
        let record = Record {
            key: key(&vec![b'k'; length]),
            revision: Revision::new(1),
            first: Revision::new(1),
            deadline: Some(Timestamp::from_millis(5)),
            payload: Payload::Deleted,
        };
        let encoded = record.key.as_bytes();
        let mut wanted = vec![0, 0];
        wanted.extend(u16::try_from(encoded.len()).unwrap().to_be_bytes());
        wanted.extend(encoded);
        wanted.extend([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5]);
        wanted.extend([0; 32]);
        assert_eq!(leaf(&[record]), Hash::of(&wanted), "{length}");
    };
    for length in [0, 100, 106, 107, 108, 1024] {
        of(length);
    }
}

#[test]
fn borders_depend_on_what_is_near_them() {
    let number = 60_000_u32;
    let records: Vec<Record> = (0..number)
        .map(|n| Record {
            key: key(format!("{n:08}").as_bytes()),
            revision: Revision::new(1),
            first: Revision::new(1),
            deadline: None,
            payload: Payload::Value(vec![0; 100].into()),
        })
        .collect();
    let ends = |records: &[Record]| {
        let mut cutter = Cutter::default();
        let ended = records.iter().filter(|record| cutter.ends_behind(record));
        ended.map(|record| record.key.clone()).collect::<Vec<_>>()
    };
    let all = ends(&records);
    assert!((4..=14).contains(&all.len()), "{}", all.len());
    let without_one = ends(&records[1..]);
    let moved = all.iter().filter(|key| !without_one.contains(key)).count();
    assert!(moved <= all.len() / 2, "{moved} of {}", all.len());
}

#[test]
fn shared_keys_do_not_make_a_chunk_grow_without_end() {
    // Many records whose keys share all but their last bytes: a few bytes each here, a thousand there.
    let mut content = Vec::new();
    varint::put(&mut content, 200_000);
    varint::put(&mut content, 0);
    let first = key(&[b'k'; 1000]);
    varint::put(&mut content, first.as_bytes().len() as u64);
    content.extend_from_slice(first.as_bytes());
    for number in 0..200_000_u32 {
        varint::put(&mut content, first.as_bytes().len() as u64);
        varint::put(&mut content, 4);
        content.extend_from_slice(&number.to_be_bytes());
    }
    content.extend(vec![0; 800_000]);
    assert!(decode(&content, Shape::Full).is_err());
}
