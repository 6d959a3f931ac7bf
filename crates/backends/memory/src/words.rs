//! Keys in whole words.
//!
//! `Key` writes its bytes in words, and a read of what was just written in other pieces waits until all of it is in the
//! cache. For as few bytes as a key has, calling `memcmp` also costs more than what it does.

/// Whether both are the same bytes.
#[inline]
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let ((left, left_rest), (right, right_rest)) = (left.as_chunks::<8>(), right.as_chunks::<8>());
    for (left, right) in left.iter().zip(right) {
        if u64::from_le_bytes(*left) != u64::from_le_bytes(*right) {
            return false;
        }
    }
    word_of(left_rest) == word_of(right_rest)
}

/// Fewer than eight bytes as a number, another one for each content of the same length. Zeros of other lengths give others,
/// too: keys that end in them are no more likely to share a hash.
#[inline]
pub(crate) fn word_of(bytes: &[u8]) -> u64 {
    let len = bytes.len() as u64;
    let small = match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>(), bytes) {
        (Some(first), Some(last), _) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
        }
        (_, _, [first, middle @ .., last]) => {
            let middle = middle.first().copied().unwrap_or(*last);
            u64::from_le_bytes([*first, middle, *last, 0, 0, 0, 0, 0])
        }
        (_, _, [only]) => u64::from(*only),
        _ => 0,
    };
    small ^ len.rotate_right(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_of_each_length_are_another_word() {
        let words: Vec<u64> = (0..8).map(|len| word_of(&[0; 8][..len])).collect();
        for (len, word) in words.iter().enumerate() {
            assert!(!words[..len].contains(word), "{len} zeros");
        }
    }

    #[test]
    fn every_byte_and_the_length_count() {
        for len in 0..40 {
            let bytes = vec![7; len];
            assert!(same(&bytes, &bytes.clone()));
            assert!(!same(&bytes, &vec![7; len + 1]));
            for place in 0..len {
                let mut other = bytes.clone();
                other[place] = 8;
                assert!(!same(&bytes, &other), "byte {place} of {len}");
            }
        }
    }
}
