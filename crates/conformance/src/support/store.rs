//! An opened store, with short ways to say what cases say often.

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use stead_core::{
    Backend, BackendExt, Conflict, Entry, Error, Expect, Expiry, Item, KeyRange, Outcome, Read, ReadExt,
    Reply, Result, Revision, Scan, WatchSpec, Watcher, WriteBatch,
};

use crate::harness::{CaseResult, Failure};
use crate::support::{home, key};

/// An opened store. Clones are the same store.
#[derive(Clone)]
pub(crate) struct Store(Arc<dyn Backend>);

impl Deref for Store {
    type Target = dyn Backend;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl Store {
    pub(crate) fn new(backend: Arc<dyn Backend>) -> Self {
        Store(backend)
    }

    /// Writes a value to the home partition.
    pub(crate) fn write(&self, path: &str, value: impl Into<Bytes>) -> Reply<'_, Revision> {
        self.put(key(path), value)
    }

    pub(crate) fn write_with(
        &self,
        path: &str,
        value: impl Into<Bytes>,
        expiry: Expiry,
    ) -> Reply<'_, Revision> {
        self.put_with(key(path), value, expiry)
    }

    pub(crate) fn remove(&self, path: &str) -> Reply<'_, Revision> {
        self.delete(key(path))
    }

    /// Writes a value if the key is as expected.
    pub(crate) fn cas(&self, path: &str, expect: Expect, value: impl Into<Bytes>) -> Reply<'_, Outcome> {
        self.compare_and_set(key(path), expect, value)
    }

    /// Applies a batch that must commit.
    #[track_caller]
    pub(crate) fn commit(&self, batch: WriteBatch) -> impl Future<Output = CaseResult<Revision>> + Send {
        let failed = Failure::new("a batch that should commit was rejected");
        let reply = self.apply(batch);
        async move {
            match reply.await? {
                Outcome::Committed(revision) => Ok(revision),
                Outcome::Rejected(_) => Err(failed),
            }
        }
    }

    /// Applies a batch that must be rejected.
    #[track_caller]
    pub(crate) fn reject(&self, batch: WriteBatch) -> impl Future<Output = CaseResult<Conflict>> + Send {
        let failed = Failure::new("a batch that should be rejected was committed");
        let reply = self.apply(batch);
        async move { reply.await?.rejected().ok_or(failed) }
    }

    /// Applies a batch that must fail.
    #[track_caller]
    pub(crate) fn refuse(&self, batch: WriteBatch) -> impl Future<Output = CaseResult<Error>> + Send {
        let failed = Failure::new("a batch that should be refused was applied");
        let reply = self.apply(batch);
        async move { reply.await.err().ok_or(failed) }
    }

    /// Watches the home partition from now on.
    pub(crate) fn follow(&self) -> Result<Box<dyn Watcher>> {
        self.watch(&WatchSpec::new(home()))
    }

    /// Watches the home partition after `revision`.
    pub(crate) fn follow_after(&self, revision: Revision) -> Result<Box<dyn Watcher>> {
        self.watch(&WatchSpec::new(home()).after(revision))
    }
}

/// Short ways to read stores and snapshots. The answers are plain results, so that a failure tells the case's own line.
pub(crate) trait Reading: Read {
    /// The entry at a path of the home partition.
    fn entry(&self, path: &str) -> impl Future<Output = Result<Option<Entry>>> + Send {
        let key = key(path);
        async move { self.get(&key).await }
    }

    /// The value at a path of the home partition, as text.
    fn read(&self, path: &str) -> impl Future<Output = Result<Option<String>>> + Send {
        let key = key(path);
        async move { Ok(self.get(&key).await?.map(|entry| text(&entry))) }
    }

    /// The number at a path of the home partition, 0 where there is none, and what to expect when writing it anew.
    fn number(&self, path: &str) -> impl Future<Output = Result<(i64, Expect)>> + Send {
        let key = key(path);
        async move {
            let Some(entry) = self.get(&key).await? else {
                return Ok((0, Expect::Absent));
            };
            let number = text(&entry)
                .parse()
                .map_err(|_| Error::corrupt("a counter does not hold a number"))?;
            Ok((number, Expect::At(entry.revision())))
        }
    }

    /// The entry at a path of the home partition, which must be there.
    #[track_caller]
    fn present(&self, path: &str) -> impl Future<Output = CaseResult<Entry>> + Send {
        let missing = Failure::new(format!("nothing is visible at {path:?}"));
        let key = key(path);
        async move { self.get(&key).await?.ok_or(missing) }
    }

    /// The paths in `range` in the order of a scan.
    fn list(&self, range: KeyRange) -> impl Future<Output = Result<Vec<String>>> + Send {
        self.list_by(Scan::new(range).keys_only())
    }

    /// The paths that a scan gives.
    fn list_by(&self, scan: Scan) -> impl Future<Output = Result<Vec<String>>> + Send {
        async move { Ok(self.collect(&scan).await?.iter().map(path_of).collect()) }
    }
}

impl<T: Read + ?Sized> Reading for T {}

/// The value as text.
pub(crate) fn text(entry: &Entry) -> String {
    String::from_utf8_lossy(entry.value()).into_owned()
}

/// The item's path as text.
pub(crate) fn path_of(item: &Item) -> String {
    String::from_utf8_lossy(item.key.path()).into_owned()
}
