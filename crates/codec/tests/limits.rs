//! Nothing is allocated beyond the limits, whatever a length claims.
#![expect(unsafe_code, reason = "an allocator that counts cannot be written without")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::HashMap;

use common::{TYPED, forge, record};
use serde::Deserialize;
use serde_json::Value;
use stead_codec::{
    Codec, DecodeLimits, Envelope, EnvelopeOptions, decode, decode_value, encode, encode_bytes, peek,
};
use stead_core::ErrorKind;

/// Counts what the current thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

fn count(size: usize) {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    LARGEST.set(LARGEST.get().max(size));
}

// SAFETY: every call goes to the system allocator unchanged; the counters are plain cells of the thread, made at
// compile time, and allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many allocations `work` makes, and the largest of them in bytes.
fn measure<T>(work: impl FnOnce() -> T) -> (T, usize, usize) {
    ALLOCATIONS.set(0);
    LARGEST.set(0);
    let result = work();
    (result, ALLOCATIONS.get(), LARGEST.get())
}

/// What an error may cost: its box, its texts.
const ERROR_BYTES: usize = 1024;
/// What serde reserves at most on the word of a length: 1 MiB of elements, for which a hash map takes up to 2.2.
const CAUTIOUS_BYTES: usize = 5 << 19;

#[test]
fn the_counter_counts() {
    let (vector, allocations, largest) = measure(|| vec![1_u8; 12_345]);
    assert_eq!((vector.len(), allocations, largest), (12_345, 1, 12_345));
}

#[test]
fn an_uncompressed_envelope_is_parsed_without_allocating() {
    let limits = DecodeLimits::default();
    let stored = encode_bytes(&[7; 1000], &EnvelopeOptions::default()).unwrap();
    let (length, allocations, _) = measure(|| {
        let envelope = Envelope::parse(&stored, &limits).unwrap();
        assert!(matches!(
            envelope.clone().into_payload(),
            std::borrow::Cow::Borrowed(_)
        ));
        peek(&stored).unwrap().payload_bytes() + envelope.payload().len()
    });
    assert_eq!((length, allocations), (2000, 0));
}

#[test]
fn a_usual_value_is_encoded_in_one_allocation() {
    let value = HashMap::from([
        ("name", "planner"),
        ("note", "a hundred bytes or so, as most values of agents are"),
    ]);
    for codec in TYPED {
        let options = EnvelopeOptions::default().with_codec(codec);
        let (stored, allocations, _) = measure(|| encode(&value, &options).unwrap());
        assert_eq!(allocations, 1, "{codec}, {} bytes", stored.len());
    }
}

