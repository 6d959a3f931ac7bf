//! What the class of a value changes.

use bytes::Bytes;
use serde::Serialize;
use stead_codec::{Codec, DecodeLimits, EnvelopeOptions, StateClass};
use stead_core::{Error, Result};

/// The fast path that [`StateClass::Trusted`] values take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FastPathConfig {
    /// Trusted values take the fast path at all: yes unless configured.
    pub enabled: bool,
    /// Trusted values are written as MessagePack instead of JSON: yes unless configured.
    pub use_messagepack: bool,
}

impl Default for FastPathConfig {
    fn default() -> Self {
        FastPathConfig {
            enabled: true,
            use_messagepack: true,
        }
    }
}

impl FastPathConfig {
    /// Trusted values are treated as standard ones.
    #[must_use]
    pub fn disabled() -> Self {
        FastPathConfig {
            enabled: false,
            ..Self::default()
        }
    }

    /// Trusted values are written in the codec of their class even so.
    #[must_use]
    pub fn without_messagepack(mut self) -> Self {
        self.use_messagepack = false;
        self
    }
}

/// How large and how deep an [`StateClass::External`] value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExternalLimits {
    /// The largest value in bytes, as it is encoded: 64 KiB unless configured.
    pub value_bytes: usize,
    /// The deepest nesting: 16 unless configured.
    pub depth: usize,
}

impl Default for ExternalLimits {
    fn default() -> Self {
        ExternalLimits {
            value_bytes: 64 << 10,
            depth: 16,
        }
    }
}

/// The rules of the classes, as a manager was built with them.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) default_class: StateClass,
    pub(crate) codecs: Codecs,
    pub(crate) fast_path: FastPathConfig,
    pub(crate) external: ExternalLimits,
    pub(crate) limits: DecodeLimits,
    pub(crate) compress_above_bytes: Option<usize>,
    pub(crate) ephemeral: bool,
    /// Whether the stack encrypts. Nothing sets it yet: it will follow from what the crypt layer declares, never from
    /// the word of a caller.
    pub(crate) encrypts: bool,
}

/// The codec of each class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codecs {
    ephemeral: Codec,
    trusted: Codec,
    standard: Codec,
    sensitive: Codec,
    external: Codec,
}

impl Default for Codecs {
    fn default() -> Self {
        Codecs {
            ephemeral: Codec::Json,
            trusted: Codec::Json,
            standard: Codec::Json,
            sensitive: Codec::Json,
            external: Codec::Json,
        }
    }
}

impl Codecs {
    pub(crate) fn set(&mut self, class: StateClass, codec: Codec) -> Result<()> {
        *match class {
            StateClass::Ephemeral => &mut self.ephemeral,
            StateClass::Trusted => &mut self.trusted,
            StateClass::Standard => &mut self.standard,
            StateClass::Sensitive => &mut self.sensitive,
            StateClass::External => &mut self.external,
            _ => return Err(unknown(class)),
        } = codec;
        Ok(())
    }

    fn get(&self, class: StateClass) -> Codec {
        match class {
            StateClass::Ephemeral => self.ephemeral,
            StateClass::Trusted => self.trusted,
            StateClass::Sensitive => self.sensitive,
            StateClass::External => self.external,
            _ => self.standard,
        }
    }
}

impl Policy {
    pub(crate) fn class(&self, wanted: Option<StateClass>) -> StateClass {
        wanted.unwrap_or(self.default_class)
    }

    /// The encoded `value`, if a value of `class` may be written.
    pub(crate) fn encode<T: Serialize + ?Sized>(
        &self,
        value: &T,
        class: StateClass,
        codec: Option<Codec>,
    ) -> Result<Bytes> {
        let encoded = stead_codec::encode(value, &self.options(class, codec))?;
        self.admit(class)?;
        Ok(Bytes::from(encoded))
    }

    /// The encoded raw `bytes`, if a value of `class` may be written.
    pub(crate) fn encode_bytes(&self, bytes: &[u8], class: StateClass) -> Result<Bytes> {
        let options = self.options(class, Some(Codec::Bytes));
        let encoded = stead_codec::encode_bytes(bytes, &options)?;
        self.admit(class)?;
        Ok(Bytes::from(encoded))
    }

    #[inline]
    fn options(&self, class: StateClass, codec: Option<Codec>) -> EnvelopeOptions {
        let fast = class == StateClass::Trusted && self.fast_path.enabled && self.fast_path.use_messagepack;
        let codec = match codec {
            Some(codec) => codec,
            None if fast => Codec::MessagePack,
            None => self.codecs.get(class),
        };
        let limits = if class == StateClass::External {
            DecodeLimits::default()
                .with_output_bytes(self.external.value_bytes.min(self.limits.output_bytes))
                .with_nesting_depth(self.external.depth.min(self.limits.nesting_depth))
        } else {
            self.limits
        };
        EnvelopeOptions::default()
            .with_codec(codec)
            .with_class(class)
            .with_compress_above_bytes(self.compress_above_bytes)
            .with_limits(limits)
    }

    #[inline]
    fn admit(&self, class: StateClass) -> Result<()> {
        match class {
            StateClass::Trusted | StateClass::Standard => Ok(()),
            StateClass::Ephemeral if self.ephemeral => Ok(()),
            StateClass::Sensitive if self.encrypts => Ok(()),
            class => Err(refused(class)),
        }
    }
}

#[cold]
fn refused(class: StateClass) -> Error {
    match class {
        StateClass::Ephemeral => Error::unsupported(
            "no store for ephemeral values; give the manager one with `StateManager::builder(..).ephemeral(..)`",
        ),
        StateClass::Sensitive => Error::unsupported(
            "sensitive values need a store that encrypts, and this one has no crypt layer; encrypt the value yourself \
             or write it in another class",
        ),
        StateClass::External => Error::unsupported(
            "external values need a schema that is registered for their key, and none is; check the value yourself \
             and write it in another class",
        ),
        class => unknown(class),
    }
}

fn unknown(class: StateClass) -> Error {
    Error::unsupported("this manager knows no such class").with("class", class)
}
