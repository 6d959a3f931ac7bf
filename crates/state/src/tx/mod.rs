//! Transactions.

mod run;
mod scan;
mod state;

use std::borrow::Borrow;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use stead_core::{Backend, Entry, Error, Expiry, Extent, Key, Read, Result, Snapshot};
use tokio::sync::OnceCell;

use self::state::{State, Wish};
use crate::entry::{StateBytes, StateEntry};
use crate::homes::{Home, out_of_reach};
use crate::inner::Inner;
use crate::options::{ListOptions, SetIf, SetOptions};
use crate::patch::Patch;
use crate::place::Place;
use crate::{StateManager, StateScope};

pub use self::run::Committed;
pub(crate) use self::run::run;

/// A transaction under way: what a closure given to [`StateManager::transaction`] works with.
///
/// - Reads are of one instant where the backend has snapshots; elsewhere they are live, and a transaction that saw two
///   instants does not commit but runs again.
/// - Reads and listings see the transaction's own writes; nobody else does before it commits.
/// - All writes commit together, at one revision, and only if everything that was read and listed is still so.
/// - Ephemeral values are out of reach: reading or writing one is `Unsupported`.
///
/// Cheap to clone. Handles that outlive the closure are refused.
#[derive(Clone)]
pub struct Tx(Arc<Shared>);

struct Shared {
    inner: Arc<Inner>,
    view: OnceCell<View>,
    state: Mutex<State>,
}

/// What a transaction reads from.
enum View {
    Snapshot(Arc<dyn Snapshot>),
    Live(Arc<dyn Backend>),
}

impl View {
    fn read(&self) -> &dyn Read {
        match self {
            View::Snapshot(snapshot) => &**snapshot,
            View::Live(store) => &**store,
        }
    }
}

impl Tx {
    fn begin(manager: &StateManager) -> Self {
        Tx(Arc::new(Shared {
            inner: Arc::clone(manager.inner()),
            view: OnceCell::new(),
            state: Mutex::new(State::default()),
        }))
    }

    /// The value under `key`.
    ///
    /// # Errors
    ///
    /// As [`ScopedState::get`](crate::ScopedState::get); `Unsupported` for a second partition where the backend commits
    /// one at a time, and for an ephemeral value.
    pub async fn get(&self, scope: impl Borrow<StateScope>, key: &str) -> Result<Option<Value>> {
        let entry = self.entry(&self.place(scope.borrow())?, key).await?;
        let limits = &self.0.inner.rules.limits;
        entry
            .map(|entry| stead_codec::decode_value(entry.value(), limits))
            .transpose()
    }

    /// The value under `key` as a `T`.
    ///
    /// # Errors
    ///
    /// As [`get`](Tx::get).
    pub async fn get_as<T: DeserializeOwned>(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
    ) -> Result<Option<T>> {
        let entry = self.entry(&self.place(scope.borrow())?, key).await?;
        let limits = &self.0.inner.rules.limits;
        entry
            .map(|entry| stead_codec::decode(entry.value(), limits))
            .transpose()
    }

    /// The raw bytes under `key`.
    ///
    /// # Errors
    ///
    /// As [`get`](Tx::get).
    pub async fn get_bytes(&self, scope: impl Borrow<StateScope>, key: &str) -> Result<Option<StateBytes>> {
        let entry = self.entry(&self.place(scope.borrow())?, key).await?;
        let limits = &self.0.inner.rules.limits;
        entry.map(|entry| StateBytes::of(entry, limits)).transpose()
    }

    /// The value under `key` with what is known about it. A value that this transaction wrote has revision zero.
    ///
    /// # Errors
    ///
    /// As [`get`](Tx::get).
    pub async fn get_entry(&self, scope: impl Borrow<StateScope>, key: &str) -> Result<Option<StateEntry>> {
        let entry = self.entry(&self.place(scope.borrow())?, key).await?;
        let limits = self.0.inner.rules.limits;
        entry.map(|entry| StateEntry::new(key, entry, limits)).transpose()
    }

    /// Whether there is a value under `key`.
    ///
    /// # Errors
    ///
    /// As [`get`](Tx::get).
    pub async fn exists(&self, scope: impl Borrow<StateScope>, key: &str) -> Result<bool> {
        let place = self.place(scope.borrow())?;
        Ok(self.entry(&place, key).await?.is_some())
    }

    /// Every key of `scope` in byte order.
    ///
    /// # Errors
    ///
    /// As [`get`](Tx::get); `Unsupported` where the backend cannot check that a range is unchanged.
    pub async fn list_keys(&self, scope: impl Borrow<StateScope>) -> Result<Vec<String>> {
        self.list_keys_with(scope, &ListOptions::default()).await
    }

