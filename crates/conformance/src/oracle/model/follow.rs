//! Watches, compared with what the model says they should tell.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use stead_core::{ChangeKind, ChangeSet, Key, KeyRange, Revision, WatchEvent, Watcher};

/// Whether the model knows when entries past their deadline are swept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sweeps {
    /// On demand: each change is known.
    Known,
    /// At any time: `expired` changes may come whenever they make sense.
    Unknown,
}

/// A watch under way.
pub(super) struct Follow {
    watcher: Box<dyn Watcher>,
    pub(super) range: KeyRange,
    /// Everything up to here was told.
    at: Revision,
    /// Whether it began before the log.
    begins_too_early: bool,
    has_told: bool,
    /// The expired entries that were told, each by its key and the revision that wrote it.
    expired: BTreeSet<(Key, Revision)>,
}

/// What a drained watch is good for.
pub(super) enum Drained {
    GoesOn,
    Ended,
}

impl Follow {
    /// A watch of `range` after `at`; `oldest` is where the log began then.
    pub(super) fn new(watcher: Box<dyn Watcher>, range: KeyRange, at: Revision, oldest: Revision) -> Self {
        Follow {
            watcher,
            range,
            at,
            begins_too_early: at < oldest,
            has_told: false,
            expired: BTreeSet::new(),
        }
    }

    /// Where a watch that goes on may begin.
    pub(super) fn position(&self) -> Revision {
        self.watcher.position()
    }

    /// Reads all that is due by `feed`, and nothing else. `oldest` is where the log begins now.
    pub(super) async fn drain(
        &mut self,
        feed: &[ChangeSet],
        oldest: Revision,
        sweeps: Sweeps,
        patience: Duration,
    ) -> Result<Drained, String> {
        for due in cut(feed, self.at, &self.range, sweeps) {
            loop {
                let what = format!("a watch of {:?} after {}: next event", self.range, self.at);
                let Ok(event) = tokio::time::timeout(patience, self.watcher.next()).await else {
                    return Err(format!("{what}\n    store: none\n    model: {due:?}"));
                };
                let event = event.map_err(|error| format!("{what} failed: {error}"))?;
                let set = match event {
                    WatchEvent::Changes(set) => set,
                    end => return self.ended(end, oldest).await,
                };
                if self.begins_too_early {
                    return Err(format!(
                        "{what}\n    store: {set:?}\n    model: the log begins only after {oldest}"
                    ));
                }
                self.has_told = true;
                let rest = self.without_expired(set.clone(), feed, sweeps)?;
                if rest.changes.is_empty() {
                    continue;
                }
                if rest != due {
                    return Err(format!("{what}\n    store: {set:?}\n    model: {due:?}"));
                }
                self.at = due.revision;
                break;
            }
            if self.position() < self.at {
                return Err(format!(
                    "a watch that told {} stands at {}",
                    self.at,
                    self.position()
                ));
            }
        }
        self.expect_silence(feed, oldest, sweeps).await
    }

    async fn expect_silence(
        &mut self,
        feed: &[ChangeSet],
        oldest: Revision,
        sweeps: Sweeps,
    ) -> Result<Drained, String> {
        loop {
            let event = {
                let mut next = pin!(self.watcher.next());
                poll_fn(|cx| match next.as_mut().poll(cx) {
                    Poll::Ready(event) => Poll::Ready(Some(event)),
                    Poll::Pending => Poll::Ready(None),
                })
                .await
            };
            match event {
                None if self.begins_too_early => {
                    return Err(format!(
                        "a watch after {} is silent, but the log begins after {oldest}",
                        self.at
                    ));
                }
                None => return Ok(Drained::GoesOn),
                Some(Err(error)) => return Err(format!("a watch failed: {error}")),
                Some(Ok(WatchEvent::Changes(set))) => {
                    let rest = self.without_expired(set, feed, sweeps)?;
                    if !rest.changes.is_empty() {
                        return Err(format!(
                            "a watch after {} told what did not happen: {rest:?}",
                            self.at
                        ));
                    }
                }
                Some(Ok(end)) => return self.ended(end, oldest).await,
            }
        }
    }

    /// Whether the watch had reason to end as it did.
    async fn ended(&mut self, end: WatchEvent, oldest: Revision) -> Result<Drained, String> {
        let at = self.at;
        let has_reason = match &end {
            WatchEvent::Compacted { oldest: told } => !self.has_told && at < oldest && *told > at,
            WatchEvent::Lagged { oldest: told } => !self.begins_too_early && at < oldest && *told > at,
            WatchEvent::Changes(_) => false,
        };
        if !has_reason {
            return Err(format!(
                "a watch after {at} ended with {end:?}, but the log begins after {oldest}"
            ));
        }
        match self.watcher.next().await {
            Ok(again) if again == end => Ok(Drained::Ended),
            other => Err(format!("a watch that ended with {end:?} went on with {other:?}")),
        }
    }

    /// Takes out the `expired` changes that make sense, where the model does not know them.
    fn without_expired(
        &mut self,
        mut set: ChangeSet,
        feed: &[ChangeSet],
        sweeps: Sweeps,
    ) -> Result<ChangeSet, String> {
        if sweeps == Sweeps::Known {
            return Ok(set);
        }
        let (revision, changes) = (set.revision, std::mem::take(&mut set.changes));
        for change in changes {
            if change.kind != ChangeKind::Expired {
                set.changes.push(change);
                continue;
            }
            let before = feed.iter().rev().filter(|set| set.revision < revision);
            let last = before
                .flat_map(|set| set.changes.iter().map(|change| (set.revision, change)))
                .find(|(_, before)| before.key == change.key && before.kind != ChangeKind::Expired);
            let written = last
                .filter(|(_, last)| last.kind == ChangeKind::Put)
                .map(|(revision, _)| revision);
            if !written.is_some_and(|written| self.expired.insert((change.key.clone(), written))) {
                return Err(format!(
                    "{} expired at {revision}, but nothing was there to expire",
                    change.key
                ));
            }
        }
        Ok(set)
    }
}

/// What of `feed` is newer than `after`, lies in `range` and is certain.
fn cut(feed: &[ChangeSet], after: Revision, range: &KeyRange, sweeps: Sweeps) -> Vec<ChangeSet> {
    let mut cut: Vec<ChangeSet> = feed.iter().filter(|set| set.revision > after).cloned().collect();
    for set in &mut cut {
        set.changes.retain(|change| {
            range.contains(&change.key) && (sweeps == Sweeps::Known || change.kind != ChangeKind::Expired)
        });
    }
    cut.retain(|set| !set.changes.is_empty());
    cut
}
