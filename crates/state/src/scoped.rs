//! The state of one scope.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use stead_codec::StateClass;
use stead_core::{Expiry, Key, Outcome, Reply, Result, Revision, WatchFrom};

use crate::entry::{StateBytes, StateEntry};
use crate::inner::Inner;
use crate::modify::Changed;
use crate::options::{ChangeOptions, ListOptions, SetIf, SetOptions, UpdateOptions};
use crate::place::Place;
use crate::read::keyed;
use crate::transfer::Transfer;
use crate::watch::StateWatch;
use crate::{Pattern, StateScope};

/// The state of one scope: the operations of a [`StateManager`](crate::StateManager) without the scope, which is
/// checked and encoded once.
///
/// Keys are text of 1 to 1,023 bytes without NUL; in the scope of a step, its id takes from that.
///
/// # Cancellation
///
/// Dropping what a method gave stops waiting. A write that was handed to the store is not taken back, and is never half
/// there; with an ephemeral store, a write is handed over when its reply is first polled.
#[derive(Clone)]
pub struct ScopedState {
    inner: Arc<Inner>,
    scope: StateScope,
    place: Place,
}

impl ScopedState {
    pub(crate) fn new(inner: Arc<Inner>, scope: StateScope) -> Result<Self> {
        let place = Place::of(&scope)?;
        Ok(ScopedState { inner, scope, place })
    }

    /// The scope.
    #[must_use]
    pub fn scope(&self) -> &StateScope {
        &self.scope
    }

    /// Goes on with the key of the store for `key`, if that can be one. It is finished where it is used: see
    /// [`KeyPrefix::as_key`](stead_core::KeyPrefix::as_key).
    #[inline]
    fn read<'a, T>(&'a self, key: &str, next: impl FnOnce(&Key) -> Reply<'a, T>) -> Reply<'a, T> {
        let mut stored = self.place.stem();
        match self.place.complete(&mut stored, key) {
            Ok(()) => next(&stored),
            Err(error) => Reply::fail(error),
        }
    }

