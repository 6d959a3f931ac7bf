//! A watcher that reads a bounded change log at its own pace.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::kit::Signal;
use crate::planted::planted;
use crate::{ChangeSet, Error, KeyRange, Reply, Result, Revision, WatchEvent, WatchFrom, WatchSpec, Watcher};

/// A bounded log of changes and the signal that it has grown.
pub trait ChangeSource: Send + Sync + 'static {
    /// The change sets after `after`, oldest first, at most about `limit` of them. A log in the process has them ready;
    /// one on a server is asked for them.
    ///
    /// # Errors
    ///
    /// A failure to read, or `Closed` when the store is closed and nothing is left to read.
    ///
    /// # Cancellation
    ///
    /// A reply that is dropped took nothing along.
    fn read_after(&self, after: Revision, limit: usize) -> Reply<'_, LogRead>;

    /// The newest revision that readers may see, or the one that was newest when the watch began.
    fn published(&self) -> Revision;

    /// Notified after each commit that readers may see, and when the store closes.
    fn signal(&self) -> &Signal;
}

/// What a log had to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogRead {
    /// Change sets in order. All that was committed up to `up_to` is among them or was before them.
    Sets {
        /// The change sets.
        sets: Vec<ChangeSet>,
        /// How far the log was read.
        up_to: Revision,
    },
    /// Some of what was asked for is no longer in the log.
    Compacted {
        /// The lowest revision that can be read after.
        oldest: Revision,
    },
}

/// How many change sets are read from the log at a time.
const READ_AHEAD: usize = 128;

/// A [`Watcher`] over a [`ChangeSource`]. It keeps no backlog of its own but a page, so a slow reader costs nothing; one
/// that falls behind the log is told so.
pub struct LogWatcher<S> {
    source: Arc<S>,
    range: KeyRange,
    /// Everything up to here was delivered or lay outside the range.
    position: Revision,
    /// Everything up to here is in `ready` or before it.
    read_up_to: Revision,
    ready: VecDeque<ChangeSet>,
    ended: Option<WatchEvent>,
    started: bool,
}

impl<S: ChangeSource> LogWatcher<S> {
    /// A watcher as `spec` wants it.
    ///
    /// # Errors
    ///
    /// `Invalid` when the beginning lies ahead of what the source has published.
    pub fn new(source: Arc<S>, spec: &WatchSpec) -> Result<Self> {
        let published = source.published();
        let position = match spec.from {
            WatchFrom::Now => published,
            WatchFrom::After(revision) if revision > published => {
                return Err(Error::invalid(
                    "watch begins ahead of the store; the revision belongs to another store",
                )
                .with("after", revision)
                .with("newest", published));
            }
            WatchFrom::After(revision) => revision,
        };
        Ok(LogWatcher {
            source,
            range: spec.range.clone(),
            position,
            read_up_to: position,
            ready: VecDeque::new(),
            ended: None,
            started: false,
        })
    }

    /// Reads the log until there is something to give. `false` if there is nothing without waiting.
    async fn fill(&mut self) -> Result<bool> {
        loop {
            if self.ended.is_some() || !self.ready.is_empty() {
                return Ok(true);
            }
            self.position = self.read_up_to;
            match self.source.read_after(self.read_up_to, READ_AHEAD).await? {
                LogRead::Sets { sets, up_to } => {
                    self.started = true;
                    if up_to <= self.read_up_to {
                        return Ok(false);
                    }
                    self.read_up_to = up_to;
                    let range = &self.range;
                    self.ready
                        .extend(sets.into_iter().filter_map(|set| cut(set, range)));
                }
                LogRead::Compacted { oldest } => {
                    self.ended = Some(if self.started && !planted("lag-untold") {
                        WatchEvent::Lagged { oldest }
                    } else {
                        WatchEvent::Compacted { oldest }
                    });
                }
            }
        }
    }

    /// The next event if there is one without waiting.
    async fn poll_log(&mut self) -> Result<Option<WatchEvent>> {
        if !self.fill().await? {
            return Ok(None);
        }
        Ok(self.take())
    }

    /// As [`poll_log`](Self::poll_log), but leaves what lies behind `revision`.
    async fn poll_log_up_to(&mut self, revision: Revision) -> Result<Option<WatchEvent>> {
        if self.ready.is_empty() && self.ended.is_none() && self.read_up_to >= revision {
            self.position = self.read_up_to;
            return Ok(None);
        }
        if !self.fill().await? {
            return Ok(None);
        }
        if self.ready.front().is_some_and(|set| set.revision > revision) {
            self.position = self.position.max(revision);
            return Ok(None);
        }
        Ok(self.take())
    }

    /// As [`poll_log_up_to`](Self::poll_log_up_to), with what is ready behind that.
    async fn poll_page_up_to(&mut self, revision: Revision) -> Result<Vec<WatchEvent>> {
        let Some(event) = self.poll_log_up_to(revision).await? else {
            return Ok(Vec::new());
        };
        let mut page = Vec::with_capacity(1 + self.ready.len());
        page.push(event);
        while self.ready.front().is_some_and(|set| set.revision <= revision) {
            page.extend(self.take());
        }
        Ok(page)
    }

    fn take(&mut self) -> Option<WatchEvent> {
        if let Some(set) = self.ready.pop_front() {
            self.position = set.revision;
            return Some(WatchEvent::Changes(set));
        }
        self.ended.clone()
    }
}

fn cut(mut set: ChangeSet, range: &KeyRange) -> Option<ChangeSet> {
    set.changes.retain(|change| range.contains(&change.key));
    (!set.changes.is_empty()).then_some(set)
}

impl<S: ChangeSource> Watcher for LogWatcher<S> {
    fn next(&mut self) -> Reply<'_, WatchEvent> {
        // Looks only when polled: a reply that was ready at once would take its event along when it is dropped, as
        // `select!` does with the branch that it did not get to.
        Reply::pending(async move {
            loop {
                let seen = self.source.signal().epoch();
                if let Some(event) = self.poll_log().await.map_err(|error| error.during("watch"))? {
                    return Ok(event);
                }
                self.source.signal().wait(seen).await;
            }
        })
    }

    fn next_up_to(&mut self, revision: Revision) -> Reply<'_, Option<WatchEvent>> {
        Reply::pending(async move {
            let event = self.poll_log_up_to(revision).await;
            event.map_err(|error| error.during("watch"))
        })
    }

    fn page_up_to(&mut self, revision: Revision) -> Reply<'_, Vec<WatchEvent>> {
        Reply::pending(async move {
            let page = self.poll_page_up_to(revision).await;
            page.map_err(|error| error.during("watch"))
        })
    }

    fn position(&self) -> Revision {
        self.position
    }
}
