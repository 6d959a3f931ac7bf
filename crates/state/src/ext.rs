//! JSON by short names.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use stead_core::{Reply, Revision};

use crate::{ScopedState, StateManager, StateScope};

/// Typed values by short names, on whatever holds state under plain keys: a [`ScopedState`], or a [`StateManager`] and
/// then [`StateScope::Global`].
///
/// ```
/// # use std::sync::Arc;
/// # use stead_memory::{MemoryBackend, MemoryOptions};
/// use stead_state::{StateExt, StateManager};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), stead_core::Error> {
/// # let state = StateManager::new(Arc::new(MemoryBackend::new(MemoryOptions::default())));
/// state.set_json("visits", &41_u64, None).await?;
/// assert_eq!(state.get_json::<u64>("visits").await?, Some(41));
/// # Ok(())
/// # }
/// ```
pub trait StateExt {
    /// The value under `key` as a `T`.
    ///
    /// # Errors
    ///
    /// As [`ScopedState::get_as`].
    fn get_json<T: DeserializeOwned + Send + 'static>(&self, key: &str) -> Reply<'_, Option<T>>;

    /// Writes `value`, for as long as `ttl` if there is one.
    ///
    /// # Errors
    ///
    /// As [`ScopedState::set_with_ttl`].
    fn set_json<T: Serialize + ?Sized>(
        &self,
        key: &str,
        value: &T,
        ttl: Option<Duration>,
    ) -> Reply<'_, Revision>;
}

impl StateExt for ScopedState {
    fn get_json<T: DeserializeOwned + Send + 'static>(&self, key: &str) -> Reply<'_, Option<T>> {
        self.get_as(key)
    }

    fn set_json<T: Serialize + ?Sized>(
        &self,
        key: &str,
        value: &T,
        ttl: Option<Duration>,
    ) -> Reply<'_, Revision> {
        match ttl {
            Some(ttl) => self.set_with_ttl(key, value, ttl),
            None => self.set(key, value),
        }
    }
}

impl StateExt for StateManager {
    fn get_json<T: DeserializeOwned + Send + 'static>(&self, key: &str) -> Reply<'_, Option<T>> {
        self.get_as(StateScope::Global, key)
    }

    fn set_json<T: Serialize + ?Sized>(
        &self,
        key: &str,
        value: &T,
        ttl: Option<Duration>,
    ) -> Reply<'_, Revision> {
        match ttl {
            Some(ttl) => self.set_with_ttl(StateScope::Global, key, value, ttl),
            None => self.set(StateScope::Global, key, value),
        }
    }
}
