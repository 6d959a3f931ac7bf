//! What the class of a value changes.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use stead_codec::{Codec, DecodeLimits, Envelope, EnvelopeOptions, StateClass};
use stead_core::{Error, Limits, Result};

use crate::scratch;

/// The fast path that [`StateClass::Trusted`] values take.
///
/// What it leaves out is what there is to leave out: once values are checked against schemas and hooks run before writes,
/// it says here whether trusted ones skip them.
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

/// What the class of a value decides about its bytes: the codec, the limits, and whether it may be written at all.
///
/// Every manager has its own, which its builder set up. For tools that put batches together themselves: what they encode is
/// what a manager would have written.
///
/// ```
/// use stead_core::Limits;
/// use stead_state::{ClassRules, Codec, StateClass};
///
/// let rules = ClassRules::new(&Limits::default());
/// assert_eq!(rules.codec(StateClass::Trusted), Codec::MessagePack);
/// let (sum, bytes) = rules.increment(None, 7, StateClass::Standard, None)?;
/// assert_eq!(sum, 7);
/// assert_eq!(bytes, rules.encode(&7, StateClass::Standard, None)?);
/// assert!(rules.admit(StateClass::Sensitive).is_err());
/// # Ok::<(), stead_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClassRules {
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

impl ClassRules {
    /// The rules of a manager that was not configured, on a store of these limits: with no place for ephemeral values.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        ClassRules {
            default_class: StateClass::Standard,
            codecs: Codecs::default(),
            fast_path: FastPathConfig::default(),
            external: ExternalLimits::default(),
            limits: DecodeLimits::from(limits),
            compress_above_bytes: Some(1024),
            ephemeral: false,
            encrypts: false,
        }
    }

    pub(crate) fn class(&self, wanted: Option<StateClass>) -> StateClass {
        wanted.unwrap_or(self.default_class)
    }

    /// The bytes to store for `value`, in `codec` or in that of the class.
    ///
    /// # Errors
    ///
    /// - `Invalid`, naming the limit, for a value too large or too deep;
    /// - `Serialization` for a value that the codec cannot hold;
    /// - as [`admit`](ClassRules::admit).
    pub fn encode<T: Serialize + ?Sized>(
        &self,
        value: &T,
        class: StateClass,
        codec: Option<Codec>,
    ) -> Result<Bytes> {
        let options = self.options(class, codec);
        let encoded = stead_codec::encode_in(value, &options, scratch::take())?;
        self.admit(class)?;
        Ok(scratch::into_bytes(encoded))
    }

    /// The bytes to store for raw `bytes`.
    ///
    /// # Errors
    ///
    /// As [`encode`](ClassRules::encode).
    pub fn encode_bytes(&self, bytes: &[u8], class: StateClass) -> Result<Bytes> {
        let options = self.options(class, Some(Codec::Bytes));
        let encoded = stead_codec::encode_bytes(bytes, &options)?;
        self.admit(class)?;
        Ok(Bytes::from(encoded))
    }

    /// The whole number that `stored` is, plus `delta`, and the bytes to store for the sum: in the class and the codec of
    /// what is there, or in the given ones where nothing is, which counts as 0.
    ///
    /// # Errors
    ///
    /// - `Invalid` when the sum leaves the range of `i64`;
    /// - `Serialization` when what is there is no whole number;
    /// - `Corrupt` when it is damaged; as [`admit`](ClassRules::admit).
    pub fn increment(
        &self,
        stored: Option<&[u8]>,
        delta: i64,
        class: StateClass,
        codec: Option<Codec>,
    ) -> Result<(i64, Bytes)> {
        let (current, class, codec) = match stored {
            Some(stored) => {
                let envelope = Envelope::parse(stored, &self.limits)?;
                let current = integer(&envelope.decode_value()?)?;
                (current, envelope.class(), Some(envelope.codec()))
            }
            None => (0, class, codec),
        };
        let sum = added(current, delta)?;
        Ok((sum, self.encode(&sum, class, codec)?))
    }

    /// The codec of values of `class` whose writer names none.
    #[must_use]
    #[inline]
    pub fn codec(&self, class: StateClass) -> Codec {
        if class == StateClass::Trusted && self.fast_path.enabled && self.fast_path.use_messagepack {
            return Codec::MessagePack;
        }
        self.codecs.get(class)
    }

    #[inline]
    fn options(&self, class: StateClass, codec: Option<Codec>) -> EnvelopeOptions {
        let codec = codec.unwrap_or_else(|| self.codec(class));
        let mut options = EnvelopeOptions {
            codec,
            class,
            compress_above_bytes: self.compress_above_bytes,
            limits: self.limits,
            ..EnvelopeOptions::default()
        };
        if class == StateClass::External {
            options.limits = DecodeLimits::default()
                .with_output_bytes(self.external.value_bytes.min(self.limits.output_bytes))
                .with_nesting_depth(self.external.depth.min(self.limits.nesting_depth));
        }
        options
    }

    /// Whether values of `class` may be written.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a class that there is no place for: the message says what is missing.
    #[inline]
    pub fn admit(&self, class: StateClass) -> Result<()> {
        match class {
            StateClass::Trusted | StateClass::Standard => Ok(()),
            StateClass::Ephemeral if self.ephemeral => Ok(()),
            StateClass::Sensitive if self.encrypts => Ok(()),
            class => Err(refused(class)),
        }
    }
}

/// The whole number that `value` is.
fn integer(value: &Value) -> Result<i64> {
    value.as_i64().ok_or_else(|| {
        Error::serialization(
            "value is not a whole number of 64 bits with a sign; only such can be incremented",
        )
    })
}

/// The sum, or the error that says which way it leaves the range.
fn added(current: i64, delta: i64) -> Result<i64> {
    current.checked_add(delta).ok_or_else(|| {
        Error::invalid("increment leaves the range of 64-bit numbers; the value stays as it was")
            .with("delta", delta)
            .with("limit", if delta < 0 { i64::MIN } else { i64::MAX })
    })
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
