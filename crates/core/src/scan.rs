//! Reading many entries in order.

use crate::{Entry, Key, KeyRange, Reply};

/// Which way a scan runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the lowest key up.
    #[default]
    Forward,
    /// From the highest key down.
    Reverse,
}

/// What to read in order.
///
/// ```
/// use stead_core::{Direction, KeyRange, Partition, Scan};
///
/// let newest = Scan::new(KeyRange::prefix(&Partition::new("log")?, "2026-")?)
///     .direction(Direction::Reverse)
///     .limit(10);
/// assert_eq!(newest.wanted_limit(), Some(10));
/// # Ok::<(), stead_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    range: KeyRange,
    direction: Direction,
    limit: Option<usize>,
    page_size: usize,
    keys_only: bool,
}

impl Scan {
    /// Entries of a page unless asked otherwise.
    pub const DEFAULT_PAGE_SIZE: usize = 256;
    /// The most entries of a page.
    pub const MAX_PAGE_SIZE: usize = 65_536;

    /// Everything in `range`, forward.
    #[must_use]
    pub fn new(range: KeyRange) -> Self {
        Scan {
            range,
            direction: Direction::Forward,
            limit: None,
            page_size: Self::DEFAULT_PAGE_SIZE,
            keys_only: false,
        }
    }

    /// Runs the other way.
    #[must_use]
    pub fn direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// Stops after this many entries.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Reads at most this many entries at a time, between 1 and [`Scan::MAX_PAGE_SIZE`].
    #[must_use]
    pub fn page_size(mut self, entries: usize) -> Self {
        self.page_size = entries.clamp(1, Self::MAX_PAGE_SIZE);
        self
    }

    /// Leaves [`Item::entry`] out.
    #[must_use]
    pub fn keys_only(mut self) -> Self {
        self.keys_only = true;
        self
    }

    /// The range.
    #[must_use]
    pub fn range(&self) -> &KeyRange {
        &self.range
    }

    /// The direction.
    #[must_use]
    pub fn wanted_direction(&self) -> Direction {
        self.direction
    }

    /// The limit, if any.
    #[must_use]
    pub fn wanted_limit(&self) -> Option<usize> {
        self.limit
    }

    /// The number of entries to read at a time.
    #[must_use]
    pub fn wanted_page_size(&self) -> usize {
        self.page_size
    }

    /// Whether only keys are wanted.
    #[must_use]
    pub fn is_keys_only(&self) -> bool {
        self.keys_only
    }
}

/// One key of a scan, and its entry unless only keys were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The key.
    pub key: Key,
    /// The entry; `None` in a scan for keys only.
    pub entry: Option<Entry>,
}

/// The entries that were read together: each page of a live scan is of one instant.
pub type Page = Vec<Item>;

/// A scan under way.
pub trait Cursor: Send {
    /// The next page; an empty one means that the scan is over, and further calls give empty ones again.
    ///
    /// In a scan of a live store, an entry that was there from the first page to the last is seen exactly once; one
    /// that came or went meanwhile may or may not be seen.
    ///
    /// # Errors
    ///
    /// A failure to read ends nothing: the same page may be asked for again.
    ///
    /// # Cancellation
    ///
    /// A page whose reply was dropped while it was pending is read again by the next call. A reply that is ready holds
    /// its page: take it.
    fn next_page(&mut self) -> Reply<'_, Page>;
}
