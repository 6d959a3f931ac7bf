//! Locks of keys, so that those of one process who change the same key queue up instead of racing each other.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use stead_core::Key;
use tokio::sync::{Mutex, MutexGuard};

/// More than writers that wait for their fsync at a time, so that two different keys seldom share a lock.
const STRIPES: usize = 256;

/// One lock for many keys each. Never held while code of the caller is awaited.
///
/// They only spare work: the store's preconditions decide, across processes too.
pub(crate) struct Stripes(Box<[Mutex<()>]>);

impl Stripes {
    pub(crate) fn new() -> Self {
        Stripes((0..STRIPES).map(|_| Mutex::new(())).collect())
    }

    pub(crate) async fn lock(&self, key: &Key) -> MutexGuard<'_, ()> {
        self.0[stripe(key)].lock().await
    }

    /// Locks several keys, always in the same order, so that two who do this never wait for each other.
    pub(crate) async fn lock_many<'k>(&self, keys: impl Iterator<Item = &'k Key>) -> Vec<MutexGuard<'_, ()>> {
        let mut stripes: Vec<usize> = keys.map(stripe).collect();
        stripes.sort_unstable();
        stripes.dedup();
        let mut guards = Vec::with_capacity(stripes.len());
        for stripe in stripes {
            guards.push(self.0[stripe].lock().await);
        }
        guards
    }

    /// Locks every key.
    pub(crate) async fn lock_all(&self) -> Vec<MutexGuard<'_, ()>> {
        let mut guards = Vec::with_capacity(self.0.len());
        for stripe in &self.0 {
            guards.push(stripe.lock().await);
        }
        guards
    }
}

fn stripe(key: &Key) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
    usize::try_from(hash % STRIPES as u64).unwrap_or_default()
}
