//! Partitions and keys: one order-preserving byte string.

use std::fmt;

use smallvec::SmallVec;

use crate::inline_bytes::InlineBytes;
use crate::{Error, Result};

/// What a distributed engine shards by, and what every guarantee is given for: 1 to 255 bytes without NUL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(SmallVec<[u8; 32]>);

impl Partition {
    /// The longest partition in bytes.
    pub const MAX_BYTES: usize = 255;

    /// The partition with these bytes.
    ///
    /// # Errors
    ///
    /// `Invalid` when empty, longer than [`Partition::MAX_BYTES`] or holding a NUL byte, which ends the partition
    /// inside a [`Key`].
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self> {
        let bytes = bytes.as_ref();
        if bytes.is_empty() {
            return Err(Error::invalid("partition is empty; give it 1 to 255 bytes"));
        }
        if bytes.len() > Self::MAX_BYTES {
            return Err(Error::invalid("partition is longer than the limit")
                .with("length_bytes", bytes.len())
                .with("limit_bytes", Self::MAX_BYTES));
        }
        if let Some(position) = bytes.iter().position(|byte| *byte == SEPARATOR) {
            return Err(Error::invalid("partition holds a NUL byte").with("position", position));
        }
        Ok(Partition(SmallVec::from_slice(bytes)))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Partition({})", self.0.escape_ascii())
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// Ends the partition inside a key. Lower than every byte of a partition, so keys sort by partition first.
pub(crate) const SEPARATOR: u8 = 0;

/// Where an entry lives: a [`Partition`] and a path of 0 to 1024 arbitrary bytes.
///
/// Encoded as `partition NUL path`. A partition holds no NUL, so the encoding is injective, and because NUL is lower than
/// every byte of a partition, the byte order of encoded keys is the order of (partition, path): `agent:1` is no prefix
/// of `agent:10`.
///
/// ```
/// use stead_core::{Key, Partition};
///
/// let key = Key::new(&Partition::new("agent:1")?, "plan")?;
/// assert_eq!(key.as_bytes(), b"agent:1\0plan");
/// assert_eq!(key.path(), b"plan");
/// assert_eq!(Key::from_encoded(key.as_bytes())?, key);
/// # Ok::<(), stead_core::Error>(())
/// ```
pub struct Key {
    bytes: InlineBytes,
    /// A whole word, as the bytes are made of.
    partition_len: usize,
}

impl Key {
    /// No key yet: to be replaced before anybody sees it.
    pub(crate) const BLANK: Key = Key {
        bytes: InlineBytes::empty(),
        partition_len: 0,
    };
    /// The longest path in bytes.
    pub const MAX_PATH_BYTES: usize = 1024;
    /// The longest encoded key in bytes.
    pub const MAX_ENCODED_BYTES: usize = Partition::MAX_BYTES + 1 + Self::MAX_PATH_BYTES;

    /// The key at `path` in `partition`.
    ///
    /// # Errors
    ///
    /// `Invalid` when the path is longer than [`Key::MAX_PATH_BYTES`].
    pub fn new(partition: &Partition, path: impl AsRef<[u8]>) -> Result<Self> {
        Self::from_parts(partition, &[path.as_ref()])
    }

    /// The key whose path is the `parts` one after the other.
    ///
    /// # Errors
    ///
    /// `Invalid` when the path is longer than [`Key::MAX_PATH_BYTES`].
    pub fn from_parts(partition: &Partition, parts: &[&[u8]]) -> Result<Self> {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        check_path(length)?;
        let bytes = match parts {
            [path] => InlineBytes::concat(&[&partition.0, &[SEPARATOR], path]),
            [head, tail] => InlineBytes::concat(&[&partition.0, &[SEPARATOR], head, tail]),
            _ => InlineBytes::concat(&[&partition.0, &[SEPARATOR], &parts.concat()]),
        };
        Ok(Key {
            bytes,
            partition_len: partition.0.len(),
        })
    }

    /// Reads back what [`as_bytes`](Key::as_bytes) gave.
    ///
    /// # Errors
    ///
    /// `Corrupt` when the bytes are no encoded key.
    pub fn from_encoded(bytes: &[u8]) -> Result<Self> {
        Ok(Key {
            partition_len: Self::partition_len_of(bytes)?,
            bytes: InlineBytes::from(bytes),
        })
    }

    /// That [`from_encoded`](Key::from_encoded) reads `bytes`, for those who need no key of their own.
    ///
    /// # Errors
    ///
    /// `Corrupt` when the bytes are no encoded key.
    pub fn check_encoded(bytes: &[u8]) -> Result<()> {
        Self::partition_len_of(bytes).map(drop)
    }

    #[inline]
    fn partition_len_of(bytes: &[u8]) -> Result<usize> {
        separator(bytes)
            .filter(|end| (1..=Partition::MAX_BYTES).contains(end))
            .filter(|end| bytes.len() - end - 1 <= Self::MAX_PATH_BYTES)
            .ok_or_else(|| Error::corrupt("malformed encoded key").with("length_bytes", bytes.len()))
    }

    /// Goes on with the path. A key that is built this way where it is used is hashed soonest: see
    /// [`KeyPrefix::as_key`].
    ///
    /// # Errors
    ///
    /// `Invalid` when the whole path is longer than [`Key::MAX_PATH_BYTES`]; the key is left as it was.
    #[inline]
    pub fn push(&mut self, rest: impl AsRef<[u8]>) -> Result<()> {
        let rest = rest.as_ref();
        check_path(self.path().len() + rest.len())?;
        self.bytes.push(rest);
        Ok(())
    }

    /// The whole encoded key.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes of the partition.
    #[must_use]
    #[inline]
    pub fn partition_bytes(&self) -> &[u8] {
        &self.bytes[..self.partition_len]
    }

    /// The partition.
    #[must_use]
    pub fn partition(&self) -> Partition {
        Partition(SmallVec::from_slice(self.partition_bytes()))
    }

    /// The path inside the partition.
    #[must_use]
    #[inline]
    pub fn path(&self) -> &[u8] {
        &self.bytes[self.partition_len + 1..]
    }
}

impl Clone for Key {
    /// Both lengths are written together, as they are read when the key is moved: else the move would wait.
    #[inline]
    fn clone(&self) -> Self {
        let partition_len = self.partition_len;
        match &self.bytes {
            InlineBytes::Inline { buffer, len } => Key {
                bytes: InlineBytes::Inline {
                    buffer: *buffer,
                    len: *len,
                },
                partition_len,
            },
            InlineBytes::Heap(bytes) => Key {
                bytes: InlineBytes::Heap(bytes.clone()),
                partition_len,
            },
        }
    }
}

/// The beginning that many keys share: a partition and the first bytes of a path, encoded once.
///
/// ```
/// use stead_core::{Key, KeyPrefix, Partition};
///
/// let agent = Partition::new("agent:1")?;
/// let notes = KeyPrefix::new(&agent, "note/")?;
/// assert_eq!(notes.key("7")?, Key::new(&agent, "note/7")?);
/// # Ok::<(), stead_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyPrefix(Key);

impl KeyPrefix {
    /// The beginning made of `partition` and `path`.
    ///
    /// # Errors
    ///
    /// `Invalid` when the path is longer than [`Key::MAX_PATH_BYTES`].
    pub fn new(partition: &Partition, path: impl AsRef<[u8]>) -> Result<Self> {
        Key::new(partition, path).map(KeyPrefix)
    }

    /// The key whose path goes on with `rest`.
    ///
    /// # Errors
    ///
    /// `Invalid` when the whole path is longer than [`Key::MAX_PATH_BYTES`].
    #[inline]
    pub fn key(&self, rest: impl AsRef<[u8]>) -> Result<Key> {
        let mut key = self.0.clone();
        key.push(rest)?;
        Ok(key)
    }

    /// The beginning as a key of its own, to [`push`](Key::push) the rest to.
    #[must_use]
    #[inline]
    pub fn as_key(&self) -> &Key {
        &self.0
    }

    /// The shared part of the path.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.0.path()
    }

    /// The partition.
    #[must_use]
    pub fn partition(&self) -> Partition {
        self.0.partition()
    }
}

/// Where the first separator is. Looks at eight bytes at once: a scan does this for each key.
#[inline]
fn separator(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The upper bit of each byte that is zero; above the first one, of some others too.
        let zeros = word.wrapping_sub(ONES) & !word & (ONES << 7);
        if zeros != 0 {
            return Some(index * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    let behind = bytes.len() - rest.len();
    let place = rest.iter().position(|byte| *byte == SEPARATOR)?;
    Some(behind + place)
}

#[inline]
fn check_path(length: usize) -> Result<()> {
    if length > Key::MAX_PATH_BYTES {
        return Err(Error::invalid("key is longer than the limit")
            .with("length_bytes", length)
            .with("limit_bytes", Key::MAX_PATH_BYTES));
    }
    Ok(())
}

// The length of the partition follows from the bytes: comparing those is enough.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

impl std::hash::Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// `partition/path`, with bytes outside printable ASCII escaped.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}",
            self.partition_bytes().escape_ascii(),
            self.path().escape_ascii()
        )
    }
}
