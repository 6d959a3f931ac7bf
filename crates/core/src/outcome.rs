//! How a batch ended.

use crate::{Error, Key, Result, Revision};

/// How a batch ended. A lost race is an outcome, not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a rejected batch wrote nothing"]
pub enum Outcome {
    /// All mutations hold, at this revision.
    Committed(Revision),
    /// A precondition did not hold; nothing was written.
    Rejected(Conflict),
}

impl Outcome {
    /// The revision, or a `Conflict` error for those who did not expect to lose.
    ///
    /// # Errors
    ///
    /// `Conflict` when the batch was rejected.
    #[inline]
    pub fn committed(self) -> Result<Revision> {
        match self {
            Outcome::Committed(revision) => Ok(revision),
            Outcome::Rejected(conflict) => Err(Error::conflict("a precondition of the batch did not hold")
                .with("precondition", conflict.precondition)),
        }
    }

    /// The conflict, if the batch was rejected.
    #[must_use]
    pub fn rejected(self) -> Option<Conflict> {
        match self {
            Outcome::Committed(_) => None,
            Outcome::Rejected(conflict) => Some(conflict),
        }
    }

    /// Whether the mutations hold.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        matches!(self, Outcome::Committed(_))
    }
}

/// The first precondition that did not hold, and what was there instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The position of the precondition in the batch.
    pub precondition: usize,
    /// The key that it was about, unless it was about a range.
    pub key: Option<Key>,
    /// What was found.
    pub found: Found,
}

/// What a failed precondition found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Found {
    /// No visible entry.
    Missing,
    /// A visible entry of this revision.
    Revision(Revision),
    /// Another number of entries in the range: the true number, or just the first that is too many.
    Count(u64),
}
