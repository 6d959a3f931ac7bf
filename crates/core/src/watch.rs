//! Following changes.

use crate::{ChangeSet, KeyRange, Reply, Revision};

/// Where a watch begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WatchFrom {
    /// With the first commit after the call.
    #[default]
    Now,
    /// With the first commit after this revision: where a snapshot was taken, or what a former watch saw last.
    After(Revision),
}

/// What to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchSpec {
    /// Changes of keys in this range.
    pub range: KeyRange,
    /// The beginning.
    pub from: WatchFrom,
}

impl WatchSpec {
    /// Changes in `range` from now on.
    #[must_use]
    pub fn new(range: KeyRange) -> Self {
        WatchSpec {
            range,
            from: WatchFrom::Now,
        }
    }

    /// Changes after `revision`.
    #[must_use]
    pub fn after(mut self, revision: Revision) -> Self {
        self.from = WatchFrom::After(revision);
        self
    }
}

/// What a watch tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// One committed batch, cut down to the watched range; never split over two events.
    Changes(ChangeSet),
    /// The log does not reach back to where the watch was to begin. Read a snapshot and watch from its revision.
    Compacted {
        /// The lowest revision that a watch may begin after.
        oldest: Revision,
    },
    /// The reader was so slow that changes it had not read were dropped from the log. Read a snapshot and watch from
    /// its revision.
    Lagged {
        /// The lowest revision that a watch may begin after.
        oldest: Revision,
    },
}

/// A watch under way.
pub trait Watcher: Send {
    /// The next event, in revision order. [`WatchEvent::Compacted`] and [`WatchEvent::Lagged`] end the watch: further
    /// calls give them again.
    ///
    /// # Errors
    ///
    /// `Closed` once the store was closed and everything before was delivered.
    ///
    /// # Cancellation
    ///
    /// An event whose reply was dropped, polled or not, is given again by the next call; so a reply is never ready
    /// before it is polled.
    fn next(&mut self) -> Reply<'_, WatchEvent>;

    /// The next event among the commits up to `revision`, which the store has reached, without waiting for one still to
    /// come: `None` once there is no further one. Commits behind `revision` stay for the next call.
    ///
    /// Where [`position`](Watcher::position) is below `revision` after `None`, the log does not reach that far.
    ///
    /// # Errors
    ///
    /// As [`next`](Watcher::next).
    ///
    /// # Cancellation
    ///
    /// As [`next`](Watcher::next).
    fn next_up_to(&mut self, revision: Revision) -> Reply<'_, Option<WatchEvent>>;

    /// As [`next_up_to`](Watcher::next_up_to), together with the events behind that one that are at hand: none once there is
    /// no further one. Who reads a long log waits once for each page of it, and not once for each commit.
    ///
    /// # Errors
    ///
    /// As [`next`](Watcher::next).
    ///
    /// # Cancellation
    ///
    /// As [`next`](Watcher::next): of a reply that was dropped, all events are given again.
    fn page_up_to(&mut self, revision: Revision) -> Reply<'_, Vec<WatchEvent>> {
        self.next_up_to(revision).map(|event| event.into_iter().collect())
    }

    /// Everything up to this revision was delivered or lay outside the watched range. A watch that begins after it
    /// misses nothing.
    fn position(&self) -> Revision;
}
