//! What is read.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;
use stead_codec::{Codec, DecodeLimits, Envelope, Header, StateClass};
use stead_core::{Entry, Error, Result, Revision, Timestamp};

/// Raw bytes that were stored. Shares the memory of the stored entry and is cheap to clone; only a value that was
/// compressed is unpacked into memory of its own.
#[derive(Clone)]
pub struct StateBytes(Repr);

#[derive(Clone)]
enum Repr {
    Stored { entry: Entry, start: usize },
    Unpacked(Arc<[u8]>),
}

impl StateBytes {
    /// The bytes in a stored `entry`.
    #[inline]
    pub(crate) fn of(entry: Entry, limits: &DecodeLimits) -> Result<Self> {
        let stored = entry.value();
        let envelope = Envelope::parse(stored, limits)?;
        if envelope.codec() != Codec::Bytes {
            return Err(
                Error::serialization("value is not raw bytes; read it with get or get_as")
                    .with("codec", envelope.codec()),
            );
        }
        let unpacked = match envelope.into_payload() {
            Cow::Borrowed(payload) => {
                // The payload is the end of the envelope.
                let start = stored.len() - payload.len();
                return Ok(StateBytes(Repr::Stored { entry, start }));
            }
            Cow::Owned(unpacked) => unpacked,
        };
        Ok(StateBytes(Repr::Unpacked(unpacked.into())))
    }
}

impl Deref for StateBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Stored { entry, start } => &entry.value()[*start..],
            Repr::Unpacked(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for StateBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for StateBytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for StateBytes {}

/// Shows the length, never the bytes.
impl fmt::Debug for StateBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateBytes({} bytes)", self.len())
    }
}

/// A key, its value as it is stored, and what is known about it. The value is decoded when it is asked for.
#[derive(Clone)]
pub struct StateEntry {
    key: String,
    entry: Entry,
    header: Header,
    limits: DecodeLimits,
}

impl StateEntry {
    /// What a manager would give for `entry`, which is stored under `key` of some scope: for tools that read the store
    /// itself, as from a snapshot.
    ///
    /// # Errors
    ///
    /// `Corrupt` when the entry is not one that a manager wrote.
    pub fn new(key: impl Into<String>, entry: Entry, limits: DecodeLimits) -> Result<Self> {
        let header = stead_codec::peek(entry.value())?;
        Ok(StateEntry {
            key: key.into(),
            entry,
            header,
            limits,
        })
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value.
    ///
    /// # Errors
    ///
    /// `Corrupt` when the stored bytes are damaged; `Serialization` for raw bytes and typed records that cannot be read
    /// as a dynamic value.
    pub fn value(&self) -> Result<Value> {
        stead_codec::decode_value(self.entry.value(), &self.limits)
    }

    /// The value as a `T`.
    ///
    /// # Errors
    ///
    /// `Corrupt` when the stored bytes are damaged; `Serialization` when they are no `T`.
    pub fn value_as<T: DeserializeOwned>(&self) -> Result<T> {
        stead_codec::decode(self.entry.value(), &self.limits)
    }

    /// The value as raw bytes.
    ///
    /// # Errors
    ///
    /// `Corrupt` when the stored bytes are damaged; `Serialization` when the value is not raw bytes.
    pub fn bytes(&self) -> Result<StateBytes> {
        StateBytes::of(self.entry.clone(), &self.limits)
    }

    /// The revision of the write that it comes from. Zero for a write of a transaction that has not committed.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.entry.revision()
    }

    /// When the value becomes invisible, or `None` if it lives until it is deleted.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.entry.deadline()
    }

    /// The class that it was written in.
    #[must_use]
    pub fn class(&self) -> StateClass {
        self.header.class()
    }

    /// The codec that it was written in.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.header.codec()
    }

    /// Bytes that the value takes in the store.
    #[must_use]
    pub fn stored_bytes(&self) -> usize {
        self.entry.value().len()
    }
}

/// Shows the key and numbers, never the value.
impl fmt::Debug for StateEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateEntry")
            .field("key", &self.key)
            .field("revision", &self.revision().get())
            .field("deadline", &self.deadline())
            .field("class", &self.class())
            .field("stored_bytes", &self.stored_bytes())
            .finish()
    }
}
