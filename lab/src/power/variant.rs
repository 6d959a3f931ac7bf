//! The kinds of images.

use std::fmt;

/// What becomes of that which was not synced when the power went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Variant {
    /// All of it is lost.
    Dropped,
    /// All of it is there.
    Kept,
    /// Any of the writes, lengths and entries are there.
    Subset,
    /// As the subset, and writes are torn at multiples of 512 bytes.
    Torn512,
    /// As the subset, and writes are torn at multiples of 4 KiB.
    Torn4096,
    /// All is there but the making, renaming or removing of an entry.
    Entry,
}

impl Variant {
    pub(crate) const ALL: [Variant; 6] = [
        Variant::Dropped,
        Variant::Kept,
        Variant::Subset,
        Variant::Torn512,
        Variant::Torn4096,
        Variant::Entry,
    ];
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Variant::Dropped => "dropped",
            Variant::Kept => "kept",
            Variant::Subset => "subset",
            Variant::Torn512 => "torn-512",
            Variant::Torn4096 => "torn-4096",
            Variant::Entry => "entry-lost",
        })
    }
}
