//! Where the values of a scope lie in the store.
//!
//! The path of a plain key is `0x01 key`; the path of a step's key, in the partition of its workflow, is
//! `0x02 step NUL key`. Neither a step's id nor a key holds a NUL, so no two (scope, key) share a path, and the keys of
//! a scope lie side by side in their own order.

use stead_core::{Error, Key, KeyPrefix, KeyRange, Mutation, Partition, Result, WriteBatch};

use crate::StateScope;

const PLAIN: u8 = 0x01;
const STEP: u8 = 0x02;
const NUL: u8 = 0x00;

/// A scope, encoded: everything of a key but its last part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    partition: Partition,
    prefix: KeyPrefix,
}

impl Place {
    pub(crate) fn of(scope: &StateScope) -> Result<Self> {
        let partition = scope.partition()?;
        let prefix = if let StateScope::Step { step, .. } = scope {
            KeyPrefix::new(&partition, [&[STEP], step.as_bytes(), &[NUL]].concat())?
        } else {
            KeyPrefix::new(&partition, [PLAIN])?
        };
        Ok(Place { partition, prefix })
    }

    /// The key of the store for `key` of this scope.
    #[inline]
    pub(crate) fn key(&self, key: &str) -> Result<Key> {
        let mut stored = self.stem();
        self.complete(&mut stored, key)?;
        Ok(stored)
    }

    /// What the keys of this scope begin with, for [`complete`](Place::complete).
    #[inline]
    pub(crate) fn stem(&self) -> Key {
        self.prefix.as_key().clone()
    }

    /// Makes of the `stem` the key of the store for `key` of this scope.
    #[inline]
    pub(crate) fn complete(&self, stem: &mut Key, key: &str) -> Result<()> {
        let limit = self.limit();
        if key.is_empty() || key.len() > limit || has_nul(key) {
            return Err(refused(key, limit));
        }
        stem.push(key)
    }

    /// A batch that puts `key` of this scope, of a value still to come.
    ///
    /// The key is put together in the batch, where it stays: a move waits for what was just written in other pieces.
    #[inline]
    pub(crate) fn put(&self, key: &str) -> Result<WriteBatch> {
        let mut batch = WriteBatch::of_put(self.prefix.as_key());
        if let [Mutation::Put { key: stored, .. }] = batch.mutations_mut() {
            self.complete(stored, key)?;
        }
        Ok(batch)
    }

    /// The keys of this scope that start with `prefix`, which may be empty.
    pub(crate) fn range(&self, prefix: &str) -> Result<KeyRange> {
        let limit = self.limit();
        if prefix.len() > limit || has_nul(prefix) {
            return Err(refused(prefix, limit));
        }
        KeyRange::prefix(&self.partition, self.prefix.key(prefix)?.path())
    }

    /// What is behind the scope in a key of this scope.
    pub(crate) fn text<'k>(&self, key: &'k Key) -> Result<&'k str> {
        key.path()
            .strip_prefix(self.prefix.path())
            .and_then(|text| std::str::from_utf8(text).ok())
            .ok_or_else(|| Error::corrupt("a key of this scope is not valid UTF-8"))
    }

    /// A key above every key of this scope and below those of the next: no text holds the byte 0xFF.
    pub(crate) fn above(&self) -> Result<Key> {
        self.prefix.key([u8::MAX])
    }

    pub(crate) fn partition(&self) -> &Partition {
        &self.partition
    }

    /// The longest key of this scope in bytes.
    fn limit(&self) -> usize {
        Key::MAX_PATH_BYTES - self.prefix.path().len()
    }
}

/// Whether a byte of `text` is NUL. Without an early end and eight bytes at once: keys are short, and few hold one.
#[inline]
fn has_nul(text: &str) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // The upper bit of each byte that is zero; above the first one, of some others too.
    let zeros = |word: [u8; 8]| {
        let word = u64::from_le_bytes(word);
        word.wrapping_sub(ONES) & !word & (ONES << 7)
    };
    let bytes = text.as_bytes();
    let Some(last) = bytes.last_chunk() else {
        return bytes.contains(&NUL);
    };
    let words = bytes.as_chunks().0;
    words
        .iter()
        .fold(zeros(*last), |found, word| found | zeros(*word))
        != 0
}

