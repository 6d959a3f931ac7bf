//! Settings of an embedded store.

use std::sync::Arc;
use std::time::Duration;

use stead_core::{Clock, Durability, Limits, Random, SystemClock, SystemRandom};

/// Settings of an embedded store, the same for every engine.
///
/// ```
/// use std::time::Duration;
/// use stead_core::Durability;
/// use stead_embedded::EmbeddedOptions;
///
/// let options = EmbeddedOptions::default()
///     .with_durability(Durability::Buffered)
///     .with_change_retention(10_000)
///     .with_flush_interval(Duration::from_millis(20));
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) durability: Durability,
    pub(crate) change_retention: u64,
    pub(crate) request_retention: u64,
    pub(crate) request_age: Duration,
    pub(crate) sweep_interval: Duration,
    pub(crate) flush_interval: Duration,
    pub(crate) flush_commits: u64,
    pub(crate) limits: Limits,
    pub(crate) queue_batches: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) revision_reserve: u64,
    pub(crate) recent_bytes: usize,
    pub(crate) read_only: bool,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        EmbeddedOptions {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            durability: Durability::Durable,
            change_retention: 100_000,
            request_retention: 100_000,
            request_age: Duration::from_secs(24 * 60 * 60),
            sweep_interval: Duration::from_secs(1),
            flush_interval: Duration::from_millis(100),
            flush_commits: u64::MAX,
            limits: Limits::default(),
            queue_batches: 65_536,
            queue_bytes: 256 << 20,
            revision_reserve: 1 << 20,
            recent_bytes: 8 << 20,
            read_only: false,
        }
    }
}

impl EmbeddedOptions {
    /// Takes the time from `clock`; otherwise from the operating system.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Takes randomness from `random`; otherwise from the operating system.
    #[must_use]
    pub fn with_random(mut self, random: Arc<dyn Random>) -> Self {
        self.random = random;
        self
    }

    /// What a batch gets that asks for nothing; otherwise [`Durability::Durable`].
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Keeps about this many change sets for watches to resume from, at least one; otherwise 100,000. A little more
    /// is kept, so that trimming goes by the page and not by the record: a sixteenth, at most 256.
    #[must_use]
    pub fn with_change_retention(mut self, change_sets: u64) -> Self {
        self.change_retention = change_sets.max(1);
        self
    }

    /// Remembers at most this many request ids, at least one; otherwise 100,000.
    #[must_use]
    pub fn with_request_retention(mut self, requests: u64) -> Self {
        self.request_retention = requests.max(1);
        self
    }

    /// Forgets request ids some time after this age; otherwise 24 hours.
    #[must_use]
    pub fn with_request_age(mut self, age: Duration) -> Self {
        self.request_age = age;
        self
    }

    /// Looks for entries past their deadline at least this often, at least every millisecond; otherwise every second.
    /// Reads hide them at once in any case.
    #[must_use]
    pub fn with_sweep_interval(mut self, interval: Duration) -> Self {
        self.sweep_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Makes buffered writes durable at least this often, at least every millisecond; otherwise every 100 ms. This
    /// bounds what a power failure, and with some engines the end of the process, takes with it.
    #[must_use]
    pub fn with_flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Makes buffered writes durable after this many commits too, at least one, however soon they come; otherwise only the
    /// interval decides. The store's thread does it, and takes along what is committed until it gets to it.
    #[must_use]
    pub fn with_flush_commits(mut self, commits: u64) -> Self {
        self.flush_commits = commits.max(1);
        self
    }

    /// Refuses what is larger.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Lets at most this many batches and this many bytes of them wait for the disk; otherwise 65,536 and 256 MiB. What
    /// comes on top is refused as `Unavailable`, and nothing of it is written. A single batch always finds room.
    #[must_use]
    pub fn with_queue_limits(mut self, batches: usize, size_bytes: usize) -> Self {
        self.queue_batches = batches.max(1);
        self.queue_bytes = size_bytes;
        self
    }

    /// Reserves this many revisions with every durable commit, at least one; otherwise 1,048,576. They make sure that
    /// no revision comes twice, even if a crash takes buffered commits along: the store then goes on behind the reserve.
    /// A buffered batch that finds the reserve used up waits for the disk.
    #[must_use]
    pub fn with_revision_reserve(mut self, revisions: u64) -> Self {
        self.revision_reserve = revisions.max(1);
        self
    }

    /// Remembers revision, deadline and length of what was written lately in at most this many bytes; otherwise 8 MiB.
    /// Judging a batch then need not read what it replaces. A key takes 40 to 80 bytes however long it is, and the
    /// memory is taken as it is needed: the default holds about 200,000 keys. 0 remembers nothing.
    #[must_use]
    pub fn with_recent_bytes(mut self, size_bytes: usize) -> Self {
        self.recent_bytes = size_bytes;
        self
    }

    /// Opens for reading: nothing is ever written, and there is no thread. Writes are `Unsupported`.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Whether this opens for reading only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }
}
