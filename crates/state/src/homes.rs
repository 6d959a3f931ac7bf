//! Two stores for one set of keys: what is ephemeral lives beside what is kept, and a key lives in one of them.
//!
//! A read looks at the ephemeral store first. A value that changes its home is written to the new one before it leaves
//! the old one, so a reader sees the old value or the new one and never neither:
//!
//! - to the kept store: the new value is committed there, unseen, and removing the ephemeral twin shows it;
//! - to the ephemeral store: the new value is seen as soon as it is there, and the kept one is removed behind it.
//!
//! Writers of the same key in this process queue up on a lock. The ephemeral store belongs to one manager, so nobody
//! else moves a key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stead_codec::StateClass;
use stead_core::{
    Backend, Conflict, Entry, Error, ErrorKind, Expect, Expiry, Found, Key, Mutation, Outcome, Reply, Result,
    Ttl, WriteBatch,
};

use crate::inner::{Inner, Write};
use crate::options::SetIf;

/// The store of ephemeral values.
pub(crate) struct Ephemeral {
    pub(crate) store: Arc<dyn Backend>,
    pub(crate) ttl: Ttl,
    /// Counts values that change their home: one that comes here between its arrival and its removal there, one that
    /// leaves before it is committed there. A read that did not find a key here is right about the other store unless
    /// this has moved on meanwhile: what it found there may not be shown yet, and what it missed there may be here.
    moves: AtomicU64,
}

impl Ephemeral {
    pub(crate) fn new(store: Arc<dyn Backend>, ttl: Ttl) -> Self {
        Ephemeral {
            store,
            ttl,
            moves: AtomicU64::new(0),
        }
    }

    pub(crate) fn moves(&self) -> u64 {
        self.moves.load(Ordering::SeqCst)
    }

    fn count_move(&self) {
        self.moves.fetch_add(1, Ordering::SeqCst);
    }
}

/// Where a value lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    Store,
    Ephemeral,
}

impl Home {
    pub(crate) fn of(class: StateClass) -> Self {
        if class == StateClass::Ephemeral {
            Home::Ephemeral
        } else {
            Home::Store
        }
    }
}

impl Inner {
    pub(crate) fn entry_of_two<'a>(&'a self, ephemeral: &'a Ephemeral, key: Key) -> Reply<'a, Option<Entry>> {
        let moves = ephemeral.moves();
        let first = ephemeral.store.get(&key).try_take().ok();
        if let Some(Ok(Some(_)) | Err(_)) = first {
            return first.map_or_else(|| Reply::ready(None), Reply::from);
        }
        if first.is_some() {
            let second = self.store.get(&key).try_take().ok();
            match second {
                Some(Ok(_)) if ephemeral.moves() != moves => {}
                Some(result) => return Reply::from(result),
                None => {}
            }
        }
        Reply::pending(async move {
            loop {
                let moves = ephemeral.moves();
                if let Some(entry) = ephemeral.store.get(&key).await? {
                    return Ok(Some(entry));
                }
                let kept = self.store.get(&key).await?;
                if ephemeral.moves() == moves {
                    return Ok(kept);
                }
            }
        })
    }

    /// The entry under `key` and its home. Under the key's lock it stays there, unless another process or time acts.
    pub(crate) async fn locate(&self, key: &Key) -> Result<Option<(Home, Entry)>> {
        if let Some(ephemeral) = &self.ephemeral
            && let Some(entry) = ephemeral.store.get(key).await?
        {
            return Ok(Some((Home::Ephemeral, entry)));
        }
        Ok(self.store.get(key).await?.map(|entry| (Home::Store, entry)))
    }

    pub(crate) fn store_of(&self, home: Home) -> &dyn Backend {
        match (&self.ephemeral, home) {
            (Some(ephemeral), Home::Ephemeral) => &*ephemeral.store,
            _ => &*self.store,
        }
    }

    pub(crate) async fn write_of_two(&self, ephemeral: &Ephemeral, write: Write) -> Result<Outcome> {
        let _lock = self.stripes.lock(write.key()).await;
        let twin = ephemeral.store.get(write.key()).await?;
        match (write.home, twin) {
            (Home::Store, None) => self.store.apply(write.into_batch()).await,
            (Home::Ephemeral, Some(_)) => ephemeral.store.apply(write.into_batch()).await,
            (Home::Store, Some(twin)) => {
                if let Some(conflict) = judge(&write, Some(&twin)) {
                    return Ok(Outcome::Rejected(conflict));
                }
                let mut put = write.put;
                carry(&mut put, &twin);
                self.commit_and_clear(ephemeral, put).await
            }
            (Home::Ephemeral, None) => self.move_to_ephemeral(ephemeral, write).await,
        }
    }

