//! What both sides of a comparison store.

use stead_core::{Key, Partition};

/// `count` keys in order, of 30 bytes each.
///
/// # Panics
///
/// Never: the keys are within the limits.
#[must_use]
pub fn keys(count: usize) -> Vec<Key> {
    let partition = Partition::new("agent:bench").expect("a valid partition");
    (0..count)
        .map(|index| Key::new(&partition, format!("\u{1}item/{index:012}")).expect("a valid key"))
        .collect()
}

/// A value of 100 bytes.
#[must_use]
pub fn value() -> Vec<u8> {
    (0..100u8).map(|byte| b'a' + byte % 26).collect()
}

/// A cheap sequence that visits `0..len` in no order (a multiplicative walk with an odd stride).
#[must_use]
pub fn shuffled(index: usize, len: usize) -> usize {
    (index.wrapping_mul(0x9E37_79B1)) % len
}