    /// Keys of `scope`. Only what was listed is checked when the transaction commits: not what lies behind the limit.
    ///
    /// # Errors
    ///
    /// As [`list_keys`](Tx::list_keys).
    pub async fn list_keys_with(
        &self,
        scope: impl Borrow<StateScope>,
        options: &ListOptions,
    ) -> Result<Vec<String>> {
        let place = self.place(scope.borrow())?;
        let items = self.items(&place, options, scan::Reading::Keys).await?;
        items
            .iter()
            .map(|item| place.text(&item.key).map(str::to_owned))
            .collect()
    }

    /// Keys and values of `scope`.
    ///
    /// # Errors
    ///
    /// As [`list_keys`](Tx::list_keys).
    pub async fn list(
        &self,
        scope: impl Borrow<StateScope>,
        options: &ListOptions,
    ) -> Result<Vec<StateEntry>> {
        let place = self.place(scope.borrow())?;
        let limits = self.0.inner.rules.limits;
        let items = self.items(&place, options, scan::Reading::Entries).await?;
        items
            .into_iter()
            .filter_map(|item| item.entry.map(|entry| (item.key, entry)))
            .map(|(key, entry)| StateEntry::new(place.text(&key)?, entry, limits))
            .collect()
    }

    /// How many keys `scope` has.
    ///
    /// # Errors
    ///
    /// As [`list_keys`](Tx::list_keys).
    pub async fn count(&self, scope: impl Borrow<StateScope>) -> Result<u64> {
        let place = self.place(scope.borrow())?;
        let items = self
            .items(&place, &ListOptions::default(), scan::Reading::Keys)
            .await?;
        Ok(items.len() as u64)
    }

    /// Writes `value` when the transaction commits.
    ///
    /// # Errors
    ///
    /// As [`ScopedState::set`](crate::ScopedState::set), and as [`get`](Tx::get).
    pub async fn set<T: Serialize + ?Sized>(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
        value: &T,
    ) -> Result<()> {
        self.set_with(scope, key, value, &SetOptions::default())
            .await
            .map(|_| ())
    }

    /// Writes `value` when the transaction commits, if the condition of `options` holds; says whether it does.
    ///
    /// # Errors
    ///
    /// As [`set`](Tx::set). `Unsupported` for an ephemeral value, `Invalid` for a durability or a request id, which
    /// belong to the whole transaction.
    pub async fn set_with<T: Serialize + ?Sized>(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
        value: &T,
        options: &SetOptions,
    ) -> Result<bool> {
        let rules = &self.0.inner.rules;
        let class = rules.class(options.class);
        let value = rules.encode(value, class, options.codec)?;
        self.write(scope.borrow(), key, value, options).await
    }

    /// Writes raw bytes when the transaction commits, if the condition of `options` holds; says whether it does.
    ///
    /// # Errors
    ///
    /// As [`set_with`](Tx::set_with).
    pub async fn set_bytes(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
        bytes: &[u8],
        options: &SetOptions,
    ) -> Result<bool> {
        let rules = &self.0.inner.rules;
        let value = rules.encode_bytes(bytes, rules.class(options.class))?;
        self.write(scope.borrow(), key, value, options).await
    }

    /// Removes the value under `key`; says whether there was one.
    ///
    /// # Errors
    ///
    /// As [`get`](Tx::get).
    pub async fn delete(&self, scope: impl Borrow<StateScope>, key: &str) -> Result<bool> {
        let place = self.place(scope.borrow())?;
        let existed = self.entry(&place, key).await?.is_some();
        if existed {
            self.0.state.lock().open()?.wish(place.key(key)?, Wish::Delete);
        }
        Ok(existed)
    }

    /// Gives the value under `key` another deadline; says whether there is one.
    ///
    /// # Errors
    ///
    /// As [`get`](Tx::get).
    pub async fn touch(&self, scope: impl Borrow<StateScope>, key: &str, expiry: Expiry) -> Result<bool> {
        let place = self.place(scope.borrow())?;
        let exists = self.entry(&place, key).await?.is_some();
        if exists {
            let wish = Wish::Touch { expiry };
            self.0.state.lock().open()?.wish(place.key(key)?, wish);
        }
        Ok(exists)
    }

    /// Adds `delta` to the whole number under `key`, which begins at zero, and keeps its deadline.
    ///
    /// # Errors
    ///
    /// As [`ScopedState::increment`](crate::ScopedState::increment), and as [`get`](Tx::get).
    pub async fn increment(&self, scope: impl Borrow<StateScope>, key: &str, delta: i64) -> Result<i64> {
        let place = self.place(scope.borrow())?;
        let entry = self.entry(&place, key).await?;
        let rules = &self.0.inner.rules;
        let stored = entry.as_ref().map(Entry::value);
        let (sum, bytes) = rules.increment(stored, delta, rules.class(None), None)?;
        self.replace(&place, key, bytes)?;
        Ok(sum)
    }

