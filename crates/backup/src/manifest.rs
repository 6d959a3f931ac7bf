//! What the log says of a backup.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use stead_core::{Error, Result, Revision, Timestamp};

use crate::chunk::ChunkRef;
use crate::hash::Hash;
use crate::history::{MOST_MARKS, Mark};

/// The name of a backup: the number of its record in the log, and eight random hexadecimal digits, such as `42-3f9a1c2d`.
///
/// Ids are parsed and never become part of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackupId {
    sequence: u64,
    random: u32,
}

impl BackupId {
    pub(crate) fn new(sequence: u64, random: u32) -> Self {
        BackupId { sequence, random }
    }

    /// The number of its record in the log.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}", self.sequence, self.random)
    }
}

impl FromStr for BackupId {
    type Err = Error;

    /// # Errors
    ///
    /// `Invalid` for anything that is not written as [`Display`](fmt::Display) writes it.
    fn from_str(text: &str) -> Result<Self> {
        let id = text.split_once('-').and_then(|(sequence, random)| {
            Some(BackupId {
                sequence: sequence.parse().ok()?,
                random: u32::from_str_radix(random, 16).ok()?,
            })
        });
        id.filter(|id| id.to_string() == text).ok_or_else(|| {
            Error::invalid("this is no id of a backup; ids are like 42-3f9a1c2d, and `list` shows them")
        })
    }
}

impl Serialize for BackupId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BackupId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|error: Error| serde::de::Error::custom(error.message()))
    }
}

/// How much a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupKind {
    /// Everything.
    Full,
    /// What changed since the backup before.
    Incremental,
    /// What changed since the last full backup.
    Differential,
}

impl BackupKind {
    /// `full`, `incremental` or `differential`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            BackupKind::Full => "full",
            BackupKind::Incremental => "incremental",
            BackupKind::Differential => "differential",
        }
    }
}

impl fmt::Display for BackupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The top of a tree of chunks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Root {
    pub(crate) chunk: ChunkRef,
    /// The root of the Merkle tree over its records.
    pub(crate) digest: Hash,
    /// 1 where its children are chunks of records.
    pub(crate) level: u8,
    pub(crate) records: u64,
}

/// The backup that an increment stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parent {
    pub(crate) id: BackupId,
    /// The hash of its record in the log.
    pub(crate) record: Hash,
}

/// How far a backup reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reach {
    /// A store whose revisions are ordered throughout: everything up to and with this one.
    Store(u64),
    /// The chunk with the revision of each partition, and the highest of them.
    Partitions { chunk: ChunkRef, highest: u64 },
}

impl Reach {
    pub(crate) fn highest(&self) -> Revision {
        match self {
            Reach::Store(revision)
            | Reach::Partitions {
                highest: revision, ..
            } => Revision::new(*revision),
        }
    }
}

/// Numbers about a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BackupCounts {
    /// Entries that it holds; of an increment, those that were written.
    pub entries: u64,
    /// Keys whose entries were deleted since the backup before.
    pub deleted: u64,
    /// Keys whose entries expired since the backup before.
    pub expired: u64,
    /// Bytes of the keys and values that it holds.
    pub logical_bytes: u64,
    /// Bytes of all its chunks.
    pub stored_bytes: u64,
    /// Bytes of those that no backup before had.
    pub new_bytes: u64,
    /// Its chunks.
    pub chunks: u64,
}

/// Where it was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    pub(crate) backend: String,
    /// Which store it was, where that is known: 32 hexadecimal digits.
    pub(crate) lineage: Option<String>,
}

