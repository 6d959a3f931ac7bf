//! What is measured of each side, and the side of Stead.

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use stead_core::{Backend, BackendExt, Key, WriteBatch};

/// One way to the server. Failures panic: a benchmark of a server that fails means nothing.
pub(super) trait Side: Send + Sync + 'static {
    /// Reads one value and gives its length. `task` tells the callers apart that work at the same time.
    fn get(&self, task: usize, key: &Key) -> impl Future<Output = usize> + Send;

    /// Reads many values of one partition, and gives how many there are.
    fn get_many(&self, keys: &[Key]) -> impl Future<Output = usize> + Send;

    /// Writes one value.
    fn put(&self, task: usize, key: &Key, value: &Bytes) -> impl Future<Output = ()> + Send;

    /// Writes many values of one partition at once.
    fn put_many(&self, keys: &[Key], values: &[Bytes]) -> impl Future<Output = ()> + Send;
}

/// The calls that a user of Stead makes.
#[derive(Clone)]
pub(super) struct Stead(pub(super) Arc<dyn Backend>);

impl Side for Stead {
    async fn get(&self, _task: usize, key: &Key) -> usize {
        let entry = self.0.get(key).await.expect("it reads");
        black_box(entry).expect("it is there").value().len()
    }

    async fn get_many(&self, keys: &[Key]) -> usize {
        let entries = self.0.get_many(keys).await.expect("it reads");
        black_box(entries).iter().flatten().count()
    }

    async fn put(&self, _task: usize, key: &Key, value: &Bytes) {
        self.0.put(key.clone(), value.clone()).await.expect("it writes");
    }

    async fn put_many(&self, keys: &[Key], values: &[Bytes]) {
        let batch = keys
            .iter()
            .zip(values)
            .fold(WriteBatch::new(), |batch, (key, value)| {
                batch.put(key.clone(), value.clone())
            });
        let outcome = self.0.apply(batch).await.expect("it writes");
        assert!(outcome.is_committed(), "there is nothing to conflict with");
    }
}
