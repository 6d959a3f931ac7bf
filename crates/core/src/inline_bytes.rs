//! Short byte strings without an allocation.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::num::NonZeroUsize;
use std::ops::Deref;

/// What most keys fit into.
const INLINE: usize = 48;

/// Bytes of a key or of a range's bound: in place up to 48, else on the heap. A clone of bytes in place is a plain copy;
/// a general small vector clones element by element, which was a tenth of a small write.
///
/// It is made of whole words, so that a copy moves no pieces of odd sizes, which whoever reads the copy waits for.
#[derive(Clone)]
pub(crate) enum InlineBytes {
    Inline { buffer: Buffer, len: Length },
    Heap(Box<[u8]>),
}

#[derive(Clone, Copy)]
#[repr(align(8))]
pub(crate) struct Buffer([u8; INLINE]);

/// One more than the length: the zero is left to the compiler, which tells with it what is on the heap.
#[derive(Clone, Copy)]
pub(crate) struct Length(NonZeroUsize);

impl Length {
    const ZERO: Length = Length(NonZeroUsize::MIN);

    #[inline]
    fn get(self) -> usize {
        self.0.get() - 1
    }

    #[inline]
    fn plus(self, more: usize) -> Self {
        Length(self.0.saturating_add(more))
    }
}

impl InlineBytes {
    pub(crate) const fn empty() -> Self {
        InlineBytes::Inline {
            len: Length::ZERO,
            buffer: Buffer([0; INLINE]),
        }
    }

    /// The parts one after the other.
    #[inline]
    pub(crate) fn concat(parts: &[&[u8]]) -> Self {
        let len = parts.iter().map(|part| part.len()).sum::<usize>();
        if len > INLINE {
            return InlineBytes::Heap(parts.concat().into_boxed_slice());
        }
        let mut bytes = InlineBytes::empty();
        for part in parts {
            bytes.push(part);
        }
        bytes
    }

    /// Appends `tail`.
    ///
    /// Small ones are written in whole words, where a copy of the bytes would write pieces that overlap: a hash that
    /// reads the key right away would wait for the processor to put the pieces together, which took as long as the
    /// search in a small map. A move of the bytes in wider pieces waits as well, so that this changes them in place.
    #[inline]
    pub(crate) fn push(&mut self, tail: &[u8]) {
        match self {
            InlineBytes::Inline { len, buffer } if len.get() + tail.len() <= INLINE => {
                push_words(buffer, len.get(), tail);
                *len = len.plus(tail.len());
            }
            _ => *self = InlineBytes::Heap([self, tail].concat().into_boxed_slice()),
        }
    }
}

/// Puts `tail` behind the first `len` bytes of `buffer`, whose other bytes are zero; together they fit.
#[inline]
fn push_words(buffer: &mut Buffer, len: usize, tail: &[u8]) {
    let words = buffer.0.as_chunks_mut::<8>().0;
    let (mut word, filled) = (len / 8, len % 8);
    let mut from = 0;
    if filled > 0 {
        words[word] = (u64::from_le_bytes(words[word]) | word_at(tail, 0) << (8 * filled)).to_le_bytes();
        word += 1;
        from = 8 - filled;
    }
    while from < tail.len() {
        words[word] = word_at(tail, from).to_le_bytes();
        word += 1;
        from += 8;
    }
}

/// The eight bytes of `bytes` from `from` on as a number, the first one lowest; zeros follow the last.
#[inline]
fn word_at(bytes: &[u8], from: usize) -> u64 {
    if let Some(whole) = bytes.get(from..).and_then(<[u8]>::first_chunk) {
        return u64::from_le_bytes(*whole);
    }
    let left = bytes.len() - from;
    if let Some(last) = bytes.last_chunk() {
        return u64::from_le_bytes(*last) >> (8 * (8 - left));
    }
    let mut word = [0; 8];
    word[..left].copy_from_slice(&bytes[from..]);
    u64::from_le_bytes(word)
}

impl From<&[u8]> for InlineBytes {
    #[inline]
    fn from(bytes: &[u8]) -> Self {
        if bytes.len() > INLINE {
            return InlineBytes::Heap(bytes.into());
        }
        let mut buffer = Buffer([0; INLINE]);
        push_words(&mut buffer, 0, bytes);
        InlineBytes::Inline {
            buffer,
            len: Length::ZERO.plus(bytes.len()),
        }
    }
}

impl Deref for InlineBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            InlineBytes::Inline { len, buffer } => &buffer.0[..len.get()],
            InlineBytes::Heap(bytes) => bytes,
        }
    }
}

impl PartialEq for InlineBytes {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for InlineBytes {}

impl PartialOrd for InlineBytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for InlineBytes {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for InlineBytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_depends_on_the_length_alone() {
        assert_eq!(size_of::<InlineBytes>(), 56);
        let whole: Vec<u8> = (0..INLINE + 12)
            .map(|index| 255 - index.to_le_bytes()[0])
            .collect();
        for len in 0..whole.len() {
            for at in 0..=len {
                let (left, right) = whole[..len].split_at(at);
                let mut joined = InlineBytes::from(left);
                joined.push(right);
                assert_eq!(&*joined, &whole[..len]);
                assert!(joined == InlineBytes::concat(&[left, right]));
                assert_eq!(matches!(joined, InlineBytes::Inline { .. }), len <= INLINE);
            }
        }
    }
}
