//! The state of all scopes.

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use stead_codec::StateClass;
use stead_core::{Backend, Expiry, KeyRange, Outcome, Reply, Result, Revision, WatchFrom};

use crate::builder::StateManagerBuilder;
use crate::classes::ClassRules;
use crate::entry::{StateBytes, StateEntry};
use crate::inner::Inner;
use crate::modify::Changed;
use crate::options::{ChangeOptions, ListOptions, SetIf, SetOptions, TransactionOptions, UpdateOptions};
use crate::place::{Place, encode_key};
use crate::read::keyed;
use crate::scoped::committed;
use crate::transfer::Transfer;
use crate::tx::{self, Committed, Tx};
use crate::watch::StateWatch;
use crate::{Pattern, ScopedState, StateScope};

/// Typed state in scopes over one store. Cheap to clone; all clones are the same manager.
///
/// Its operations are those of [`ScopedState`], which says what each of them does, with the scope in front. A scope may
/// be passed by value or by reference. Who works in one scope takes its handle from [`scope`](StateManager::scope).
#[derive(Clone)]
pub struct StateManager {
    inner: Arc<Inner>,
}

impl StateManager {
    /// A manager over `store` with the usual settings.
    #[must_use]
    pub fn new(store: Arc<dyn Backend>) -> Self {
        Self::builder(store).build()
    }

    /// Sets a manager over `store` up.
    pub fn builder(store: Arc<dyn Backend>) -> StateManagerBuilder {
        StateManagerBuilder::new(store)
    }

    pub(crate) fn from_inner(inner: Inner) -> Self {
        StateManager {
            inner: Arc::new(inner),
        }
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// What this manager makes of the classes of values: for batches that are put together by hand.
    #[must_use]
    pub fn rules(&self) -> &ClassRules {
        &self.inner.rules
    }

    /// The state of one scope.
    ///
    /// # Errors
    ///
    /// As [`StateScope::validate`].
    pub fn scope(&self, scope: impl Into<StateScope>) -> Result<ScopedState> {
        ScopedState::new(Arc::clone(&self.inner), scope.into())
    }

    /// The scopes that hold a value, in the order of the store, behind `after`, at most `limit` of them. One short scan
    /// each, whatever they hold.
    ///
    /// # Errors
    ///
    /// As [`Read::scan`](stead_core::Read::scan): `Unsupported` where the backend does not scan over partitions.
    pub async fn scopes(&self, after: Option<&StateScope>, limit: usize) -> Result<Vec<StateScope>> {
        let scopes = self.inner.scopes(after, limit).await;
        scopes.map_err(|error| error.during("scopes"))
    }

    /// Runs `body` as one serializable transaction: what it read and listed through its [`Tx`] is still so in the
    /// instant in which its writes commit, all of them together or none.
    ///
    /// When others were faster, it runs again, after a jittered wait that grows: it should do nothing but read, compute
    /// and write through its handle. An error from it ends the transaction and nothing is written.
    ///
    /// # Errors
    ///
    /// - what the closure fails with;
    /// - `Conflict` when others were faster 64 times in a row;
    /// - `Unsupported` for two partitions where the backend commits one at a time, and for ephemeral values;
    /// - as [`Backend::apply`].
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves nothing half done: the commit is one batch, which was handed over or was not.
    pub async fn transaction<T, F, Fut>(&self, body: F) -> Result<T>
    where
        F: FnMut(Tx) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let options = TransactionOptions::default();
        Ok(tx::run(self, &options, body).await?.value)
    }

