//! Where a copy stands, as it is kept in the target.
//!
//! Lines of text, each a name, a space and a value:
//!
//! ```text
//! stead-copy 1
//! source redb:/srv/old
//! occupied refuse
//! position 4711
//! highest 4711
//! bulk 6e6f7465730061
//! ```
//!
//! `position` is the revision up to which the target holds what it has of the source, `-` where that is not known;
//! `highest` is the highest revision that was seen there; `bulk` is the last key that was written in hexadecimal, `-`
//! before the first, and `done`.

use std::fmt::Write as _;

use bytes::Bytes;
use stead_core::{Error, Key, Partition, Result, Revision};

use crate::Occupied;

/// The partition in the target that holds where a copy stands. It is gone when the copy is done. It starts with a control
/// character, which no scope does.
pub const PARTITION: &[u8] = b"\x01stead.copy";

const FIRST_LINE: &str = "stead-copy 1";

/// How far the first snapshot was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bulk {
    /// Up to and with this key.
    Upto(Option<Key>),
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) source: String,
    pub(crate) occupied: Occupied,
    /// What was written is not older than this revision of the source. `None` where the source has no revision that is
    /// ordered over partitions, and where the target was found to differ.
    pub(crate) position: Option<Revision>,
    /// The highest revision of the source that was seen.
    pub(crate) highest: Revision,
    pub(crate) bulk: Bulk,
}

impl Record {
    /// Where it is kept.
    pub(crate) fn key() -> Result<Key> {
        Key::new(&Partition::new(PARTITION)?, "progress")
    }

    pub(crate) fn encode(&self) -> Bytes {
        let position = self.position.map_or_else(|| "-".to_owned(), |at| at.to_string());
        let bulk = match &self.bulk {
            Bulk::Done => "done".to_owned(),
            Bulk::Upto(None) => "-".to_owned(),
            Bulk::Upto(Some(key)) => hex(key.as_bytes()),
        };
        let occupied = match self.occupied {
            Occupied::Refuse => "refuse",
            Occupied::Merge => "merge",
        };
        let (source, highest) = (&self.source, self.highest);
        let text = format!(
            "{FIRST_LINE}\nsource {source}\noccupied {occupied}\nposition {position}\nhighest {highest}\nbulk {bulk}\n"
        );
        Bytes::from(text)
    }

    /// Reads what [`encode`](Record::encode) gave.
    ///
    /// # Errors
    ///
    /// `Corrupt` for anything else.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        if first != FIRST_LINE {
            return Err(match first.starts_with("stead-copy ") {
                true => Error::corrupt(
                    "an unfinished copy into the target was begun by another version; finish it with that one",
                ),
                false => malformed(),
            });
        }
        let mut field = |name: &str| {
            let line = lines.next()?.strip_prefix(name)?;
            line.strip_prefix(' ')
        };
        let read = || -> Option<Record> {
            let source = field("source")?.to_owned();
            let occupied = match field("occupied")? {
                "refuse" => Occupied::Refuse,
                "merge" => Occupied::Merge,
                _ => return None,
            };
            let position = match field("position")? {
                "-" => None,
                number => Some(Revision::new(number.parse().ok()?)),
            };
            let highest = Revision::new(field("highest")?.parse().ok()?);
            let bulk = match field("bulk")? {
                "done" => Bulk::Done,
                "-" => Bulk::Upto(None),
                key => Bulk::Upto(Some(Key::from_encoded(&unhex(key)?).ok()?)),
            };
            Some(Record {
                source,
                occupied,
                position,
                highest,
                bulk,
            })
        }();
        read.ok_or_else(malformed)
    }
}

fn malformed() -> Error {
    Error::corrupt("what the target holds of an unfinished copy is malformed; empty the target and copy anew")
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(bulk: Bulk) -> Record {
        Record {
            source: "redb:/srv/old".to_owned(),
            occupied: Occupied::Merge,
            position: Some(Revision::new(4711)),
            highest: Revision::new(4712),
            bulk,
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let key = Key::new(&Partition::new("notes").unwrap(), [0, 255, b'\n']).unwrap();
        for bulk in [Bulk::Done, Bulk::Upto(None), Bulk::Upto(Some(key))] {
            let record = record(bulk);
            assert_eq!(Record::decode(&record.encode()).unwrap(), record);
        }
        let unknown = Record {
            position: None,
            ..record(Bulk::Done)
        };
        assert_eq!(Record::decode(&unknown.encode()).unwrap(), unknown);
    }

    #[test]
    fn the_form_is_the_documented_one() {
        let key = Key::new(&Partition::new("notes").unwrap(), "a").unwrap();
        let text = "stead-copy 1\nsource redb:/srv/old\noccupied merge\nposition 4711\nhighest 4712\n\
                    bulk 6e6f7465730061\n";
        assert_eq!(record(Bulk::Upto(Some(key))).encode(), text);
    }

    #[test]
    fn anything_else_is_refused() {
        let good = record(Bulk::Done).encode();
        let good = std::str::from_utf8(&good).unwrap();
        let broken = [
            String::new(),
            "x".to_owned(),
            good.replace("4711", "-1"),
            good.replace("done", "6e6f7465730061f"),
            good.replace("done", "zz"),
            good.replace("done", "00"),
            good.replace("merge", "always"),
            good.replace("highest", "lowest"),
        ];
        for text in broken {
            assert!(Record::decode(text.as_bytes()).is_err(), "{text:?}");
        }
        let newer = good.replace("stead-copy 1", "stead-copy 2");
        let error = Record::decode(newer.as_bytes()).unwrap_err();
        assert!(error.message().contains("another version"), "{error}");
    }
}
