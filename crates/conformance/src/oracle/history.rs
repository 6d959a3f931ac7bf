//! What tasks asked of a store at the same time, and what they were told.

use std::fmt;

/// A key of a history, from 0.
pub type KeyId = usize;

/// A value that is written at most once in a history, so that it tells which write is seen.
pub type ValueId = u32;

/// What a key holds.
pub type Held = Option<ValueId>;

/// The state of a few keys, by [`KeyId`].
pub type State = Vec<Held>;

/// What was asked, and the answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Some keys were read at one instant.
    Read {
        /// Each key and what was found there.
        found: Vec<(KeyId, Held)>,
    },
    /// A batch.
    Write {
        /// What the keys had to hold for it to commit. A revision stands for the value that was seen with it.
        expected: Vec<(KeyId, Held)>,
        /// What it makes of the keys.
        writes: Vec<(KeyId, Held)>,
        /// The answer.
        outcome: Answer,
    },
}

/// How a batch ended, as far as its task knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It holds.
    Committed,
    /// It left no trace.
    Rejected,
    /// It may have committed at any time after it was asked for, or may commit yet, or never.
    Unknown,
}

impl Call {
    /// The state after this call, or `None` if it could not have had its answer in `state`.
    #[must_use]
    pub fn apply(&self, state: &State) -> Option<State> {
        let holds = |pairs: &[(KeyId, Held)]| pairs.iter().all(|(key, held)| state[*key] == *held);
        match self {
            Call::Read { found } => holds(found).then(|| state.clone()),
            Call::Write {
                expected,
                writes,
                outcome,
            } => match (outcome, holds(expected)) {
                (Answer::Committed | Answer::Unknown, true) => {
                    let mut after = state.clone();
                    for (key, held) in writes {
                        after[*key] = *held;
                    }
                    Some(after)
                }
                (Answer::Rejected, false) => Some(state.clone()),
                (Answer::Committed, false) | (Answer::Rejected, true) | (Answer::Unknown, false) => None,
            },
        }
    }
}

/// One call of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The task.
    pub task: usize,
    /// When it was asked, on a clock that gives no time twice.
    pub invoked: u64,
    /// When the answer came; `None` if it never did.
    pub returned: Option<u64>,
    /// What was asked.
    pub call: Call,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {} {:>4}..", self.task, self.invoked)?;
        match self.returned {
            Some(returned) => write!(f, "{returned:<4} ")?,
            None => write!(f, "?    ")?,
        }
        match &self.call {
            Call::Read { found } => write!(f, "read {}", Pairs(found)),
            Call::Write {
                expected,
                writes,
                outcome,
            } => write!(f, "{outcome:?}: if {} write {}", Pairs(expected), Pairs(writes)),
        }
    }
}

struct Pairs<'a>(&'a [(KeyId, Held)]);

impl fmt::Display for Pairs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (key, held)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            match held {
                Some(value) => write!(f, "{comma}k{key}={value}")?,
                None => write!(f, "{comma}k{key}=-")?,
            }
        }
        f.write_str("}")
    }
}
