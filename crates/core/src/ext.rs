//! Conveniences for those who call a store. Nobody implements these traits: they are there for every store.

use bytes::Bytes;

use crate::{
    Backend, Durability, Expect, Expiry, Item, Key, KeyRange, Outcome, Partition, Read, Reply, Revision,
    Scan, WriteBatch,
};

/// Conveniences for reading a store or a snapshot.
pub trait ReadExt: Read {
    /// Whether there is a visible entry under `key`.
    ///
    /// # Errors
    ///
    /// As [`Read::get`].
    fn exists<'a>(&'a self, key: &'a Key) -> Reply<'a, bool> {
        self.get(key).map(|entry| entry.is_some())
    }

    /// Everything that `scan` reads, at once. Give it a limit, or a range of known size.
    ///
    /// # Errors
    ///
    /// As [`Read::scan`].
    fn collect<'a>(&'a self, scan: &Scan) -> Reply<'a, Vec<Item>> {
        let mut cursor = match self.scan(scan) {
            Ok(cursor) => cursor,
            Err(error) => return Reply::fail(error),
        };
        // What is in memory or cached is answered without a future.
        let mut items = Vec::new();
        loop {
            match cursor.next_page().try_take() {
                Ok(Ok(page)) if page.is_empty() => return Reply::ready(items),
                Ok(Ok(page)) if items.is_empty() => items = page,
                Ok(Ok(page)) => items.extend(page),
                Ok(Err(error)) => return Reply::fail(error),
                Err(_pending) => break,
            }
        }
        // The dropped page is read again by the next call.
        Reply::pending(async move {
            loop {
                let page = cursor.next_page().await?;
                if page.is_empty() {
                    return Ok(items);
                }
                items.extend(page);
            }
        })
    }

    /// The number of visible entries in `range`. Costs a scan of their keys.
    ///
    /// # Errors
    ///
    /// As [`Read::scan`].
    fn count<'a>(&'a self, range: &KeyRange) -> Reply<'a, u64> {
        let scan = Scan::new(range.clone()).keys_only().page_size(4096);
        let mut cursor = match self.scan(&scan) {
            Ok(cursor) => cursor,
            Err(error) => return Reply::fail(error),
        };
        Reply::pending(async move {
            let mut entries = 0;
            loop {
                let page = cursor.next_page().await?;
                if page.is_empty() {
                    return Ok(entries);
                }
                entries += page.len() as u64;
            }
        })
    }
}

impl<T: Read + ?Sized> ReadExt for T {}

/// Conveniences for writing to a store.
pub trait BackendExt: Backend {
    /// Writes `value` without a deadline.
    ///
    /// # Errors
    ///
    /// As [`Backend::apply`].
    fn put(&self, key: Key, value: impl Into<Bytes>) -> Reply<'_, Revision> {
        self.put_with(key, value, Expiry::Never)
    }

    /// Writes `value`.
    ///
    /// # Errors
    ///
    /// As [`Backend::apply`].
    fn put_with(&self, key: Key, value: impl Into<Bytes>, expiry: Expiry) -> Reply<'_, Revision> {
        self.apply(WriteBatch::new().put_with(key, value, expiry))
            .map_result(|outcome| outcome?.committed())
    }

    /// Removes the entry under `key`, if there is one.
    ///
    /// # Errors
    ///
    /// As [`Backend::apply`].
    fn delete(&self, key: Key) -> Reply<'_, Revision> {
        self.apply(WriteBatch::new().delete(key))
            .map_result(|outcome| outcome?.committed())
    }

    /// Writes `value` if the key is as expected.
    ///
    /// # Errors
    ///
    /// As [`Backend::apply`].
    fn compare_and_set(&self, key: Key, expect: Expect, value: impl Into<Bytes>) -> Reply<'_, Outcome> {
        self.apply(WriteBatch::new().expect(key.clone(), expect).put(key, value))
    }

    /// Removes the entry under `key` if it still has this revision.
    ///
    /// # Errors
    ///
    /// As [`Backend::apply`].
    fn compare_and_delete(&self, key: Key, revision: Revision) -> Reply<'_, Outcome> {
        self.apply(
            WriteBatch::new()
                .expect(key.clone(), Expect::At(revision))
                .delete(key),
        )
    }

    /// Gives the entry under `key` another deadline; rejected when there is none.
    ///
    /// # Errors
    ///
    /// As [`Backend::apply`].
    fn touch(&self, key: Key, expiry: Expiry) -> Reply<'_, Outcome> {
        self.apply(
            WriteBatch::new()
                .expect(key.clone(), Expect::Present)
                .touch(key, expiry),
        )
    }

    /// Removes what is in `range`, in batches; what is written meanwhile may stay. Returns how many entries went.
    ///
    /// # Errors
    ///
    /// As [`Backend::apply`]; earlier batches stay removed.
    fn clear<'a>(&'a self, range: &KeyRange) -> Reply<'a, u64> {
        self.clear_with(range, None)
    }

    /// As [`clear`](BackendExt::clear), in batches of this durability; of the store's own where it is `None`.
    ///
    /// # Errors
    ///
    /// As [`clear`](BackendExt::clear).
    fn clear_with<'a>(&'a self, range: &KeyRange, durability: Option<Durability>) -> Reply<'a, u64> {
        let mut rest = range.clone();
        Reply::pending(async move {
            let mut removed = 0;
            let batch = self.capabilities().limits.batch_operations.clamp(1, CLEAR_BATCH);
            loop {
                let scan = Scan::new(rest.clone()).keys_only().limit(batch).page_size(batch);
                let items = self.collect(&scan).await?;
                let Some(last) = items.last() else {
                    return Ok(removed);
                };
                rest = rest.after(&last.key);
                removed += items.len() as u64;
                for mut batch in by_reach(self.capabilities().atomicity, items) {
                    if let Some(durability) = durability {
                        batch = batch.durability(durability);
                    }
                    self.apply(batch).await?.committed()?;
                }
            }
        })
    }
}

impl<T: Backend + ?Sized> BackendExt for T {}

/// The most deletes of one batch; fewer where the store's limit is lower.
const CLEAR_BATCH: usize = 1024;

/// Deletes of `items` in as few batches as the backend's atomicity allows.
fn by_reach(atomicity: crate::Extent, items: Vec<Item>) -> Vec<WriteBatch> {
    let mut batches: Vec<WriteBatch> = Vec::new();
    let mut last: Option<Partition> = None;
    for item in items {
        let partition = item.key.partition();
        let same = atomicity == crate::Extent::Store || last.as_ref() == Some(&partition);
        match batches.last_mut() {
            Some(batch) if same => *batch = std::mem::take(batch).delete(item.key),
            _ => batches.push(WriteBatch::new().delete(item.key)),
        }
        last = Some(partition);
    }
    batches
}
