//! The order of commits.

use std::fmt;

/// The number of a committed batch: strictly increasing within a partition, never reused.
///
/// Not after a delete, not after a restore and not after a crash does a number stand for a second commit, so an equal
/// revision means an unchanged entry. Numbers may skip. [`Revision::ZERO`] is before every commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// Before every commit.
    pub const ZERO: Revision = Revision(0);
    /// After every commit.
    pub const MAX: Revision = Revision(u64::MAX);

    /// The highest revision that [`WriteBatch::raise_to`](crate::WriteBatch::raise_to) takes, 2^52: a forged number must not
    /// use up those that are left, and servers count in floating point, exactly up to 2^53.
    pub const HIGHEST_RAISE: Revision = Revision(1 << 52);

    /// The revision with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Revision(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The next number.
    #[must_use]
    pub const fn next(self) -> Self {
        Revision(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