#[cold]
fn refused(key: &str, limit: usize) -> Error {
    if key.is_empty() {
        return Error::invalid("key is empty; give it at least one byte").with("argument", "key");
    }
    if key.len() > limit {
        return Error::invalid("key is longer than the limit")
            .with("argument", "key")
            .with("length_bytes", key.len())
            .with("limit_bytes", limit);
    }
    let position = key.bytes().position(|byte| byte == NUL).unwrap_or_default();
    Error::invalid("key holds a NUL byte")
        .with("argument", "key")
        .with("position", position)
}

/// The key of the store under which `key` of `scope` lies: for tools that work on the store itself.
///
/// ```
/// use stead_state::{StateScope, decode_key, encode_key};
///
/// let step = StateScope::step("flow1", "parse");
/// let key = encode_key(&step, "input")?;
/// assert_eq!(key.as_bytes(), b"workflow:flow1\0\x02parse\0input");
/// assert_eq!(decode_key(&key)?, (step, "input".to_owned()));
/// # Ok::<(), stead_core::Error>(())
/// ```
///
/// # Errors
///
/// `Invalid`, naming the argument: as [`StateScope::validate`]; the key is empty, holds a NUL byte or is longer than
/// 1,023 bytes (less the step's id and one byte in the scope of a step).
pub fn encode_key(scope: &StateScope, key: &str) -> Result<Key> {
    Place::of(scope)?.key(key)
}

/// Where the keys of `scope` that start with `prefix` lie in the store, in their own order; all of them where it is empty.
///
/// ```
/// use stead_state::{StateScope, encode_key, encode_range};
///
/// let notes = encode_range(&StateScope::Global, "note/")?;
/// assert!(notes.contains(&encode_key(&StateScope::Global, "note/1")?));
/// assert!(!notes.contains(&encode_key(&StateScope::Global, "plan")?));
/// # Ok::<(), stead_core::Error>(())
/// ```
///
/// # Errors
///
/// `Invalid`, naming the argument: as [`encode_key`], but that the prefix may be empty.
pub fn encode_range(scope: &StateScope, prefix: &str) -> Result<KeyRange> {
    Place::of(scope)?.range(prefix)
}

/// The scope and the key that [`encode_key`] made `key` from.
///
/// # Errors
///
/// `Corrupt` when it did not: the entry belongs to something else that uses the same store.
pub fn decode_key(key: &Key) -> Result<(StateScope, String)> {
    let (scope, text) = split(key)?;
    if text.is_empty() {
        return Err(foreign());
    }
    Ok((scope, text.to_owned()))
}

/// The scope that `key` lies in.
pub(crate) fn scope_of(key: &Key) -> Result<StateScope> {
    split(key).map(|(scope, _)| scope)
}

fn split(key: &Key) -> Result<(StateScope, &str)> {
    let owner = std::str::from_utf8(key.partition_bytes())
        .ok()
        .and_then(|text| text.parse::<StateScope>().ok())
        .ok_or_else(foreign)?;
    let (scope, text) = match (key.path(), owner) {
        ([PLAIN, text @ ..], owner) => (owner, text),
        ([STEP, rest @ ..], StateScope::Workflow(workflow)) => {
            let end = rest.iter().position(|byte| *byte == NUL).ok_or_else(foreign)?;
            let step = std::str::from_utf8(&rest[..end]).map_err(|_| foreign())?;
            (StateScope::step(workflow, step), &rest[end + 1..])
        }
        _ => return Err(foreign()),
    };
    let text = std::str::from_utf8(text).map_err(|_| foreign())?;
    // Text that reads as a scope need not be the one way to write it; only that one is ours.
    if scope.partition()?.as_bytes() != key.partition_bytes() || text.as_bytes().contains(&NUL) {
        return Err(foreign());
    }
    Ok((scope, text))
}

fn foreign() -> Error {
    Error::corrupt("the key is not one of a scope's; something else wrote it")
}