#[test]
fn a_forged_unpacked_length_of_4_gib_allocates_nothing() {
    let limits = DecodeLimits::default();
    let frame = zstd::bulk::compress(&[0; 5000], 1).unwrap();
    for claim in [u32::MAX, (16 << 20) + 1] {
        let stored = forge(0, &frame, Some(claim));
        let (error, _, largest) = measure(|| Envelope::parse(&stored, &limits).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(
            error
                .to_string()
                .contains(&format!("size_bytes={claim} limit_bytes=16777216"))
        );
        assert!(largest < ERROR_BYTES, "{largest}");
    }
}

#[test]
fn a_frame_that_disagrees_with_the_header_allocates_nothing() {
    let limits = DecodeLimits::default();
    let frame = zstd::bulk::compress(&[0; 5000], 1).unwrap();
    let twice = [&frame[..], &frame[..]].concat();
    // A streamed frame does not say how much it holds.
    let streamed = zstd::stream::encode_all(&[0; 5000][..], 1).unwrap();
    let skippable = [&b"\x50\x2A\x4D\x18\x04\0\0\0abcd"[..], &frame].concat();
    let extended = [&frame[..], b"x"].concat();
    let cases: [(&[u8], u32); 9] = [
        (&frame, 4999),
        (&frame, 5001),
        (&frame, 16 << 20),
        (&twice, 10_000),
        (&twice, 5000),
        (&streamed, 5000),
        (&skippable, 5000),
        (&extended, 5000),
        (&[], 0),
    ];
    for (index, (frame, claim)) in cases.into_iter().enumerate() {
        let stored = forge(0, frame, Some(claim));
        let (error, _, largest) = measure(|| Envelope::parse(&stored, &limits).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Corrupt, "case {index}");
        assert!(largest < ERROR_BYTES, "case {index}: {largest}");
    }
    let stored = forge(0, &frame, Some(5000));
    assert_eq!(Envelope::parse(&stored, &limits).unwrap().payload(), &[0; 5000]);
}

#[test]
fn a_bomb_is_held_to_the_limit() {
    // 64 MiB of zeroes in some six kilobytes, honestly declared.
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
    assert!(bomb.len() < 20_000);
    let honest = forge(0, &bomb, Some(64 << 20));
    let (error, _, largest) = measure(|| Envelope::parse(&honest, &DecodeLimits::default()).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(largest < ERROR_BYTES);
    // A frame whose own header lies: it says 1,000 bytes, its blocks hold more.
    let mut lying = zstd::bulk::compress(&[0; 1000], 1).unwrap();
    let larger = zstd::bulk::compress(&[0; 1001], 1).unwrap();
    let position = lying.iter().zip(&larger).position(|(a, b)| a != b).unwrap();
    let length_place = position..position + 2;
    assert_eq!(larger[length_place.clone()], (1001_u16 - 256).to_le_bytes());
    lying = larger;
    lying[length_place].copy_from_slice(&(1000_u16 - 256).to_le_bytes());
    let lying = forge(0, &lying, Some(1000));
    let (error, _, largest) = measure(|| Envelope::parse(&lying, &DecodeLimits::default()).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(largest <= ERROR_BYTES, "{largest}");
    // The limit can be raised.
    let limits = DecodeLimits::default().with_output_bytes(64 << 20);
    let (_, _, largest) = measure(|| Envelope::parse(&honest, &limits).unwrap());
    assert_eq!(largest, 64 << 20);
}

#[test]
fn forged_lengths_inside_payloads_allocate_next_to_nothing() {
    #[derive(Deserialize)]
    struct Owned {
        #[expect(dead_code, reason = "only read")]
        text: String,
    }
    let limits = DecodeLimits::default();
    // bincode: 253 announces eight bytes of length.
    let huge: Vec<u8> = [&[253][..], &(1_u64 << 40).to_le_bytes()].concat();
    let bincode = forge(3, &huge, None);
    // MessagePack: str32, bin32, array32, map32, ext32, each of 4 GiB.
    let packed =
        [0xDB, 0xC6, 0xDD, 0xDF, 0xC9].map(|marker| forge(2, &[marker, 255, 255, 255, 255, 1, 2], None));
    let (_, _, largest) = measure(|| {
        assert!(decode::<String>(&bincode, &limits).is_err());
        assert!(decode::<Owned>(&bincode, &limits).is_err());
        assert!(decode::<Vec<String>>(&bincode, &limits).is_err());
        assert!(decode::<Vec<u64>>(&bincode, &limits).is_err());
        assert!(decode::<HashMap<u64, u64>>(&bincode, &limits).is_err());
        for stored in &packed {
            assert!(decode_value(stored, &limits).is_err());
            assert!(decode::<String>(stored, &limits).is_err());
            assert!(decode::<Vec<u64>>(stored, &limits).is_err());
            assert!(decode::<HashMap<String, u64>>(stored, &limits).is_err());
        }
    });
    assert!(largest <= CAUTIOUS_BYTES, "{largest}");
}

#[test]
fn a_sequence_of_nothing_cannot_run_for_ever() {
    let limits = DecodeLimits::default();
    let endless = forge(3, &[&[253][..], &u64::MAX.to_le_bytes()].concat(), None);
    let error = decode::<Vec<()>>(&endless, &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("limit_elements=16777216"), "{error}");
    let options = EnvelopeOptions::default().with_codec(Codec::Bincode);
    let stored = encode(&vec![(); 1000], &options).unwrap();
    assert_eq!(decode::<Vec<()>>(&stored, &limits).unwrap().len(), 1000);
    let error = encode(&vec![(); (16 << 20) + 1], &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn writing_stops_at_the_limit() {
    let limits = DecodeLimits::default().with_output_bytes(1000);
    let text = "x".repeat(4 << 20);
    for codec in TYPED {
        let options = EnvelopeOptions::default().with_codec(codec).with_limits(limits);
        let (error, _, largest) = measure(|| encode(&text, &options).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Invalid, "{codec}");
        assert!(error.to_string().contains("limit_bytes=1000"), "{codec}: {error}");
        assert!(largest < 4096, "{codec}: {largest}");
        let many = vec![1_u8; 100_000];
        let (_, _, largest) = measure(|| encode(&many, &options).unwrap_err());
        assert!(largest < 4096, "{codec}: {largest}");
    }
    // A limit below what is reserved for a usual value.
    for codec in TYPED {
        let options = EnvelopeOptions::default()
            .with_codec(codec)
            .with_limits(limits.with_output_bytes(22));
        assert!(encode(&"x".repeat(20), &options).is_ok(), "{codec}");
        assert_eq!(
            encode(&"x".repeat(23), &options).unwrap_err().kind(),
            ErrorKind::Invalid,
            "{codec}"
        );
    }
    let options = EnvelopeOptions::default().with_limits(limits);
    assert!(encode_bytes(&[0; 1000], &options).is_ok());
    assert_eq!(
        encode_bytes(&[0; 1001], &options).unwrap_err().kind(),
        ErrorKind::Invalid
    );
}

#[test]
fn reading_is_held_to_the_limit_for_uncompressed_payloads_too() {
    let stored = encode(&record(), &EnvelopeOptions::default()).unwrap();
    let size = peek(&stored).unwrap().payload_bytes();
    let exact = DecodeLimits::default().with_output_bytes(size);
    assert!(decode::<common::Record>(&stored, &exact).is_ok());
    let short = DecodeLimits::default().with_output_bytes(size - 1);
    let error = decode::<common::Record>(&stored, &short).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn a_tree_of_values_takes_no_more_than_documented() {
    let text = format!("[{}0]", "0,".repeat(500_000));
    let stored = forge(1, text.as_bytes(), None);
    let (value, _, largest) = measure(|| decode_value(&stored, &DecodeLimits::default()).unwrap());
    assert_eq!(value.as_array().map(Vec::len), Some(500_001));
    assert!(size_of::<Value>() <= 72);
    assert!(largest <= text.len() * 40, "{largest} for {}", text.len());
}
