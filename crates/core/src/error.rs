//! The one error type: a kind to act on, a message to read, context to find the place, and the cause.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

/// The result of everything that can fail in Stead.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as a caller can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request itself is wrong and will stay wrong: a limit, a malformed argument, a broken file.
    Invalid,
    /// The backend does not declare what was asked of it.
    Unsupported,
    /// The caller may not do this.
    Denied,
    /// Others kept changing the same state until the attempts ran out, or a request id was used for two requests.
    Conflict,
    /// The store cannot answer now: not reachable, locked by another process, poisoned after a failed write.
    Unavailable,
    /// The write may or may not have happened. Only a request id makes a retry safe.
    UnknownOutcome,
    /// A capacity limit or the disk is full.
    Full,
    /// Stored bytes are not what was written, or have a format that this version cannot read.
    Corrupt,
    /// A value could not be encoded or decoded as the type that was asked for.
    Serialization,
    /// The store was closed.
    Closed,
    /// A bug in Stead.
    Internal,
}

impl ErrorKind {
    /// The kind as a stable lower-case word, for logs, JSON output and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Invalid => "invalid",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Denied => "denied",
            ErrorKind::Conflict => "conflict",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::UnknownOutcome => "unknown_outcome",
            ErrorKind::Full => "full",
            ErrorKind::Corrupt => "corrupt",
            ErrorKind::Serialization => "serialization",
            ErrorKind::Closed => "closed",
            ErrorKind::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure. One pointer wide, so that a `Result` of it costs a hot path nothing.
///
/// The message is lower case, says what was asked and what to do, and never holds a value; context pairs follow it as
/// `key=value`. The cause is in [`source`](StdError::source) and is not repeated in the message.
///
/// ```
/// use stead_core::{Error, ErrorKind};
///
/// let error = Error::invalid("value is larger than the limit").with("size_bytes", 17).with("limit_bytes", 16);
/// assert_eq!(error.kind(), ErrorKind::Invalid);
/// assert_eq!(error.to_string(), "value is larger than the limit: size_bytes=17 limit_bytes=16");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    operation: &'static str,
    message: Cow<'static, str>,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; prefer the constructors named after the kinds.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Error(Box::new(Inner {
            kind,
            operation: "",
            message: message.into(),
            context: Vec::new(),
            source: None,
        }))
    }

    /// The request is wrong and will stay wrong.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// The backend does not declare what was asked.
    pub fn unsupported(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// Attempts ran out, or a request id was reused.
    pub fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// The store cannot answer now.
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// The write may or may not have happened.
    pub fn unknown_outcome(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::UnknownOutcome, message)
    }

    /// A capacity limit or the disk is full.
    pub fn full(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Full, message)
    }

    /// Stored bytes are not what was written.
    pub fn corrupt(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// A value could not be encoded or decoded.
    pub fn serialization(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Serialization, message)
    }

    /// The store was closed.
    #[must_use]
    pub fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the store is closed")
    }

    /// A bug in Stead.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Adds a context pair. Never pass a stored value; pass a key only if the caller passed it.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((name, value.to_string()));
        self
    }

    /// Sets the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Names the operation that failed, unless an inner one was named already.
    #[must_use]
    pub fn during(mut self, operation: &'static str) -> Self {
        if self.0.operation.is_empty() {
            self.0.operation = operation;
        }
        self
    }

    /// What went wrong, as far as a caller can act on it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The operation that failed, or `""` where none was named.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The message without its context.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The context pairs in the order they were added.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.context.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Whether the same request may succeed later without a change by the caller.
    ///
    /// An unknown outcome is not retryable as such: repeating a write without a request id may apply it twice.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Unavailable | ErrorKind::Conflict)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.operation.is_empty() {
            write!(f, "{}: ", self.0.operation)?;
        }
        f.write_str(&self.0.message)?;
        for (index, (name, value)) in self.0.context.iter().enumerate() {
            write!(f, "{} {name}={value}", if index == 0 { ":" } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind);
        out.field("message", &format_args!("{self}"));
        if let Some(source) = &self.0.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_pointer_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }

    #[test]
    fn inner_operation_wins_and_the_cause_is_kept() {
        let cause = std::io::Error::other("disk on fire");
        let error = Error::unavailable("cannot read")
            .because(cause)
            .during("get")
            .during("scan");
        assert_eq!(error.to_string(), "get: cannot read");
        assert_eq!(
            error.source().map(ToString::to_string).as_deref(),
            Some("disk on fire")
        );
    }
}
