//! How a store in memory is set up.

use std::sync::Arc;
use std::time::Duration;

use stead_core::{Clock, Error, Limits, Result, StoreUrl, SystemClock};

/// The settings of a [`MemoryBackend`](crate::MemoryBackend).
///
/// ```
/// use std::time::Duration;
/// use stead_memory::{MemoryBackend, MemoryOptions};
///
/// let options = MemoryOptions::default()
///     .with_capacity_bytes(64 << 20)
///     .with_sweep_interval(Duration::from_secs(10));
/// let store = MemoryBackend::new(options);
/// ```
#[derive(Clone, Debug)]
pub struct MemoryOptions {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) capacity_entries: u64,
    pub(crate) capacity_bytes: u64,
    pub(crate) change_retention: usize,
    pub(crate) request_retention: usize,
    pub(crate) sweep_interval: Duration,
}

impl Default for MemoryOptions {
    /// The system's clock, no capacity limits, the changes of 16,384 commits, 10,000 request ids, a sweep every second.
    fn default() -> Self {
        MemoryOptions {
            clock: Arc::new(SystemClock),
            limits: Limits::default(),
            capacity_entries: u64::MAX,
            capacity_bytes: u64::MAX,
            change_retention: 16_384,
            request_retention: 10_000,
            sweep_interval: Duration::from_secs(1),
        }
    }
}

impl MemoryOptions {
    /// The settings in a URL such as `memory:?capacity=64MiB`. The options are `capacity` (bytes), `entries`,
    /// `retention` (commits) and `sweep` (a duration).
    ///
    /// # Errors
    ///
    /// `Invalid` for a place, unknown options and malformed values.
    pub fn from_url(mut url: StoreUrl) -> Result<Self> {
        let mut options = MemoryOptions::default();
        if !url.place().is_empty() {
            return Err(
                Error::invalid("a store in memory has no place; write memory:").with("place", url.place())
            );
        }
        if let Some(bytes) = url.take_bytes("capacity")? {
            options = options.with_capacity_bytes(bytes);
        }
        if let Some(entries) = url.take_number("entries")? {
            options = options.with_capacity_entries(entries);
        }
        if let Some(commits) = url.take_number("retention")? {
            options = options.with_change_retention(usize::try_from(commits).unwrap_or(usize::MAX));
        }
        if let Some(interval) = url.take_duration("sweep")? {
            options = options.with_sweep_interval(interval);
        }
        url.finish()?;
        Ok(options)
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Refuses what is larger than `limits`.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Answers `Full` to a batch that would leave more entries than this, those not yet swept included.
    #[must_use]
    pub fn with_capacity_entries(mut self, entries: u64) -> Self {
        self.capacity_entries = entries;
        self
    }

    /// Answers `Full` to a batch that would leave more bytes of keys and values than this.
    #[must_use]
    pub fn with_capacity_bytes(mut self, bytes: u64) -> Self {
        self.capacity_bytes = bytes;
        self
    }

    /// Keeps the changes of this many commits, at least one, for watches that resume.
    #[must_use]
    pub fn with_change_retention(mut self, commits: usize) -> Self {
        self.change_retention = commits.max(1);
        self
    }

    /// Remembers this many request ids, at least one.
    #[must_use]
    pub fn with_request_retention(mut self, requests: usize) -> Self {
        self.request_retention = requests.max(1);
        self
    }

    /// Removes entries past their deadline this often, besides whenever a read meets one.
    #[must_use]
    pub fn with_sweep_interval(mut self, interval: Duration) -> Self {
        self.sweep_interval = interval;
        self
    }
}