    /// As [`transaction`](StateManager::transaction), as `options` say; also returns the revision of the commit.
    ///
    /// # Errors
    ///
    /// As [`transaction`](StateManager::transaction).
    pub async fn transaction_with<T, F, Fut>(
        &self,
        options: &TransactionOptions,
        body: F,
    ) -> Result<Committed<T>>
    where
        F: FnMut(Tx) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        tx::run(self, options, body).await
    }

    /// Follows the changes of keys that match `pattern`, in all scopes.
    ///
    /// # Errors
    ///
    /// As [`Backend::watch`]: `Unsupported` where the backend does not watch over partitions.
    pub fn watch_all(&self, pattern: &Pattern, from: WatchFrom) -> Result<StateWatch> {
        self.inner.watch_range(KeyRange::all(), pattern, from)
    }

    /// Copies every value of one scope to the same key of another. See [`ScopedState::copy_to`].
    ///
    /// # Errors
    ///
    /// As [`ScopedState::copy_to`].
    pub async fn copy_scope(
        &self,
        from: impl Borrow<StateScope>,
        to: impl Borrow<StateScope>,
    ) -> Result<u64> {
        let (from, to) = (Place::of(from.borrow())?, Place::of(to.borrow())?);
        let copied = self.inner.transfer(&from, &to, Transfer::Copy).await;
        copied.map_err(|error| error.during("copy_scope"))
    }

    /// Moves every value of one scope to the same key of another. See [`ScopedState::move_to`].
    ///
    /// # Errors
    ///
    /// As [`ScopedState::move_to`].
    pub async fn move_scope(
        &self,
        from: impl Borrow<StateScope>,
        to: impl Borrow<StateScope>,
    ) -> Result<u64> {
        let (from, to) = (Place::of(from.borrow())?, Place::of(to.borrow())?);
        let moved = self.inner.transfer(&from, &to, Transfer::Move).await;
        moved.map_err(|error| error.during("move_scope"))
    }

    /// Removes every value of a scope. See [`ScopedState::clear`].
    ///
    /// # Errors
    ///
    /// As [`ScopedState::clear`].
    pub async fn clear_scope(&self, scope: impl Borrow<StateScope>) -> Result<u64> {
        let range = Place::of(scope.borrow())?.range("")?;
        let cleared = self.inner.clear(range).await;
        cleared.map_err(|error| error.during("clear_scope"))
    }

    /// As [`ScopedState::get`].
    pub fn get(&self, scope: impl Borrow<StateScope>, key: &str) -> Reply<'_, Option<Value>> {
        keyed(encode_key(scope.borrow(), key), |key| self.inner.get(&key))
    }

    /// As [`ScopedState::get_as`].
    pub fn get_as<T: DeserializeOwned + Send + 'static>(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
    ) -> Reply<'_, Option<T>> {
        keyed(encode_key(scope.borrow(), key), |key| self.inner.get_as(&key))
    }

    /// As [`ScopedState::get_bytes`].
    pub fn get_bytes(&self, scope: impl Borrow<StateScope>, key: &str) -> Reply<'_, Option<StateBytes>> {
        keyed(encode_key(scope.borrow(), key), |key| self.inner.get_bytes(&key))
    }

    /// As [`ScopedState::get_entry`].
    pub fn get_entry(&self, scope: impl Borrow<StateScope>, key: &str) -> Reply<'_, Option<StateEntry>> {
        keyed(encode_key(scope.borrow(), key), |stored| {
            self.inner.get_entry(&stored, key)
        })
    }

    /// As [`ScopedState::exists`].
    pub fn exists(&self, scope: impl Borrow<StateScope>, key: &str) -> Reply<'_, bool> {
        keyed(encode_key(scope.borrow(), key), |key| self.inner.exists(&key))
    }

    /// As [`ScopedState::get_many`].
    pub async fn get_many<K: AsRef<str>>(
        &self,
        scope: impl Borrow<StateScope>,
        keys: &[K],
    ) -> Result<Vec<Option<Value>>> {
        let place = Place::of(scope.borrow())?;
        let keys = keys.iter().map(|key| place.key(key.as_ref()));
        self.inner.get_many(keys.collect::<Result<_>>()?).await
    }

    /// As [`ScopedState::list_keys`].
    pub fn list_keys(&self, scope: impl Borrow<StateScope>) -> Reply<'_, Vec<String>> {
        self.list_keys_with(scope, &ListOptions::default())
    }

    /// As [`ScopedState::list_keys_with`].
    pub fn list_keys_with(
        &self,
        scope: impl Borrow<StateScope>,
        options: &ListOptions,
    ) -> Reply<'_, Vec<String>> {
        match Place::of(scope.borrow()) {
            Ok(place) => self.inner.keys(&place, options),
            Err(error) => Reply::fail(error),
        }
    }

    /// As [`ScopedState::list`].
    pub fn list(&self, scope: impl Borrow<StateScope>, options: &ListOptions) -> Reply<'_, Vec<StateEntry>> {
        match Place::of(scope.borrow()) {
            Ok(place) => self.inner.list(&place, options),
            Err(error) => Reply::fail(error),
        }
    }

    /// As [`ScopedState::count`].
    pub async fn count(&self, scope: impl Borrow<StateScope>) -> Result<u64> {
        let range = Place::of(scope.borrow())?.range("")?;
        self.inner.count(range).await
    }

    /// As [`ScopedState::set`].
    pub fn set<T: Serialize + ?Sized>(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
        value: &T,
    ) -> Reply<'_, Revision> {
        committed(self.set_with(scope, key, value, &SetOptions::default()))
    }

    /// As [`ScopedState::set_with`].
    pub fn set_with<T: Serialize + ?Sized>(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
        value: &T,
        options: &SetOptions,
    ) -> Reply<'_, Outcome> {
        keyed(
            Place::of(scope.borrow()).and_then(|place| place.put(key)),
            |put| self.inner.set(put, value, options),
        )
    }

    /// As [`ScopedState::set_bytes`].
    pub fn set_bytes(&self, scope: impl Borrow<StateScope>, key: &str, bytes: &[u8]) -> Reply<'_, Revision> {
        committed(self.set_bytes_with(scope, key, bytes, &SetOptions::default()))
    }

    /// As [`ScopedState::set_bytes_with`].
    pub fn set_bytes_with(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
        bytes: &[u8],
        options: &SetOptions,
    ) -> Reply<'_, Outcome> {
        keyed(
            Place::of(scope.borrow()).and_then(|place| place.put(key)),
            |put| self.inner.set_bytes(put, bytes, options),
        )
    }

    /// As [`ScopedState::set_with_ttl`].
    pub fn set_with_ttl<T: Serialize + ?Sized>(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
        value: &T,
        ttl: Duration,
    ) -> Reply<'_, Revision> {
        match SetOptions::default().with_ttl(ttl) {
            Ok(options) => committed(self.set_with(scope, key, value, &options)),
            Err(error) => Reply::fail(error.during("set")),
        }
    }

    /// As [`ScopedState::set_with_class`].
    pub fn set_with_class<T: Serialize + ?Sized>(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
        value: &T,
        class: StateClass,
    ) -> Reply<'_, Revision> {
        committed(self.set_with(scope, key, value, &SetOptions::default().with_class(class)))
    }

    /// As [`ScopedState::set_if_absent`].
    pub fn set_if_absent<T: Serialize + ?Sized>(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
        value: &T,
    ) -> Reply<'_, Outcome> {
        let options = SetOptions::default().with_condition(SetIf::Absent);
        self.set_with(scope, key, value, &options)
    }

    /// As [`ScopedState::compare_and_set`].
    pub fn compare_and_set<T: Serialize + ?Sized>(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
        revision: Revision,
        value: &T,
    ) -> Reply<'_, Outcome> {
        let options = SetOptions::default().with_condition(SetIf::Revision(revision));
        self.set_with(scope, key, value, &options)
    }

    /// As [`ScopedState::set_many`].
    pub fn set_many<K: AsRef<str>, V: Serialize>(
        &self,
        scope: impl Borrow<StateScope>,
        values: impl IntoIterator<Item = (K, V)>,
    ) -> Reply<'_, Revision> {
        match Place::of(scope.borrow()) {
            Ok(place) => self.inner.set_many(&place, values),
            Err(error) => Reply::fail(error),
        }
    }

    /// As [`ScopedState::delete`].
    pub fn delete(&self, scope: impl Borrow<StateScope>, key: &str) -> Reply<'_, bool> {
        self.delete_with(scope, key, &ChangeOptions::default())
            .map(|outcome| outcome.is_committed())
    }

    /// As [`ScopedState::delete_with`].
    pub fn delete_with(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
        options: &ChangeOptions,
    ) -> Reply<'_, Outcome> {
        keyed(encode_key(scope.borrow(), key), |key| {
            self.inner.delete(key, options)
        })
    }

    /// As [`ScopedState::touch`].
    pub fn touch(&self, scope: impl Borrow<StateScope>, key: &str, expiry: Expiry) -> Reply<'_, bool> {
        self.touch_with(scope, key, expiry, &ChangeOptions::default())
            .map(|outcome| outcome.is_committed())
    }

    /// As [`ScopedState::touch_with`].
    pub fn touch_with(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
        expiry: Expiry,
        options: &ChangeOptions,
    ) -> Reply<'_, Outcome> {
        keyed(encode_key(scope.borrow(), key), |key| {
            self.inner.touch(key, expiry, options)
        })
    }

    /// As [`ScopedState::increment`].
    pub async fn increment(&self, scope: impl Borrow<StateScope>, key: &str, delta: i64) -> Result<i64> {
        let options = UpdateOptions::default();
        Ok(self.increment_with(scope, key, delta, &options).await?.value)
    }

    /// As [`ScopedState::increment_with`].
    pub async fn increment_with(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
        delta: i64,
        options: &UpdateOptions,
    ) -> Result<Changed<i64>> {
        let key = encode_key(scope.borrow(), key)?;
        self.inner.increment(key, delta, options).await
    }

    /// As [`ScopedState::update`].
    pub async fn update<F>(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
        change: F,
    ) -> Result<Option<Value>>
    where
        F: FnMut(Option<Value>) -> Result<Option<Value>>,
    {
        self.update_as(scope, key, change).await
    }

    /// As [`ScopedState::update_as`].
    pub async fn update_as<T, F>(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
        change: F,
    ) -> Result<Option<T>>
    where
        T: Serialize + DeserializeOwned,
        F: FnMut(Option<T>) -> Result<Option<T>>,
    {
        let options = UpdateOptions::default();
        Ok(self.update_with(scope, key, &options, change).await?.value)
    }

    /// As [`ScopedState::update_with`].
    pub async fn update_with<T, F>(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
        options: &UpdateOptions,
        change: F,
    ) -> Result<Changed<Option<T>>>
    where
        T: Serialize + DeserializeOwned,
        F: FnMut(Option<T>) -> Result<Option<T>>,
    {
        let key = encode_key(scope.borrow(), key)?;
        self.inner.update(key, options, change).await
    }

    /// As [`ScopedState::patch`].
    pub async fn patch(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
        patch: &Value,
    ) -> Result<Option<Value>> {
        let options = UpdateOptions::default();
        let changed = self.patch_with(scope, key, patch, &options).await?;
        Ok(changed.map(|changed| changed.value))
    }

    /// As [`ScopedState::patch_with`].
    pub async fn patch_with(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
        patch: &Value,
        options: &UpdateOptions,
    ) -> Result<Option<Changed<Value>>> {
        let key = encode_key(scope.borrow(), key)?;
        self.inner.patch(key, patch, options).await
    }

    /// As [`ScopedState::get_or_compute`].
    pub async fn get_or_compute<T, F, Fut>(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
        options: &SetOptions,
        compute: F,
    ) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let key = encode_key(scope.borrow(), key)?;
        self.inner.get_or_compute(key, options, compute).await
    }

    /// As [`ScopedState::watch`].
    pub fn watch(
        &self,
        scope: impl Borrow<StateScope>,
        pattern: &Pattern,
        from: WatchFrom,
    ) -> Result<StateWatch> {
        let place = Place::of(scope.borrow())?;
        self.inner.watch(&place, pattern, from)
    }
}

impl fmt::Debug for StateManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateManager")
            .field("backend", &self.inner.store.capabilities().name)
            .finish_non_exhaustive()
    }
}
