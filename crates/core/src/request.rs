//! Ids that make a retry safe.

use std::fmt;

use crate::{Error, Result};

/// A caller's own id of a batch: 1 to 64 bytes.
///
/// The same id with the same batch returns the first outcome instead of writing twice; with another batch it is
/// refused. Backends remember ids for a bounded time, which their settings say.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(Box<[u8]>);

impl RequestId {
    /// The longest id in bytes.
    pub const MAX_BYTES: usize = 64;

    /// The id with these bytes.
    ///
    /// # Errors
    ///
    /// `Invalid` when empty or longer than [`RequestId::MAX_BYTES`].
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self> {
        let bytes = bytes.as_ref();
        if bytes.is_empty() || bytes.len() > Self::MAX_BYTES {
            return Err(Error::invalid("request id must have 1 to 64 bytes")
                .with("length_bytes", bytes.len())
                .with("limit_bytes", Self::MAX_BYTES));
        }
        Ok(RequestId(bytes.into()))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({})", self.0.escape_ascii())
    }
}
