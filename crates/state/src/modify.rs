//! Changing a value by what it was.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use stead_codec::{Codec, StateClass};
use stead_core::{Entry, Expiry, Key, Outcome, Result, Revision, WriteBatch};

use crate::homes::Home;
use crate::inner::{Inner, dress, unchanged};
use crate::options::UpdateOptions;
use crate::patch::Patch;

/// What becomes of a value.
pub(crate) enum Step {
    Put(Bytes),
    Delete,
    Leave,
}

/// What a change came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed<T> {
    /// The value now.
    pub value: T,
    /// The revision of the change, or of the value that was left as it is; zero where there was none.
    pub revision: Revision,
}

/// Far beyond what others manage to change in between: those of this process wait in a queue.
const ATTEMPTS: u32 = 256;

impl Inner {
    /// Runs `step` on the current value until its result is what the next value is, with nothing in between.
    pub(crate) async fn modify<R>(
        &self,
        key: Key,
        options: &UpdateOptions,
        mut step: impl FnMut(Option<&Entry>) -> Result<(Step, R)>,
    ) -> Result<Changed<R>> {
        let _lock = self.stripes.lock(&key).await;
        let mut attempts = self.attempts(ATTEMPTS);
        loop {
            let found = self.locate(&key).await?;
            let home = found
                .as_ref()
                .map_or_else(|| Home::of(self.rules.class(options.class)), |(home, _)| *home);
            let entry = found.as_ref().map(|(_, entry)| entry);
            let (step, value) = step(entry)?;
            let batch = WriteBatch::new().expect(key.clone(), unchanged(entry));
            let batch = match step {
                Step::Leave => {
                    let revision = entry.map_or(Revision::ZERO, Entry::revision);
                    return Ok(Changed { value, revision });
                }
                Step::Delete => batch.delete(key.clone()),
                Step::Put(bytes) => {
                    let expiry = options.expiry.unwrap_or_else(|| self.kept_expiry(home, entry));
                    batch.put_with(key.clone(), bytes, expiry)
                }
            };
            let batch = dress(batch, options.durability.or(self.durability), None);
            if let Outcome::Committed(revision) = self.store_of(home).apply(batch).await? {
                return Ok(Changed { value, revision });
            }
            attempts.lost().await?;
        }
    }

    /// An ephemeral value that begins gets its time to live; any other keeps the deadline that it has.
    fn kept_expiry(&self, home: Home, entry: Option<&Entry>) -> Expiry {
        match (home, entry) {
            (Home::Ephemeral, None) => self.default_expiry(StateClass::Ephemeral),
            _ => Expiry::Keep,
        }
    }

    /// The class and the codec that the next value is written in: those of the one that is there.
    pub(crate) fn written_as(
        &self,
        entry: Option<&Entry>,
        options: &UpdateOptions,
    ) -> Result<(StateClass, Option<Codec>)> {
        let Some(entry) = entry else {
            return Ok((self.rules.class(options.class), options.codec));
        };
        let header = stead_codec::peek(entry.value())?;
        Ok((header.class(), Some(header.codec())))
    }

    pub(crate) async fn update<T, F>(
        &self,
        key: Key,
        options: &UpdateOptions,
        mut change: F,
    ) -> Result<Changed<Option<T>>>
    where
        T: Serialize + DeserializeOwned,
        F: FnMut(Option<T>) -> Result<Option<T>>,
    {
        let changed = self.modify(key, options, |entry| {
            let current = entry
                .map(|entry| stead_codec::decode(entry.value(), &self.rules.limits))
                .transpose()?;
            let existed = entry.is_some();
            match change(current)? {
                Some(next) => {
                    let (class, codec) = self.written_as(entry, options)?;
                    let bytes = self.rules.encode(&next, class, codec)?;
                    Ok((Step::Put(bytes), Some(next)))
                }
                None if existed => Ok((Step::Delete, None)),
                None => Ok((Step::Leave, None)),
            }
        });
        changed.await.map_err(|error| error.during("update"))
    }

    pub(crate) async fn increment(
        &self,
        key: Key,
        delta: i64,
        options: &UpdateOptions,
    ) -> Result<Changed<i64>> {
        let changed = self.modify(key, options, |entry| {
            let class = self.rules.class(options.class);
            let stored = entry.map(Entry::value);
            let (sum, bytes) = self.rules.increment(stored, delta, class, options.codec)?;
            Ok((Step::Put(bytes), sum))
        });
        changed.await.map_err(|error| error.during("increment"))
    }

    pub(crate) async fn patch(
        &self,
        key: Key,
        patch: &Value,
        options: &UpdateOptions,
    ) -> Result<Option<Changed<Value>>> {
        let limits = &self.rules.limits;
        let patch = Patch::new(patch).map_err(|error| error.during("patch"))?;
        let changed = self.modify(key, options, |entry| {
            let Some(entry) = entry else {
                return Ok((Step::Leave, None));
            };
            let mut value = stead_codec::decode_value(entry.value(), limits)?;
            patch.apply(&mut value, limits)?;
            let (class, codec) = self.written_as(Some(entry), options)?;
            let bytes = self.rules.encode(&value, class, codec)?;
            Ok((Step::Put(bytes), Some(value)))
        });
        let changed = changed.await.map_err(|error| error.during("patch"))?;
        let revision = changed.revision;
        Ok(changed.value.map(|value| Changed { value, revision }))
    }
}
