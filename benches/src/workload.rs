//! What both sides of a comparison store.

use stead_core::{Key, KeyRange, Partition, Random, SeededRandom};

/// `count` keys in order, of 30 bytes each.
///
/// # Panics
///
/// Never: the keys are within the limits.
#[must_use]
pub fn keys(count: usize) -> Vec<Key> {
    let partition = partition();
    (0..count)
        .map(|index| Key::new(&partition, format!("\u{1}item/{index:012}")).expect("a valid key"))
        .collect()
}

fn partition() -> Partition {
    Partition::new("agent:bench").expect("a valid partition")
}

/// Where the partition of the keys ends.
///
/// # Panics
///
/// Never: it has an end.
#[must_use]
pub fn end() -> Vec<u8> {
    let range = KeyRange::partition(&partition());
    range.end().expect("a partition ends").to_vec()
}

/// A value of 100 bytes, for stores that do not compress.
#[must_use]
pub fn value() -> Vec<u8> {
    (0..100u8).map(|byte| b'a' + byte % 26).collect()
}

/// How many different values there are.
const VALUES: usize = 1_024;

/// Values of 100 letters and digits in no order, which no engine can compress by much.
#[must_use]
pub fn values() -> Vec<Vec<u8>> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let random = SeededRandom::new(7);
    let letter = || LETTERS[usize::from(random.next_u64().to_le_bytes()[0] % 64)];
    (0..VALUES)
        .map(|_| (0..100).map(|_| letter()).collect())
        .collect()
}

/// Which of the [`values`] comes after so many others.
#[must_use]
pub fn nth(place: u64) -> usize {
    usize::try_from(place % VALUES as u64).expect("a small number")
}

/// A cheap sequence that visits `0..len` in no order (a multiplicative walk with an odd stride).
#[must_use]
pub fn shuffled(index: usize, len: usize) -> usize {
    (index.wrapping_mul(0x9E37_79B1)) % len
}