    async fn move_to_ephemeral(&self, ephemeral: &Ephemeral, write: Write) -> Result<Outcome> {
        let mut attempts = self.attempts(MOVE_ATTEMPTS);
        loop {
            let kept = self.store.get(write.key()).await?;
            if let Some(conflict) = judge(&write, kept.as_ref()) {
                return Ok(Outcome::Rejected(conflict));
            }
            let mut put = write
                .put
                .mutations()
                .iter()
                .cloned()
                .fold(WriteBatch::new(), WriteBatch::mutation);
            if let Some(kept) = &kept {
                carry(&mut put, kept);
            }
            let outcome = ephemeral.store.apply(put).await?;
            let Some(kept) = kept else {
                return Ok(outcome);
            };
            ephemeral.count_move();
            let removal = WriteBatch::new()
                .expect(write.key().clone(), Expect::At(kept.revision()))
                .delete(write.key().clone());
            match self.store.apply(removal).await {
                Ok(Outcome::Committed(_)) => return Ok(outcome),
                // It may or may not be gone: the value that is seen stays the new one.
                Err(error) if error.kind() == ErrorKind::UnknownOutcome => return Err(error),
                lost => {
                    let failure = lost.err();
                    let withdrawal = WriteBatch::new().delete(write.key().clone());
                    ephemeral.store.apply(withdrawal).await?.committed()?;
                    if let Some(error) = failure {
                        return Err(error);
                    }
                    attempts.lost().await?;
                }
            }
        }
    }

    pub(crate) async fn change_of_two(
        &self,
        ephemeral: &Ephemeral,
        key: Key,
        batch: WriteBatch,
    ) -> Result<Outcome> {
        let _lock = self.stripes.lock(&key).await;
        if ephemeral.store.get(&key).await?.is_some() {
            let outcome = ephemeral.store.apply(batch.clone()).await?;
            if outcome.is_committed() || ephemeral.store.get(&key).await?.is_some() {
                return Ok(outcome);
            }
            // It expired between the two: what the other store says counts.
        }
        self.store.apply(batch).await
    }

    pub(crate) async fn commit_of_two(&self, ephemeral: &Ephemeral, batch: WriteBatch) -> Result<Outcome> {
        let _locks = self
            .stripes
            .lock_many(batch.mutations().iter().map(Mutation::key))
            .await;
        self.commit_over_twins(ephemeral, batch).await
    }

    /// Commits `batch` to the kept store and removes the ephemeral twins of its keys, if there are any. The keys are
    /// locked, so none comes meanwhile; most batches have none, and do not disturb those who read.
    pub(crate) async fn commit_over_twins(
        &self,
        ephemeral: &Ephemeral,
        batch: WriteBatch,
    ) -> Result<Outcome> {
        let keys: Vec<Key> = batch.mutations().iter().map(|one| one.key().clone()).collect();
        let twins = ephemeral.store.get_many(&keys).await?;
        if twins.iter().all(Option::is_none) {
            return self.store.apply(batch).await;
        }
        self.commit_and_clear(ephemeral, batch).await
    }

    /// Commits `batch` to the kept store and removes the ephemeral twins of its keys. The keys are locked.
    async fn commit_and_clear(&self, ephemeral: &Ephemeral, batch: WriteBatch) -> Result<Outcome> {
        ephemeral.count_move();
        let mut twins = Twins {
            store: &*ephemeral.store,
            keys: batch.mutations().iter().map(|one| one.key().clone()).collect(),
        };
        let result = self.store.apply(batch).await;
        let done = match &result {
            Ok(outcome) => outcome.is_committed(),
            Err(error) => error.kind() == ErrorKind::UnknownOutcome,
        };
        let removal = twins.take();
        if done && let Some(removal) = removal {
            ephemeral.store.apply(removal).await?.committed()?;
        }
        result
    }
}

/// Another process may take a value out from under a move; this often in a row it may not.
const MOVE_ATTEMPTS: u32 = 16;

/// Ephemeral twins that must go, even if nobody waits for the commit any longer: it was handed over.
struct Twins<'a> {
    store: &'a dyn Backend,
    keys: Vec<Key>,
}

impl Twins<'_> {
    /// The batch that removes them, if there are any; the twins are then no longer looked after.
    fn take(&mut self) -> Option<WriteBatch> {
        let keys = std::mem::take(&mut self.keys);
        (!keys.is_empty()).then(|| keys.into_iter().fold(WriteBatch::new(), WriteBatch::delete))
    }
}

impl Drop for Twins<'_> {
    fn drop(&mut self) {
        if let Some(removal) = self.take() {
            // Handed over by the call; there is nobody to tell of its outcome.
            drop(self.store.apply(removal));
        }
    }
}

/// Has `put` keep the deadline of the value that changes its home with it, where it keeps one.
fn carry(put: &mut WriteBatch, old: &Entry) {
    for mutation in put.mutations_mut() {
        if let Mutation::Put { expiry, .. } = mutation
            && *expiry == Expiry::Keep
        {
            *expiry = old.deadline().map_or(Expiry::Never, Expiry::At);
        }
    }
}

/// What the condition of `write` finds wrong with `found`.
fn judge(write: &Write, found: Option<&Entry>) -> Option<Conflict> {
    let revision = found.map(Entry::revision);
    let holds = match write.condition {
        SetIf::Always => true,
        SetIf::Absent => revision.is_none(),
        SetIf::Present => revision.is_some(),
        SetIf::Revision(wanted) => revision == Some(wanted),
    };
    (!holds).then(|| Conflict {
        precondition: 0,
        key: Some(write.key().clone()),
        found: revision.map_or(Found::Missing, Found::Revision),
    })
}

/// The error of an operation that does not reach ephemeral values.
pub(crate) fn out_of_reach() -> Error {
    Error::unsupported(
        "the key holds an ephemeral value, which transactions do not reach; use update, increment or \
         compare_and_set on it, or write it in another class",
    )
}