    /// The value under `key`.
    ///
    /// # Errors
    ///
    /// - `Invalid` for a key that cannot be one;
    /// - `Corrupt` for damaged bytes, and for an entry that no state manager wrote;
    /// - `Serialization` for raw bytes and for typed records that only their type can read;
    /// - as [`Read::get`](stead_core::Read::get).
    pub fn get(&self, key: &str) -> Reply<'_, Option<Value>> {
        self.read(key, |key| self.inner.get(key))
    }

    /// The value under `key` as a `T`.
    ///
    /// # Errors
    ///
    /// As [`get`](ScopedState::get); `Serialization` when the value is no `T`.
    pub fn get_as<T: DeserializeOwned + Send + 'static>(&self, key: &str) -> Reply<'_, Option<T>> {
        self.read(key, |key| self.inner.get_as(key))
    }

    /// The raw bytes under `key`, which share the memory of the stored entry.
    ///
    /// # Errors
    ///
    /// As [`get`](ScopedState::get); `Serialization` when the value is not raw bytes.
    #[inline]
    pub fn get_bytes(&self, key: &str) -> Reply<'_, Option<StateBytes>> {
        self.read(key, |key| self.inner.get_bytes(key))
    }

    /// The value under `key` with its revision, its deadline and its class.
    ///
    /// # Errors
    ///
    /// As [`get`](ScopedState::get).
    pub fn get_entry(&self, key: &str) -> Reply<'_, Option<StateEntry>> {
        self.read(key, |stored| self.inner.get_entry(stored, key))
    }

    /// Whether there is a value under `key`.
    ///
    /// # Errors
    ///
    /// As [`Read::get`](stead_core::Read::get).
    pub fn exists(&self, key: &str) -> Reply<'_, bool> {
        self.read(key, |key| self.inner.exists(key))
    }

    /// The values under `keys`, in their order and of one instant.
    ///
    /// # Errors
    ///
    /// As [`get`](ScopedState::get); one failure fails the call.
    pub async fn get_many<K: AsRef<str>>(&self, keys: &[K]) -> Result<Vec<Option<Value>>> {
        let keys = keys.iter().map(|key| self.place.key(key.as_ref()));
        self.inner.get_many(keys.collect::<Result<_>>()?).await
    }

    /// Every key in byte order. Holds all of them in memory: page with
    /// [`list_keys_with`](ScopedState::list_keys_with) where they may be many.
    ///
    /// # Errors
    ///
    /// As [`Read::scan`](stead_core::Read::scan).
    pub fn list_keys(&self) -> Reply<'_, Vec<String>> {
        self.list_keys_with(&ListOptions::default())
    }

    /// The keys that `options` ask for. Costs O(log n + listed).
    ///
    /// # Errors
    ///
    /// As [`list_keys`](ScopedState::list_keys); `Invalid` for a prefix or a key to begin after that cannot be one.
    pub fn list_keys_with(&self, options: &ListOptions) -> Reply<'_, Vec<String>> {
        self.inner.keys(&self.place, options)
    }

    /// The keys and values that `options` ask for.
    ///
    /// # Errors
    ///
    /// As [`list_keys_with`](ScopedState::list_keys_with).
    pub fn list(&self, options: &ListOptions) -> Reply<'_, Vec<StateEntry>> {
        self.inner.list(&self.place, options)
    }

    /// How many keys there are. Costs a scan of them.
    ///
    /// # Errors
    ///
    /// As [`list_keys`](ScopedState::list_keys).
    pub async fn count(&self) -> Result<u64> {
        self.inner.count(self.place.range("")?).await
    }

    /// Writes `value`, in the class and codec that the manager gives by default. An older deadline is removed.
    ///
    /// # Errors
    ///
    /// - `Invalid`, naming the argument and the limit: a key that cannot be one, a value too large or too deep;
    /// - `Serialization` for a value that the codec cannot hold;
    /// - `Unsupported` for a class that this manager has no place for;
    /// - as [`Backend::apply`](stead_core::Backend::apply).
    #[inline]
    pub fn set<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Reply<'_, Revision> {
        committed(self.set_with(key, value, &SetOptions::default()))
    }

    /// Writes `value` as `options` say; rejected when their condition does not hold.
    ///
    /// # Errors
    ///
    /// As [`set`](ScopedState::set).
    #[inline]
    pub fn set_with<T: Serialize + ?Sized>(
        &self,
        key: &str,
        value: &T,
        options: &SetOptions,
    ) -> Reply<'_, Outcome> {
        keyed(self.place.put(key), |put| self.inner.set(put, value, options))
    }

    /// Writes raw bytes.
    ///
    /// # Errors
    ///
    /// As [`set`](ScopedState::set).
    #[inline]
    pub fn set_bytes(&self, key: &str, bytes: &[u8]) -> Reply<'_, Revision> {
        committed(self.set_bytes_with(key, bytes, &SetOptions::default()))
    }

    /// Writes raw bytes as `options` say; rejected when their condition does not hold.
    ///
    /// # Errors
    ///
    /// As [`set`](ScopedState::set).
    #[inline]
    pub fn set_bytes_with(&self, key: &str, bytes: &[u8], options: &SetOptions) -> Reply<'_, Outcome> {
        keyed(self.place.put(key), |put| {
            self.inner.set_bytes(put, bytes, options)
        })
    }

    /// Writes `value` for as long as `ttl`.
    ///
    /// # Errors
    ///
    /// As [`set`](ScopedState::set); `Invalid` for a time of zero, or beyond the end of time.
    pub fn set_with_ttl<T: Serialize + ?Sized>(
        &self,
        key: &str,
        value: &T,
        ttl: Duration,
    ) -> Reply<'_, Revision> {
        match SetOptions::default().with_ttl(ttl) {
            Ok(options) => committed(self.set_with(key, value, &options)),
            Err(error) => Reply::fail(error.during("set")),
        }
    }

    /// Writes `value` in a class.
    ///
    /// # Errors
    ///
    /// As [`set`](ScopedState::set).
    pub fn set_with_class<T: Serialize + ?Sized>(
        &self,
        key: &str,
        value: &T,
        class: StateClass,
    ) -> Reply<'_, Revision> {
        committed(self.set_with(key, value, &SetOptions::default().with_class(class)))
    }

    /// Writes `value` if there is none under `key`.
    ///
    /// # Errors
    ///
    /// As [`set`](ScopedState::set).
    pub fn set_if_absent<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Reply<'_, Outcome> {
        self.set_with(key, value, &SetOptions::default().with_condition(SetIf::Absent))
    }

    /// Writes `value` if the one under `key` still has this revision.
    ///
    /// # Errors
    ///
    /// As [`set`](ScopedState::set).
    pub fn compare_and_set<T: Serialize + ?Sized>(
        &self,
        key: &str,
        revision: Revision,
        value: &T,
    ) -> Reply<'_, Outcome> {
        let condition = SetIf::Revision(revision);
        self.set_with(key, value, &SetOptions::default().with_condition(condition))
    }

    /// Writes several values together, at one revision.
    ///
    /// # Errors
    ///
    /// As [`set`](ScopedState::set); nothing is written then. `Unsupported` where the default class is ephemeral.
    pub fn set_many<K: AsRef<str>, V: Serialize>(
        &self,
        values: impl IntoIterator<Item = (K, V)>,
    ) -> Reply<'_, Revision> {
        self.inner.set_many(&self.place, values)
    }

    /// Removes the value under `key`; says whether there was one.
    ///
    /// # Errors
    ///
    /// As [`Backend::apply`](stead_core::Backend::apply).
    pub fn delete(&self, key: &str) -> Reply<'_, bool> {
        self.delete_with(key, &ChangeOptions::default())
            .map(|outcome| outcome.is_committed())
    }

    /// Removes the value under `key` as `options` say; rejected when it is not there or not the one.
    ///
    /// # Errors
    ///
    /// As [`Backend::apply`](stead_core::Backend::apply).
    pub fn delete_with(&self, key: &str, options: &ChangeOptions) -> Reply<'_, Outcome> {
        keyed(self.place.key(key), |key| self.inner.delete(key, options))
    }

    /// Gives the value under `key` another deadline and a new revision; says whether there is one.
    ///
    /// # Errors
    ///
    /// As [`Backend::apply`](stead_core::Backend::apply).
    pub fn touch(&self, key: &str, expiry: Expiry) -> Reply<'_, bool> {
        self.touch_with(key, expiry, &ChangeOptions::default())
            .map(|outcome| outcome.is_committed())
    }

    /// Gives the value under `key` another deadline as `options` say; rejected when it is not there or not the one.
    ///
    /// # Errors
    ///
    /// As [`Backend::apply`](stead_core::Backend::apply).
    pub fn touch_with(&self, key: &str, expiry: Expiry, options: &ChangeOptions) -> Reply<'_, Outcome> {
        keyed(self.place.key(key), |key| self.inner.touch(key, expiry, options))
    }

    /// Removes every value of this scope; not those of the steps of a workflow. In batches: what is written meanwhile
    /// may stay. Returns how many there were.
    ///
    /// # Errors
    ///
    /// As [`Backend::apply`](stead_core::Backend::apply); earlier batches stay removed.
    pub async fn clear(&self) -> Result<u64> {
        let cleared = self.inner.clear(self.place.range("")?).await;
        cleared.map_err(|error| error.during("clear_scope"))
    }

    /// Copies every value to the same key of `to`, as it is stored and with its deadline, in one batch. Returns how many
    /// there were.
    ///
    /// # Errors
    ///
    /// `Invalid` when the values do not fit into one batch, with their number and the limit; `Unsupported` when the
    /// backend cannot commit to both scopes together; `Conflict` when others keep changing this scope.
    pub async fn copy_to(&self, to: &ScopedState) -> Result<u64> {
        let copied = self.inner.transfer(&self.place, &to.place, Transfer::Copy).await;
        copied.map_err(|error| error.during("copy_scope"))
    }

    /// Moves every value to the same key of `to`, as [`copy_to`](ScopedState::copy_to) copies them.
    ///
    /// # Errors
    ///
    /// As [`copy_to`](ScopedState::copy_to).
    pub async fn move_to(&self, to: &ScopedState) -> Result<u64> {
        let moved = self.inner.transfer(&self.place, &to.place, Transfer::Move).await;
        moved.map_err(|error| error.during("move_scope"))
    }

    /// Adds `delta` to the whole number under `key`, which begins at zero, and returns the sum. Its deadline, class and
    /// codec stay as they are.
    ///
    /// Exact under any number of tasks and processes.
    ///
    /// # Errors
    ///
    /// - `Invalid` when the sum leaves the range of `i64`; the value stays as it was;
    /// - `Serialization` when the value is no whole number;
    /// - as [`set`](ScopedState::set).
    pub async fn increment(&self, key: &str, delta: i64) -> Result<i64> {
        let options = UpdateOptions::default();
        Ok(self.increment_with(key, delta, &options).await?.value)
    }

    /// As [`increment`](ScopedState::increment), as `options` say.
    ///
    /// # Errors
    ///
    /// As [`increment`](ScopedState::increment).
    pub async fn increment_with(
        &self,
        key: &str,
        delta: i64,
        options: &UpdateOptions,
    ) -> Result<Changed<i64>> {
        self.inner.increment(self.place.key(key)?, delta, options).await
    }

    /// Changes the value under `key` by what it is: the closure gets it and gives the next one, or `None` to remove it.
    /// Returns what the value is now. Its deadline, class and codec stay as they are.
    ///
    /// Nothing comes in between. When others do, from another process, the closure runs again: it should do nothing but
    /// compute.
    ///
    /// # Errors
    ///
    /// What the closure fails with, and nothing is written then; as [`set`](ScopedState::set).
    pub async fn update<F>(&self, key: &str, change: F) -> Result<Option<Value>>
    where
        F: FnMut(Option<Value>) -> Result<Option<Value>>,
    {
        self.update_as(key, change).await
    }

    /// As [`update`](ScopedState::update), for a typed value.
    ///
    /// # Errors
    ///
    /// As [`update`](ScopedState::update).
    pub async fn update_as<T, F>(&self, key: &str, change: F) -> Result<Option<T>>
    where
        T: Serialize + DeserializeOwned,
        F: FnMut(Option<T>) -> Result<Option<T>>,
    {
        let options = UpdateOptions::default();
        Ok(self.update_with(key, &options, change).await?.value)
    }

    /// As [`update_as`](ScopedState::update_as), as `options` say.
    ///
    /// # Errors
    ///
    /// As [`update`](ScopedState::update).
    pub async fn update_with<T, F>(
        &self,
        key: &str,
        options: &UpdateOptions,
        change: F,
    ) -> Result<Changed<Option<T>>>
    where
        T: Serialize + DeserializeOwned,
        F: FnMut(Option<T>) -> Result<Option<T>>,
    {
        self.inner.update(self.place.key(key)?, options, change).await
    }

    /// Applies a JSON Patch (RFC 6902) to the value under `key`: all of it or nothing. Returns the value now, or `None`
    /// where there is none to patch.
    ///
    /// # Errors
    ///
    /// `Invalid` when the patch is none or does not apply, naming the operation; the value stays as it was. As
    /// [`set`](ScopedState::set).
    pub async fn patch(&self, key: &str, patch: &Value) -> Result<Option<Value>> {
        let options = UpdateOptions::default();
        let changed = self.patch_with(key, patch, &options).await?;
        Ok(changed.map(|changed| changed.value))
    }

    /// As [`patch`](ScopedState::patch), as `options` say.
    ///
    /// # Errors
    ///
    /// As [`patch`](ScopedState::patch).
    pub async fn patch_with(
        &self,
        key: &str,
        patch: &Value,
        options: &UpdateOptions,
    ) -> Result<Option<Changed<Value>>> {
        self.inner.patch(self.place.key(key)?, patch, options).await
    }

    /// The value under `key`, or what `compute` gives, which is then stored as `options` say, unless somebody else has
    /// stored one meanwhile: then that one.
    ///
    /// Those of this process who ask for the same key at the same time share one computation. If it fails, so do those
    /// who waited for it, and the next one to ask computes anew: a failure is not stored. `compute` must not ask for
    /// its own key.
    ///
    /// # Errors
    ///
    /// What the computation fails with; as [`get_as`](ScopedState::get_as) and [`set`](ScopedState::set).
    ///
    /// # Cancellation
    ///
    /// When the one who computes is dropped, the next of those who wait computes.
    pub async fn get_or_compute<T, F, Fut>(&self, key: &str, options: &SetOptions, compute: F) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        self.inner
            .get_or_compute(self.place.key(key)?, options, compute)
            .await
    }

    /// Follows the changes of keys that match `pattern`.
    ///
    /// # Errors
    ///
    /// As [`Backend::watch`](stead_core::Backend::watch).
    pub fn watch(&self, pattern: &Pattern, from: WatchFrom) -> Result<StateWatch> {
        self.inner.watch(&self.place, pattern, from)
    }
}

impl fmt::Debug for ScopedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedState").field("scope", &self.scope).finish()
    }
}

/// The revision of a write that nothing could reject.
#[inline]
pub(crate) fn committed(reply: Reply<'_, Outcome>) -> Reply<'_, Revision> {
    match reply.try_take() {
        Ok(Ok(Outcome::Committed(revision))) => Reply::ready(revision),
        Ok(result) => Reply::from(result.and_then(Outcome::committed)),
        Err(pending) => pending.map_result(|outcome| outcome?.committed()),
    }
}
