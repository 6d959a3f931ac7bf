//! What a writer says while it writes, as lines of text.

use std::fmt;
use std::str::FromStr;

use stead_core::{Durability, Error, ErrorKind, Result, Revision};

/// That a store answered a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The number of the write.
    pub number: u64,
    /// The revision at which it committed, or `None` if it was rejected.
    pub revision: Option<Revision>,
    /// What the writer had asked for.
    pub durability: Durability,
}

/// One line of a writer: `start 17`, `ack 17 committed 23 durable`, `ack 18 rejected durable`, `failed 19 unavailable`,
/// `passed 400`, `synced`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Write N is about to be handed over.
    Started(u64),
    /// The store answered.
    Acknowledged(Ack),
    /// The store failed to answer.
    Failed {
        /// The number of the write.
        number: u64,
        /// What went wrong.
        kind: ErrorKind,
    },
    /// Time passes: the next write is N, and the numbers before it are left out.
    Passed(u64),
    /// Everything that was acknowledged so far is as safe as a durable write: the store was synced, or closed.
    Synced,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Started(number) => write!(f, "start {number}"),
            Event::Acknowledged(ack) => ack.fmt(f),
            Event::Failed { number, kind } => write!(f, "failed {number} {kind}"),
            Event::Passed(number) => write!(f, "passed {number}"),
            Event::Synced => f.write_str("synced"),
        }
    }
}

impl fmt::Display for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ack {} ", self.number)?;
        match self.revision {
            Some(revision) => write!(f, "committed {revision} ")?,
            None => f.write_str("rejected ")?,
        }
        f.write_str(match self.durability {
            Durability::Buffered => "buffered",
            Durability::Durable => "durable",
        })
    }
}

impl FromStr for Event {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self> {
        let malformed = || Error::invalid("no line of a writer").with("line", line.escape_debug());
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |word: &str| word.parse().map_err(|_| malformed());
        match words[..] {
            ["start", n] => Ok(Event::Started(number(n)?)),
            ["ack", ..] => line.parse().map(Event::Acknowledged),
            ["failed", n, kind] => Ok(Event::Failed {
                number: number(n)?,
                kind: kind_of(kind).ok_or_else(malformed)?,
            }),
            ["passed", n] => Ok(Event::Passed(number(n)?)),
            ["synced"] => Ok(Event::Synced),
            _ => Err(malformed()),
        }
    }
}

impl FromStr for Ack {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self> {
        let malformed = || Error::invalid("no acknowledgement").with("line", line.escape_debug());
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |word: &str| word.parse::<u64>().map_err(|_| malformed());
        let (n, revision, durability) = match words[..] {
            ["ack", n, "committed", revision, durability] => {
                (n, Some(Revision::new(number(revision)?)), durability)
            }
            ["ack", n, "rejected", durability] => (n, None, durability),
            _ => return Err(malformed()),
        };
        Ok(Ack {
            number: number(n)?,
            revision,
            durability: match durability {
                "buffered" => Durability::Buffered,
                "durable" => Durability::Durable,
                _ => return Err(malformed()),
            },
        })
    }
}

fn kind_of(word: &str) -> Option<ErrorKind> {
    const KINDS: [ErrorKind; 11] = [
        ErrorKind::Invalid,
        ErrorKind::Unsupported,
        ErrorKind::Denied,
        ErrorKind::Conflict,
        ErrorKind::Unavailable,
        ErrorKind::UnknownOutcome,
        ErrorKind::Full,
        ErrorKind::Corrupt,
        ErrorKind::Serialization,
        ErrorKind::Closed,
        ErrorKind::Internal,
    ];
    KINDS.into_iter().find(|kind| kind.as_str() == word)
}