    /// Applies a JSON Patch to the value under `key`, and keeps its deadline. `None` where there is no value.
    ///
    /// # Errors
    ///
    /// As [`ScopedState::patch`](crate::ScopedState::patch), and as [`get`](Tx::get).
    pub async fn patch(
        &self,
        scope: impl Borrow<StateScope>,
        key: &str,
        patch: &Value,
    ) -> Result<Option<Value>> {
        let patch = Patch::new(patch)?;
        let place = self.place(scope.borrow())?;
        let Some(entry) = self.entry(&place, key).await? else {
            return Ok(None);
        };
        let rules = &self.0.inner.rules;
        let mut value = stead_codec::decode_value(entry.value(), &rules.limits)?;
        patch.apply(&mut value, &rules.limits)?;
        let header = stead_codec::peek(entry.value())?;
        let bytes = rules.encode(&value, header.class(), Some(header.codec()))?;
        self.replace(&place, key, bytes)?;
        Ok(Some(value))
    }

    /// Writes the next value of one that was read.
    fn replace(&self, place: &Place, key: &str, value: bytes::Bytes) -> Result<()> {
        let wish = Wish::put(value, Expiry::Keep);
        self.0.state.lock().open()?.wish(place.key(key)?, wish);
        Ok(())
    }

    async fn write(
        &self,
        scope: &StateScope,
        key: &str,
        value: bytes::Bytes,
        options: &SetOptions,
    ) -> Result<bool> {
        if options.durability.is_some() || options.request_id.is_some() {
            return Err(Error::invalid(
                "durability and request id belong to the transaction; set them in its options",
            ));
        }
        let class = self.0.inner.rules.class(options.class);
        if Home::of(class) == Home::Ephemeral {
            return Err(out_of_reach());
        }
        let place = self.place(scope)?;
        let encoded = place.key(key)?;
        if options.condition != SetIf::Always {
            let found = self.entry(&place, key).await?;
            let holds = match (options.condition, found) {
                (SetIf::Absent, found) => found.is_none(),
                (SetIf::Revision(wanted), Some(found)) => found.revision() == wanted,
                (_, found) => found.is_some(),
            };
            if !holds {
                return Ok(false);
            }
        }
        let wish = Wish::put(value, options.expiry.unwrap_or_default());
        self.0.state.lock().open()?.wish(encoded, wish);
        Ok(true)
    }

    /// The encoded scope, if the transaction may touch it.
    fn place(&self, scope: &StateScope) -> Result<Place> {
        let place = Place::of(scope)?;
        let mut state = self.0.state.lock();
        let state = state.open()?;
        if self.0.inner.store.capabilities().atomicity == Extent::Partition {
            state.keep_to(place.partition())?;
        }
        Ok(place)
    }

    /// What the transaction sees under `key`.
    async fn entry(&self, place: &Place, key: &str) -> Result<Option<Entry>> {
        let key = place.key(key)?;
        {
            let mut state = self.0.state.lock();
            let state = state.open()?;
            if let Some(known) = state.written(&key).or_else(|| state.read(&key)) {
                return Ok(known);
            }
        }
        let entry = self.fetch(&key).await?;
        let mut state = self.0.state.lock();
        let state = state.open()?;
        state.saw(key.clone(), entry);
        // Somebody who ran beside this in the same closure may have read or written it first.
        Ok(state.written(&key).or_else(|| state.read(&key)).flatten())
    }

    /// The entry under `key` as the view has it.
    async fn fetch(&self, key: &Key) -> Result<Option<Entry>> {
        let Some(ephemeral) = &self.0.inner.ephemeral else {
            return self.view().await?.read().get(key).await;
        };
        loop {
            let moves = ephemeral.moves();
            if ephemeral.store.get(key).await?.is_some() {
                return Err(out_of_reach());
            }
            let entry = self.view().await?.read().get(key).await?;
            if entry.is_some() || ephemeral.moves() == moves {
                return Ok(entry);
            }
        }
    }

    /// What to read from: a snapshot of the instant of the first read, where there are snapshots.
    async fn view(&self) -> Result<&View> {
        let store = &self.0.inner.store;
        let view = self.0.view.get_or_try_init(|| async {
            if store.capabilities().snapshots {
                store.snapshot().await.map(View::Snapshot)
            } else {
                Ok(View::Live(Arc::clone(store)))
            }
        });
        view.await
    }
}
