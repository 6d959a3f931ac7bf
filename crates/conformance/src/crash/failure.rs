//! How a verification fails.

use std::fmt;

use stead_core::Error;

/// What a store did that it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// An acknowledged write is gone, or an older value is there in its place.
    Lost,
    /// A part of a batch is there.
    Half,
    /// A revision stands for two commits, or comes after one that was handed out before.
    Reused,
    /// Something is there that was never written, or that a later write had replaced.
    Invented,
    /// A watch that resumed left out, repeated or made up changes.
    Watch,
    /// An entry past its deadline is visible, or one was removed before it.
    Expiry,
    /// The store's own check found something.
    Damaged,
    /// The store does not answer, or refuses to be written to.
    Unusable,
    /// The writer was answered otherwise than it had to be.
    Answer,
}

impl FailureKind {
    /// The kind as a stable lower-case word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            FailureKind::Lost => "lost",
            FailureKind::Half => "half",
            FailureKind::Reused => "reused",
            FailureKind::Invented => "invented",
            FailureKind::Watch => "watch",
            FailureKind::Expiry => "expiry",
            FailureKind::Damaged => "damaged",
            FailureKind::Unusable => "unusable",
            FailureKind::Answer => "answer",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a store did that it must not, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of thing it did.
    pub kind: FailureKind,
    /// What exactly.
    pub message: String,
}

impl Failure {
    /// A failure of `kind`.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Failure {
            kind,
            message: message.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl std::error::Error for Failure {}

/// A store that fails where it must answer. `doing` says what it was asked.
pub(super) fn unusable(doing: &str) -> impl FnOnce(Error) -> Failure + '_ {
    move |error| Failure::new(FailureKind::Unusable, format!("{doing}: {error:?}"))
}
