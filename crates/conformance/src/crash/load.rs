//! The kinds of work that a store is made to fail in.

use std::fmt;
use std::str::FromStr;

use stead_core::{Error, Result};

/// What kind of writes a writer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Load {
    /// Single writes, some of them deletes, over a number of keys that grows; three of four durable.
    Put,
    /// Single writes on the condition that nobody wrote in between, and some on a condition that does not hold.
    CompareAndSet,
    /// Several keys at once, all or nothing, sometimes with a delete or a condition.
    Batch,
    /// Entries that pass their deadline within the next writes, that get another one, or lose it.
    Expire,
    /// Overwrites of few keys with large values, most of them buffered: the change log is trimmed, and what the engine
    /// holds of older values is cleared away.
    Trim,
    /// All of them.
    Mixed,
}

impl Load {
    /// Every load.
    pub const ALL: [Load; 6] = [
        Load::Put,
        Load::CompareAndSet,
        Load::Batch,
        Load::Expire,
        Load::Trim,
        Load::Mixed,
    ];

    /// The load in lower case, as it is parsed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Load::Put => "put",
            Load::CompareAndSet => "compare-and-set",
            Load::Batch => "batch",
            Load::Expire => "expire",
            Load::Trim => "trim",
            Load::Mixed => "mixed",
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Load {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Load::ALL
            .into_iter()
            .find(|load| load.as_str() == text)
            .ok_or_else(|| {
                Error::invalid("no such load; there are put, compare-and-set, batch, expire, trim and mixed")
                    .with("load", text.escape_debug())
            })
    }
}
