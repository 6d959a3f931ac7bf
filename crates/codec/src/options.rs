//! What a writer chooses and what a reader bears.

use serde::{Deserialize, Serialize};
use stead_core::Limits;

use crate::{Codec, StateClass};

/// The deepest nesting that any limit allows, in levels. A larger [`DecodeLimits::nesting_depth`] counts as this, so
/// that no setting lets a stored value overflow a thread's stack of 2 MiB.
pub const MAX_NESTING_DEPTH: usize = 256;

/// Which schema a value was written under. Stored with the value; this crate gives it no meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SchemaRef {
    /// The number that the schema registry gave the schema.
    pub id: u32,
    /// The version of the schema.
    pub version: u32,
}

impl SchemaRef {
    /// The schema `id` in `version`.
    #[must_use]
    pub fn new(id: u32, version: u32) -> Self {
        SchemaRef { id, version }
    }
}

/// How large and how deep a value may be. Holds on writing and on reading alike, so that nothing is written that could
/// not be read again under the same limits.
///
/// The limit bounds the payload. A tree of dynamic values that is built from it takes more memory, at most some 40
/// times as many bytes (a JSON array of one-digit numbers); a typed record takes what its type takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// The largest payload in bytes, after decompression: 16 MiB unless configured.
    pub output_bytes: usize,
    /// The most levels of arrays, maps, structs and enum payloads inside one another: 128 unless configured, and never
    /// more than [`MAX_NESTING_DEPTH`]. A number alone has none, `[]` has one, `[{}]` has two.
    pub nesting_depth: usize,
    /// Whether the checksum is compared: always, unless the bytes never left the memory of this process.
    pub checksum: Checksum,
}

/// Whether reading an envelope compares its checksum. Writing always makes one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// It is compared.
    #[default]
    Verify,
    /// It is not. For envelopes that this process wrote and kept in its own memory: what a checksum finds, damage on a
    /// disk or on a wire, cannot have met them.
    Trust,
}

impl Default for DecodeLimits {
    #[inline]
    fn default() -> Self {
        DecodeLimits {
            output_bytes: 16 << 20,
            nesting_depth: 128,
            checksum: Checksum::Verify,
        }
    }
}

impl DecodeLimits {
    /// Replaces the largest payload in bytes.
    #[must_use]
    pub fn with_output_bytes(mut self, output_bytes: usize) -> Self {
        self.output_bytes = output_bytes;
        self
    }

    /// Replaces the deepest nesting in levels.
    #[must_use]
    pub fn with_nesting_depth(mut self, nesting_depth: usize) -> Self {
        self.nesting_depth = nesting_depth;
        self
    }

    /// Replaces what is done about the checksum.
    #[must_use]
    pub fn with_checksum(mut self, checksum: Checksum) -> Self {
        self.checksum = checksum;
        self
    }

    /// The depth that is enforced.
    #[inline]
    pub(crate) fn depth(&self) -> usize {
        self.nesting_depth.min(MAX_NESTING_DEPTH)
    }
}

impl From<&Limits> for DecodeLimits {
    /// The limits that a backend declares, as far as they concern values.
    fn from(limits: &Limits) -> Self {
        DecodeLimits {
            output_bytes: limits.value_bytes,
            nesting_depth: limits.nesting_depth,
            checksum: Checksum::Verify,
        }
    }
}

/// What a writer chooses. A reader needs none of it: the header tells.
///
/// ```
/// use stead_codec::{Codec, EnvelopeOptions, SchemaRef, StateClass};
///
/// let options = EnvelopeOptions::default()
///     .with_codec(Codec::MessagePack)
///     .with_class(StateClass::External)
///     .with_schema(SchemaRef::new(7, 2))
///     .with_compress_above_bytes(Some(4096));
/// assert_eq!(options.level, 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeOptions {
    /// How the payload is written: JSON unless configured.
    pub codec: Codec,
    /// How much care the value is given: `Standard` unless configured.
    pub class: StateClass,
    /// The schema that the value was checked against, if any.
    pub schema: Option<SchemaRef>,
    /// Payloads of more bytes than this are compressed with zstd, and kept so where that made them smaller: 1,024
    /// unless configured. `None` turns compression off.
    pub compress_above_bytes: Option<usize>,
    /// The zstd level, 1 to 22: 1 unless configured. zstd takes a level outside its range as the nearest inside.
    pub level: i32,
    /// How large and how deep the value may be.
    pub limits: DecodeLimits,
}

impl Default for EnvelopeOptions {
    #[inline]
    fn default() -> Self {
        EnvelopeOptions {
            codec: Codec::default(),
            class: StateClass::default(),
            schema: None,
            compress_above_bytes: Some(1024),
            level: 1,
            limits: DecodeLimits::default(),
        }
    }
}

impl EnvelopeOptions {
    /// Replaces the codec.
    #[must_use]
    pub fn with_codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// Replaces the class.
    #[must_use]
    pub fn with_class(mut self, class: StateClass) -> Self {
        self.class = class;
        self
    }

    /// Sets the schema, or removes it with `None`.
    #[must_use]
    pub fn with_schema(mut self, schema: impl Into<Option<SchemaRef>>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Replaces the size in bytes above which payloads are compressed; `None` turns compression off.
    #[must_use]
    pub fn with_compress_above_bytes(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.compress_above_bytes = bytes.into();
        self
    }

    /// Replaces the zstd level.
    #[must_use]
    pub fn with_level(mut self, level: i32) -> Self {
        self.level = level;
        self
    }

    /// Replaces the limits.
    #[must_use]
    pub fn with_limits(mut self, limits: DecodeLimits) -> Self {
        self.limits = limits;
        self
    }
}
