//! Running a transaction until it commits.

use std::future::Future;

use stead_core::{Conflict, Entry, Error, Extent, Found, Key, Outcome, RequestId, Result, Revision};

use super::state::State;
use super::{Tx, View};
use crate::StateManager;
use crate::inner::{Inner, dress};
use crate::options::TransactionOptions;

/// What a transaction came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed<T> {
    /// What the closure returned.
    pub value: T,
    /// The revision of the commit; of a transaction that wrote nothing, that of what it saw.
    pub revision: Revision,
    /// How often the closure ran.
    pub attempts: u32,
}

pub(crate) async fn run<T, F, Fut>(
    manager: &StateManager,
    options: &TransactionOptions,
    mut body: F,
) -> Result<Committed<T>>
where
    F: FnMut(Tx) -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let inner = manager.inner();
    let mut attempts = inner.attempts(options.max_attempts);
    loop {
        let tx = Tx::begin(manager);
        let result = body(tx.clone()).await;
        let state = tx.0.state.lock().end();
        let revision = match &result {
            Ok(_) => tx.commit(&state, options, attempts.made).await?,
            // What was read live may have been of two instants, and the failure their fault.
            Err(_) if tx.saw_two_instants(&state).await => None,
            Err(_) => Some(Revision::ZERO),
        };
        if let Some(revision) = revision {
            let attempts = attempts.made + 1;
            return result.map(|value| Committed {
                value,
                revision,
                attempts,
            });
        }
        attempts
            .lost()
            .await
            .map_err(|error| error.during("transaction"))?;
    }
}

impl Tx {
    /// Commits what the closure wanted, at `Some` revision unless others were faster.
    async fn commit(
        &self,
        state: &State,
        options: &TransactionOptions,
        attempt: u32,
    ) -> Result<Option<Revision>> {
        let inner = &*self.0.inner;
        if state.wants_nothing()
            && let Some(revision) = self.seen_at_once(state)
        {
            return Ok(Some(revision));
        }
        let request_id = match &options.request_id {
            Some(id) if !state.wants_nothing() => Some(id_of_attempt(id, attempt)?),
            _ => None,
        };
        let batch = dress(state.batch(), options.durability.or(inner.durability), request_id);
        let outcome = match &inner.ephemeral {
            None => inner.store.apply(batch).await,
            Some(ephemeral) => {
                let keys = state.read_keys().chain(state.written_keys());
                let _locks = inner.stripes.lock_many(keys).await;
                match inner.came_between(state).await? {
                    Some(conflict) => Ok(Outcome::Rejected(conflict)),
                    None => inner.commit_over_twins(ephemeral, batch).await,
                }
            }
        };
        match outcome.map_err(|error| error.during("transaction"))? {
            Outcome::Committed(revision) => Ok(Some(revision)),
            Outcome::Rejected(_) => Ok(None),
        }
    }

    /// The revision of a snapshot that shows all that was read as it was at one instant: nothing is left to check.
    fn seen_at_once(&self, state: &State) -> Option<Revision> {
        let Some(View::Snapshot(snapshot)) = self.0.view.get() else {
            return None;
        };
        let store_wide = self.0.inner.store.capabilities().revision_order == Extent::Store;
        let key = state.read_keys().next()?;
        (store_wide || state.read_one_partition()).then(|| snapshot.revision(&Key::partition(key)))
    }

    /// Whether what was read did not exist together at any one instant, so far as that can be told now.
    async fn saw_two_instants(&self, state: &State) -> bool {
        let live = matches!(self.0.view.get(), Some(View::Live(_)));
        if !live || state.saw_nothing() {
            return false;
        }
        let judged = self.0.inner.store.apply(state.checks()).await;
        judged.is_ok_and(|outcome| !outcome.is_committed())
    }
}

impl Inner {
    /// An ephemeral value that was written under a key after the transaction had read it. The keys are locked.
    async fn came_between(&self, state: &State) -> Result<Option<Conflict>> {
        let Some(ephemeral) = &self.ephemeral else {
            return Ok(None);
        };
        let keys: Vec<Key> = state.read_keys().cloned().collect();
        let twins = ephemeral.store.get_many(&keys).await?;
        let mut found = keys.into_iter().zip(twins);
        Ok(found.find_map(|(key, twin)| {
            twin.map(|twin| Conflict {
                precondition: 0,
                key: Some(key),
                found: Found::Revision(Entry::revision(&twin)),
            })
        }))
    }
}

/// Every attempt is a request of its own, since it may want something else than the one before.
///
/// A repeated call goes through the same ids in the same order. It cannot come past the one that committed: there it
/// either wants the very same and is given that outcome, or it is refused.
fn id_of_attempt(id: &RequestId, attempt: u32) -> Result<RequestId> {
    let mut bytes = id.as_bytes().to_vec();
    bytes.extend_from_slice(&attempt.to_be_bytes());
    RequestId::new(&bytes).map_err(|_| {
        Error::invalid("request id of a transaction must have 1 to 60 bytes")
            .with("length_bytes", id.as_bytes().len())
            .with("limit_bytes", RequestId::MAX_BYTES - size_of::<u32>())
    })
}
