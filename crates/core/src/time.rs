//! Points and lengths of time, in whole milliseconds.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::{Error, Result};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The start of 1970.
    pub const EPOCH: Timestamp = Timestamp(0);
    /// The end of time; as a deadline it cannot be told from none and is therefore refused by [`Ttl`] arithmetic.
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// The point `millis` milliseconds after the start of 1970.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Timestamp(millis)
    }

    /// Milliseconds since the start of 1970.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The point `ttl` later, or `None` beyond the end of time.
    #[must_use]
    pub fn checked_add(self, ttl: Ttl) -> Option<Self> {
        self.0
            .checked_add(ttl.as_millis())
            .filter(|millis| *millis != u64::MAX)
            .map(Timestamp)
    }

    /// How long until `later`; zero if it has passed.
    #[must_use]
    pub fn until(self, later: Timestamp) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

/// How long an entry lives: at least one millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ttl(NonZeroU64);

impl Ttl {
    /// A lifetime of `millis` milliseconds.
    ///
    /// # Errors
    ///
    /// `Invalid` for zero.
    pub fn from_millis(millis: u64) -> Result<Self> {
        NonZeroU64::new(millis)
            .map(Ttl)
            .ok_or_else(|| Error::invalid("ttl must be at least 1 ms").with("ttl_ms", 0))
    }

    /// A lifetime of `duration`, rounded up to whole milliseconds so that an entry never dies early.
    ///
    /// # Errors
    ///
    /// `Invalid` for zero and for more milliseconds than 64 bits hold.
    pub fn new(duration: Duration) -> Result<Self> {
        let millis = duration.as_nanos().div_ceil(1_000_000);
        let millis = u64::try_from(millis)
            .map_err(|_| Error::invalid("ttl is longer than the limit").with("limit_ms", u64::MAX))?;
        Self::from_millis(millis)
    }

    /// The lifetime in milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0.get()
    }

    /// The lifetime as a duration.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0.get())
    }
}

impl TryFrom<Duration> for Ttl {
    type Error = Error;

    fn try_from(duration: Duration) -> Result<Self> {
        Ttl::new(duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_endless_lifetimes_are_refused() {
        assert!(Ttl::new(Duration::ZERO).is_err());
        assert!(Ttl::new(Duration::MAX).is_err());
        assert_eq!(Ttl::new(Duration::from_nanos(1)).unwrap().as_millis(), 1);
        let longest = Ttl::from_millis(u64::MAX).unwrap();
        assert_eq!(Timestamp::EPOCH.checked_add(longest), None);
        assert_eq!(Timestamp::from_millis(1).checked_add(longest), None);
    }
}
