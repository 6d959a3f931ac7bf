//! What a case gets to work with.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use stead_core::{Capabilities, ChangeSet, ManualClock, Timestamp, WatchEvent, Watcher, WriteBatch};

use crate::harness::{CaseResult, Failure, OpenOptions, Place, Stands, Subject};
use crate::support::{Reading, Store, key, nth};

/// When every case begins: 2026-11-01T00:00:00Z.
const BEGINNING: Timestamp = Timestamp::from_millis(1_793_491_200_000);

/// A subject, an empty place and a clock that only the case moves.
pub(crate) struct Context {
    subject: Arc<dyn Subject>,
    place: Place,
    clock: Arc<ManualClock>,
}

impl Context {
    pub(crate) fn new(subject: Arc<dyn Subject>, case: &str) -> std::io::Result<Self> {
        Ok(Context {
            place: Place::new(case)?,
            subject,
            clock: Arc::new(ManualClock::at(BEGINNING)),
        })
    }

    pub(crate) fn clock(&self) -> &Arc<ManualClock> {
        &self.clock
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn claimed(&self) -> Capabilities {
        self.subject.capabilities()
    }

    pub(crate) fn patience(&self) -> Duration {
        self.subject.patience()
    }

    pub(crate) fn offers_limits(&self) -> bool {
        self.subject.offers().limits
    }

    /// Stores for an oracle.
    pub(crate) fn stands(&self) -> Stands {
        Stands::new(Arc::clone(&self.subject), tokio::runtime::Handle::current())
    }

    /// Default options with the case's clock.
    pub(crate) fn options(&self) -> OpenOptions {
        OpenOptions {
            clock: Arc::clone(&self.clock) as Arc<_>,
            ..OpenOptions::default()
        }
    }

    pub(crate) async fn open(&self) -> CaseResult<Store> {
        self.open_with(&self.options()).await
    }

    /// With a change log of 64 sets.
    pub(crate) async fn open_with_short_log(&self) -> CaseResult<Store> {
        let mut options = self.options();
        options.change_retention = 64;
        self.open_with(&options).await
    }

    pub(crate) async fn open_with(&self, options: &OpenOptions) -> CaseResult<Store> {
        Ok(Store::new(self.subject.open(&self.place, options).await?))
    }

    /// A store with so many keys, each of which holds its number.
    pub(crate) async fn filled(&self, keys: usize) -> CaseResult<Store> {
        let store = self.open().await?;
        for start in (0..keys).step_by(1_000) {
            let numbers = start..keys.min(start + 1_000);
            let batch = numbers.fold(WriteBatch::new(), |batch, number| {
                batch.put(key(nth(number)), number.to_string())
            });
            store.commit(batch).await?;
        }
        Ok(store)
    }

    /// Closes `store` and opens the same place again.
    pub(crate) async fn reopen(&self, store: Store) -> CaseResult<Store> {
        self.reopen_with(store, &self.options()).await
    }

    pub(crate) async fn reopen_with(&self, store: Store, options: &OpenOptions) -> CaseResult<Store> {
        store.close().await?;
        drop(store);
        self.open_with(options).await
    }

    /// The next event of `watcher`, which must come without more ado.
    #[track_caller]
    pub(crate) fn next(
        &self,
        watcher: &mut dyn Watcher,
    ) -> impl Future<Output = CaseResult<WatchEvent>> + Send {
        let at = Location::caller();
        async move {
            match tokio::time::timeout(self.subject.patience(), watcher.next()).await {
                Ok(event) => event.map_err(|error| Failure::at(at, format!("watch failed: {error}"))),
                Err(_) => Err(Failure::at(at, "no watch event came where one was due")),
            }
        }
    }

    /// The next change set of `watcher`, which must come without more ado.
    #[track_caller]
    pub(crate) fn next_set(
        &self,
        watcher: &mut dyn Watcher,
    ) -> impl Future<Output = CaseResult<ChangeSet>> + Send {
        let at = Location::caller();
        let next = self.next(watcher);
        async move {
            match next.await? {
                WatchEvent::Changes(set) => Ok(set),
                other => Err(Failure::at(
                    at,
                    format!("changes were due, but the watch says {other:?}"),
                )),
            }
        }
    }

    /// Fails if `watcher` has something to tell.
    #[track_caller]
    pub(crate) fn silent(&self, watcher: &mut dyn Watcher) -> impl Future<Output = CaseResult> + Send {
        let at = Location::caller();
        async move {
            match tokio::time::timeout(Duration::from_millis(40), watcher.next()).await {
                Err(_) => Ok(()),
                Ok(event) => Err(Failure::at(
                    at,
                    format!("a watch event came where none was due: {event:?}"),
                )),
            }
        }
    }

    /// Asks again and again until the answer is yes.
    #[track_caller]
    pub(crate) fn eventually<F, Fut>(&self, what: &str, mut ask: F) -> impl Future<Output = CaseResult> + Send
    where
        F: FnMut() -> Fut + Send,
        Fut: Future<Output = CaseResult<bool>> + Send,
    {
        let at = Location::caller();
        async move {
            let step = Duration::from_millis(2);
            let mut left = self.subject.patience();
            while !ask().await? {
                if left.is_zero() {
                    return Err(Failure::at(at, format!("it never happened that {what}")));
                }
                left = left.saturating_sub(step);
                tokio::time::sleep(step).await;
            }
            Ok(())
        }
    }

    /// Waits until the store holds just `entries`, those past their deadline included.
    #[track_caller]
    pub(crate) fn swept(&self, store: &Store, entries: u64) -> impl Future<Output = CaseResult> + Send {
        self.eventually("entries past their deadline were swept", move || async move {
            // Some stores sweep on access.
            store.read("no such key").await?;
            Ok(store.stats().await?.entries <= entries)
        })
    }

    /// Waits until the store has counted that many entries which were removed for their deadline: what a server did can be
    /// seen before whoever asked it has its answer and counts.
    #[track_caller]
    pub(crate) fn expired(&self, store: &Store, entries: u64) -> impl Future<Output = CaseResult> + Send {
        self.eventually(
            "what was removed for its deadline is counted",
            move || async move { Ok(store.stats().await?.expired >= entries) },
        )
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        self.subject.remove(&self.place);
    }
}
