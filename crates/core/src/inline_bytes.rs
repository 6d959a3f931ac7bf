//! Short byte strings without an allocation.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// What most keys fit into. Together with its length and tag it fills 56 bytes.
const INLINE: usize = 54;

/// Bytes of a key or of a range's bound: in place up to 54, else on the heap. A clone of bytes in place is a plain copy;
/// a general small vector clones element by element, which was a tenth of a small write.
#[derive(Clone)]
pub(crate) enum InlineBytes {
    Inline { len: u8, buffer: [u8; INLINE] },
    Heap(Box<[u8]>),
}

impl InlineBytes {
    pub(crate) const fn empty() -> Self {
        InlineBytes::Inline {
            len: 0,
            buffer: [0; INLINE],
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
            bytes.push_inline(part);
        }
        bytes
    }

    /// These bytes with `tail` behind them.
    #[inline]
    pub(crate) fn join(&self, tail: &[u8]) -> Self {
        match self {
            InlineBytes::Inline { len, .. } if usize::from(*len) + tail.len() <= INLINE => {
                let mut joined = self.clone();
                joined.push_inline(tail);
                joined
            }
            _ => InlineBytes::Heap([self, tail].concat().into_boxed_slice()),
        }
    }

    /// Appends what fits in place, as was checked.
    #[inline]
    fn push_inline(&mut self, tail: &[u8]) {
        let InlineBytes::Inline { len, buffer } = self else {
            return;
        };
        let start = usize::from(*len);
        let end = start + tail.len();
        buffer[start..end].copy_from_slice(tail);
        *len = u8::try_from(end).expect("fewer than 256 bytes are kept in place");
    }
}

impl From<&[u8]> for InlineBytes {
    #[inline]
    fn from(bytes: &[u8]) -> Self {
        InlineBytes::concat(&[bytes])
    }
}

impl Deref for InlineBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            InlineBytes::Inline { len, buffer } => &buffer[..usize::from(*len)],
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
        for len in [0, 1, INLINE - 1, INLINE, INLINE + 1, 1_000] {
            let whole: Vec<u8> = (0..len).map(|index| index.to_le_bytes()[0]).collect();
            let (left, right) = whole.split_at(len / 3);
            let joined = InlineBytes::from(left).join(right);
            assert_eq!(&*joined, &whole[..]);
            assert!(joined == InlineBytes::concat(&[left, right]));
            assert_eq!(matches!(joined, InlineBytes::Inline { .. }), len <= INLINE);
        }
    }
}
