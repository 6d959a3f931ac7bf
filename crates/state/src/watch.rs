//! Following the changes of scopes.

use stead_core::{ChangeKind, KeyRange, Result, Revision, WatchEvent, WatchFrom, WatchSpec, Watcher};

use crate::inner::Inner;
use crate::place::{Place, decode_key};
use crate::{Pattern, StateScope};

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The scope.
    pub scope: StateScope,
    /// The key.
    pub key: String,
    /// What happened to it.
    pub kind: ChangeKind,
    /// The revision of the batch that did it.
    pub revision: Revision,
}

/// What a watch tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateEvent {
    /// What one committed batch changed, as far as it is watched: never empty, each key once, in key order.
    Changes(Vec<StateChange>),
    /// The store no longer knows the changes from where the watch was to begin. Read the values and watch from now.
    Compacted {
        /// The lowest revision that a watch may begin after.
        oldest: Revision,
    },
    /// The reader was so slow that changes were dropped before it read them. Read the values and watch from now.
    Lagged {
        /// The lowest revision that a watch may begin after.
        oldest: Revision,
    },
}

/// A watch under way.
///
/// It follows the kept store: changes of ephemeral values are not part of it, and a value that becomes ephemeral shows
/// as deleted.
pub struct StateWatch {
    watcher: Box<dyn Watcher>,
    pattern: Pattern,
}

impl StateWatch {
    /// The next event, in revision order. [`StateEvent::Compacted`] and [`StateEvent::Lagged`] end the watch: further
    /// calls give them again.
    ///
    /// # Errors
    ///
    /// `Closed` once the store was closed and everything before was delivered.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost when the future is dropped: the next call gives what this one would have given.
    pub async fn next(&mut self) -> Result<StateEvent> {
        loop {
            let set = match self.watcher.next().await? {
                WatchEvent::Changes(set) => set,
                WatchEvent::Compacted { oldest } => return Ok(StateEvent::Compacted { oldest }),
                WatchEvent::Lagged { oldest } => return Ok(StateEvent::Lagged { oldest }),
            };
            let mut changes = Vec::with_capacity(set.changes.len());
            for change in set.changes {
                // In a watch of the whole store, what is not a scope's belongs to somebody else.
                let Ok((scope, key)) = decode_key(&change.key) else {
                    continue;
                };
                if self.pattern.matches(&key) {
                    changes.push(StateChange {
                        scope,
                        key,
                        kind: change.kind,
                        revision: set.revision,
                    });
                }
            }
            if !changes.is_empty() {
                return Ok(StateEvent::Changes(changes));
            }
        }
    }

    /// Everything up to this revision was delivered or is not watched. A watch that begins after it misses nothing.
    #[must_use]
    pub fn position(&self) -> Revision {
        self.watcher.position()
    }
}

impl Inner {
    pub(crate) fn watch(&self, place: &Place, pattern: &Pattern, from: WatchFrom) -> Result<StateWatch> {
        // What the pattern begins with narrows down what the store has to look at.
        let range = place
            .range(&pattern.literal_prefix())
            .map_err(|error| error.during("watch"))?;
        self.watch_range(range, pattern, from)
    }

    pub(crate) fn watch_range(
        &self,
        range: KeyRange,
        pattern: &Pattern,
        from: WatchFrom,
    ) -> Result<StateWatch> {
        let watcher = self.store.watch(&WatchSpec { range, from })?;
        Ok(StateWatch {
            watcher,
            pattern: pattern.clone(),
        })
    }
}
