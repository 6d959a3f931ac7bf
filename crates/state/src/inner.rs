//! What all handles of one manager share, and how it reaches the store.

use std::sync::Arc;

use stead_codec::StateClass;
use stead_core::{
    Backend, Durability, Entry, Expect, Expiry, Key, Outcome, Random, Reply, RequestId, WriteBatch,
};

use crate::classes::ClassRules;
use crate::flight::Flights;
use crate::homes::{Ephemeral, Home};
use crate::options::SetIf;
use crate::sleep::{Attempts, Sleep};
use crate::stripes::Stripes;

/// What all handles of one manager share.
pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Backend>,
    pub(crate) ephemeral: Option<Ephemeral>,
    pub(crate) rules: ClassRules,
    pub(crate) durability: Option<Durability>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) sleep: Arc<dyn Sleep>,
    pub(crate) stripes: Stripes,
    pub(crate) flights: Flights,
}

/// One value to be written.
pub(crate) struct Write {
    /// Puts the value, whatever is there.
    pub(crate) put: WriteBatch,
    pub(crate) home: Home,
    pub(crate) condition: SetIf,
}

impl Write {
    /// The key that is put.
    pub(crate) fn key(&self) -> &Key {
        self.put.mutations()[0].key()
    }

    pub(crate) fn into_batch(self) -> WriteBatch {
        match self.condition.expect() {
            Some(expect) => {
                let key = self.key().clone();
                self.put.expect(key, expect)
            }
            None => self.put,
        }
    }
}

/// `batch` with the durability and the id that were asked for.
pub(crate) fn dress(
    mut batch: WriteBatch,
    durability: Option<Durability>,
    request_id: Option<RequestId>,
) -> WriteBatch {
    if let Some(durability) = durability {
        batch = batch.durability(durability);
    }
    if let Some(id) = request_id {
        batch = batch.request_id(id);
    }
    batch
}

impl Inner {
    /// The entry under `key`, wherever it lives.
    ///
    /// The key stays where it was made: moving what was just written in small pieces costs as much as the search.
    #[inline]
    pub(crate) fn entry(&self, key: &Key) -> Reply<'_, Option<Entry>> {
        if self.ephemeral.is_none()
            && let Ok(result) = self.store.get(key).try_take()
        {
            return Reply::from(result);
        }
        self.entry_elsewhere(key.clone())
    }

    /// The entry where there are two stores, or where the one does not answer at once: a reply that is dropped has done
    /// nothing yet.
    #[inline(never)]
    fn entry_elsewhere(&self, key: Key) -> Reply<'_, Option<Entry>> {
        match &self.ephemeral {
            Some(ephemeral) => self.entry_of_two(ephemeral, key),
            None => Reply::pending(async move { self.store.get(&key).await }),
        }
    }

    /// Writes one value.
    #[inline]
    pub(crate) fn write(&self, write: Write) -> Reply<'_, Outcome> {
        match &self.ephemeral {
            None => self.store.apply(write.into_batch()),
            Some(ephemeral) => Reply::pending(self.write_of_two(ephemeral, write)),
        }
    }

    /// Deletes or touches one key, where it lives.
    pub(crate) fn change(&self, key: Key, batch: WriteBatch) -> Reply<'_, Outcome> {
        match &self.ephemeral {
            None => self.store.apply(batch),
            Some(ephemeral) => Reply::pending(self.change_of_two(ephemeral, key, batch)),
        }
    }

    /// Commits a batch of several durable keys; none of them is ephemeral afterwards.
    pub(crate) fn commit(&self, batch: WriteBatch) -> Reply<'_, Outcome> {
        match &self.ephemeral {
            None => self.store.apply(batch),
            Some(ephemeral) => Reply::pending(self.commit_of_two(ephemeral, batch)),
        }
    }

    /// What becomes of the deadline where the caller does not say.
    pub(crate) fn default_expiry(&self, class: StateClass) -> Expiry {
        match &self.ephemeral {
            Some(ephemeral) if class == StateClass::Ephemeral => Expiry::After(ephemeral.ttl),
            _ => Expiry::Never,
        }
    }

    pub(crate) fn attempts(&self, limit: u32) -> Attempts<'_> {
        Attempts {
            sleep: &*self.sleep,
            random: &*self.random,
            made: 0,
            limit,
        }
    }
}

/// The precondition that what was found is still there.
pub(crate) fn unchanged(found: Option<&Entry>) -> Expect {
    found.map_or(Expect::Absent, |entry| Expect::At(entry.revision()))
}
