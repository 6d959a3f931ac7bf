//! Where in the tree an entry is.

use crate::tree::MAX;

/// The bits of a slot.
const SLOT: u64 = MAX as u64 - 1;

/// The slots of the nodes on the way to an entry, six bits for each: that of the leaf lowest, so that a tree that grows
/// higher leaves the paths in its leftmost part as they are.
#[derive(Clone, Copy, Default)]
pub(crate) struct Path(u64);

impl Path {
    const BITS: u32 = MAX.ilog2();

    pub(crate) fn from_hint(hint: u32) -> Self {
        Path(u64::from(hint))
    }

    /// The path as entries remember it. One of six slots and more, in a store of some hundred million entries, may not
    /// fit: then entries are searched for.
    pub(crate) fn hint(self) -> u32 {
        u32::try_from(self.0).unwrap_or_default()
    }

    /// The slot in the node that is so many nodes above a leaf.
    pub(crate) fn slot(self, height: u32) -> usize {
        (self.0 >> (height * Path::BITS) & SLOT) as usize
    }

    /// The same but for that slot.
    pub(crate) fn with_slot(self, height: u32, slot: usize) -> Self {
        let shift = height * Path::BITS;
        Path(self.0 & !(SLOT << shift) | (slot as u64) << shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_holds_a_slot_for_each_height_and_fits_the_hint_while_the_tree_is_low() {
        let path = Path::default().with_slot(0, 63).with_slot(4, 5).with_slot(4, 6);
        assert_eq!([0, 1, 4].map(|height| path.slot(height)), [63, 0, 6]);
        assert_eq!(Path::from_hint(path.hint()).0, path.0);
        assert_eq!(path.with_slot(6, 1).slot(6), 1);
        assert_eq!(path.with_slot(6, 1).hint(), 0);
    }
}
