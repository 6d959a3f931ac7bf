//! Reading the change log through watches.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use stead_core::{Backend, ChangeSet, KeyRange, Revision, WatchEvent, WatchSpec, Watcher};

use super::failure::{Failure, FailureKind, unusable};
use super::write::partition;

/// What a watch had to tell.
pub(super) enum Fed {
    /// All change sets after the beginning and up to the end.
    Sets(Vec<ChangeSet>),
    /// The log no longer reaches back.
    Compacted { oldest: Revision },
}

/// Watches from after `after` until everything up to `end` was delivered.
pub(super) async fn feed(store: &dyn Backend, after: Revision, end: Revision) -> Result<Fed, Failure> {
    let spec = WatchSpec::new(KeyRange::partition(&partition())).after(after);
    let mut watcher = store
        .watch(&spec)
        .map_err(unusable(&format!("watching after {after}")))?;
    let mut sets: Vec<ChangeSet> = Vec::new();
    loop {
        let Some(event) = next(&mut *watcher, end).await? else {
            return Ok(Fed::Sets(sets));
        };
        match event {
            WatchEvent::Changes(set) if set.revision > end => return Ok(Fed::Sets(sets)),
            WatchEvent::Changes(set) => {
                let last = sets.last().map_or(after, |set| set.revision);
                if set.revision <= last {
                    return Err(Failure::new(
                        FailureKind::Watch,
                        format!(
                            "a watch after {after} gave revision {} behind {last}",
                            set.revision
                        ),
                    ));
                }
                let done = set.revision == end;
                sets.push(set);
                if done {
                    return Ok(Fed::Sets(sets));
                }
            }
            WatchEvent::Compacted { oldest } | WatchEvent::Lagged { oldest } => {
                return Ok(Fed::Compacted { oldest });
            }
        }
    }
}

/// The next event, or `None` once everything up to `end` was delivered. A store that skips a change set says that it is
/// beyond it, so nobody waits for what does not come.
async fn next(watcher: &mut dyn Watcher, end: Revision) -> Result<Option<WatchEvent>, Failure> {
    let polled = {
        let mut reply = pin!(watcher.next());
        reply.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    };
    match polled {
        Poll::Ready(event) => event.map(Some).map_err(unusable("watching")),
        Poll::Pending if watcher.position() >= end => Ok(None),
        Poll::Pending => watcher.next().await.map(Some).map_err(unusable("watching")),
    }
}
