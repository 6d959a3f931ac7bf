//! Ranges of keys.

use std::fmt;
use std::ops::Bound;

use crate::inline_bytes::InlineBytes;
use crate::key::SEPARATOR;
use crate::{Key, Partition, Result};

/// All keys from a start (included) to an end (excluded), in the byte order of encoded keys.
///
/// ```
/// use stead_core::{Key, KeyRange, Partition};
///
/// let agent = Partition::new("agent:1")?;
/// let range = KeyRange::prefix(&agent, "note/")?;
/// assert!(range.contains(&Key::new(&agent, "note/7")?));
/// assert!(!range.contains(&Key::new(&agent, "plan")?));
/// assert!(!range.contains(&Key::new(&Partition::new("agent:10")?, "note/7")?));
/// # Ok::<(), stead_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyRange {
    start: InlineBytes,
    end: Option<InlineBytes>,
    partition: Option<Partition>,
}

impl KeyRange {
    /// Every key of the store.
    #[must_use]
    pub fn all() -> Self {
        KeyRange {
            start: InlineBytes::empty(),
            end: None,
            partition: None,
        }
    }

    /// Every key of one partition.
    #[must_use]
    pub fn partition(partition: &Partition) -> Self {
        let start = InlineBytes::concat(&[partition.as_bytes(), &[SEPARATOR]]);
        let end = InlineBytes::concat(&[partition.as_bytes(), &[SEPARATOR + 1]]);
        KeyRange {
            start,
            end: Some(end),
            partition: Some(partition.clone()),
        }
    }

    /// The keys of one partition whose path starts with `prefix`.
    ///
    /// # Errors
    ///
    /// `Invalid` when the prefix is longer than a path may be.
    pub fn prefix(partition: &Partition, prefix: impl AsRef<[u8]>) -> Result<Self> {
        let start = Key::new(partition, prefix)?;
        let end = successor_of_prefix(start.as_bytes());
        Ok(KeyRange {
            start: InlineBytes::from(start.as_bytes()),
            end: Some(end),
            partition: Some(partition.clone()),
        })
    }

    /// The keys of one partition whose path lies between two bounds.
    ///
    /// A start beyond the end gives an empty range.
    ///
    /// # Errors
    ///
    /// `Invalid` when a bound is longer than a path may be.
    pub fn paths(partition: &Partition, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Result<Self> {
        let mut range = Self::partition(partition);
        match start {
            Bound::Included(path) => {
                range.start = InlineBytes::from(Key::new(partition, path)?.as_bytes());
            }
            Bound::Excluded(path) => range.start = just_after(Key::new(partition, path)?.as_bytes()),
            Bound::Unbounded => {}
        }
        match end {
            Bound::Included(path) => range.end = Some(just_after(Key::new(partition, path)?.as_bytes())),
            Bound::Excluded(path) => {
                range.end = Some(InlineBytes::from(Key::new(partition, path)?.as_bytes()));
            }
            Bound::Unbounded => {}
        }
        Ok(range)
    }

    /// The part of this range that lies after `key`.
    #[must_use]
    pub fn after(&self, key: &Key) -> Self {
        let mut range = self.clone();
        range.start = std::cmp::max(range.start, just_after(key.as_bytes()));
        range
    }

    /// The part of this range that lies before `key`.
    #[must_use]
    pub fn before(&self, key: &Key) -> Self {
        self.ending(InlineBytes::from(key.as_bytes()))
    }

    /// The part of this range that lies before `key`, and `key`.
    #[must_use]
    pub fn up_to(&self, key: &Key) -> Self {
        self.ending(just_after(key.as_bytes()))
    }

    /// The part of this range that lies before `end`.
    fn ending(&self, end: InlineBytes) -> Self {
        let mut range = self.clone();
        range.end = Some(match range.end {
            Some(old) => std::cmp::min(old, end),
            None => end,
        });
        range
    }

    /// The part of this range behind all of `partition`: where the next partition would start.
    #[must_use]
    pub fn after_partition(&self, partition: &Partition) -> Self {
        let mut range = self.clone();
        if let Some(end) = Self::partition(partition).end {
            range.start = std::cmp::max(range.start, end);
        }
        range
    }

    /// The one partition that this range lies in, or `None` if it may touch several.
    #[must_use]
    pub fn single_partition(&self) -> Option<&Partition> {
        self.partition.as_ref()
    }

    /// The first encoded key that may be in the range.
    #[must_use]
    pub fn start(&self) -> &[u8] {
        &self.start
    }

    /// The first encoded key behind the range, or `None` if it goes on to the end of the store.
    #[must_use]
    pub fn end(&self) -> Option<&[u8]> {
        self.end.as_deref()
    }

    /// Whether no key can be in the range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Whether `key` lies in the range.
    #[must_use]
    pub fn contains(&self, key: &Key) -> bool {
        self.contains_encoded(key.as_bytes())
    }

    /// Whether the key encoded as `bytes` lies in the range.
    #[must_use]
    pub fn contains_encoded(&self, bytes: &[u8]) -> bool {
        bytes >= &self.start[..] && self.end.as_ref().is_none_or(|end| bytes < &end[..])
    }
}

impl fmt::Debug for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRange({}..", self.start.escape_ascii())?;
        if let Some(end) = &self.end {
            write!(f, "{}", end.escape_ascii())?;
        }
        f.write_str(")")
    }
}

/// The lowest byte string above `bytes`.
fn just_after(bytes: &[u8]) -> InlineBytes {
    InlineBytes::concat(&[bytes, &[0]])
}

/// The lowest byte string above everything that starts with `prefix`, which holds a separator and so never is all 0xFF.
fn successor_of_prefix(prefix: &[u8]) -> InlineBytes {
    let kept = prefix
        .iter()
        .rposition(|byte| *byte < u8::MAX)
        .expect("an encoded key holds its separator");
    InlineBytes::concat(&[&prefix[..kept], &[prefix[kept] + 1]])
}