/// A backup: what makes it one is that the log has this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) id: BackupId,
    pub(crate) kind: BackupKind,
    /// When its snapshot was taken, in milliseconds since 1970.
    pub(crate) taken_ms: u64,
    pub(crate) tags: Vec<String>,
    pub(crate) source: Source,
    /// `None` in a full backup.
    pub(crate) parent: Option<Parent>,
    /// The state that it applies to; `None` in a full backup.
    pub(crate) before: Option<Hash>,
    /// The state that it gives.
    pub(crate) after: Hash,
    /// What the parent reached; `None` in a full backup.
    pub(crate) from: Option<Reach>,
    pub(crate) upto: Reach,
    /// The last change sets up to there, some of them: none where the store keeps no log, or orders its revisions within
    /// partitions. Early backups have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) history: Vec<Mark>,
    pub(crate) root: Root,
    pub(crate) counts: BackupCounts,
    /// Why it is full although an increment was asked for.
    pub(crate) forced: Option<String>,
}

/// The most tags of a backup.
pub(crate) const MAX_TAGS: usize = 32;
/// The longest tag in bytes.
pub(crate) const MAX_TAG_BYTES: usize = 64;
/// The longest name of a backend in bytes.
const MAX_BACKEND_BYTES: usize = 64;
/// The longest reason for a full backup in bytes.
const MAX_FORCED_BYTES: usize = 256;

/// Whether `tag` is one: 1 to 64 letters, digits, `-`, `_` and `.`.
fn is_tag(tag: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=MAX_TAG_BYTES).contains(&tag.len()) && tag.bytes().all(allowed)
}

/// # Errors
///
/// `Invalid` unless `tag` can be one.
pub(crate) fn check_tag(tag: &str) -> Result<()> {
    if is_tag(tag) {
        return Ok(());
    }
    // Not all of it: a URL in the wrong place may hold a password.
    let front: String = tag
        .chars()
        .take(16)
        .take_while(|character| is_tag(character.encode_utf8(&mut [0; 4])))
        .collect();
    Err(Error::invalid("a tag has 1 to 64 letters, digits, `-`, `_` and `.`").with("begins", front))
}

/// Whether `text` can be shown as it is, and is no longer than `most` bytes: what a repository says goes to terminals.
pub(crate) fn is_plain(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Whether `text` is 32 lower-case hexadecimal digits.
pub(crate) fn is_lineage(text: &str) -> bool {
    is_hex(text, 32)
}

/// Whether `text` is so many lower-case hexadecimal digits.
pub(crate) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Manifest {
    pub(crate) fn taken(&self) -> Timestamp {
        Timestamp::from_millis(self.taken_ms)
    }

    /// Whether its members can be what they are beside one another: what holds of one manifest alone.
    pub(crate) fn is_sound(&self) -> bool {
        let full = self.kind == BackupKind::Full;
        self.tags.len() <= MAX_TAGS
            && self.tags.iter().all(|tag| is_tag(tag))
            && is_plain(&self.source.backend, MAX_BACKEND_BYTES)
            && self.source.lineage.as_deref().is_none_or(is_lineage)
            && self.parent.is_none() == full
            && self.before.is_none() == full
            && self.from.is_none() == full
            && self.history.len() <= MOST_MARKS
            && self.history.iter().all(Mark::is_sound)
            && self
                .forced
                .as_deref()
                .is_none_or(|forced| full && is_plain(forced, MAX_FORCED_BYTES))
    }
}

/// The state after an increment: SHA-256 over the byte 2, the state before and the root of the increment.
pub(crate) fn after(before: &Hash, increment: &Hash) -> Hash {
    let mut bytes = [2; 1 + 2 * Hash::BYTES];
    bytes[1..=Hash::BYTES].copy_from_slice(before.as_bytes());
    bytes[1 + Hash::BYTES..].copy_from_slice(increment.as_bytes());
    Hash::of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_in_one_way() {
        let id = BackupId::new(42, 0x3f);
        assert_eq!(id.to_string(), "42-0000003f");
        assert_eq!("42-0000003f".parse::<BackupId>().unwrap(), id);
        let wrong = [
            "",
            "42",
            "42-3f",
            "042-0000003f",
            "+42-0000003f",
            "42-0000003F",
            "42-0000003f ",
            "../42-0000003f",
        ];
        for text in wrong {
            assert!(text.parse::<BackupId>().is_err(), "{text:?}");
        }
    }
}
