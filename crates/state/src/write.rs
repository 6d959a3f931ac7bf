//! Writing values, whatever the handle.

use bytes::Bytes;
use serde::Serialize;
use stead_codec::StateClass;
use stead_core::{Error, Expiry, Key, Mutation, Outcome, Reply, Result, Revision, WriteBatch};

use crate::homes::Home;
use crate::inner::{Inner, Write, dress};
use crate::options::{ChangeOptions, SetOptions};
use crate::place::Place;

impl Inner {
    /// Writes `value` as `options` say, under the key that `put` puts.
    #[inline]
    pub(crate) fn set<T: Serialize + ?Sized>(
        &self,
        put: WriteBatch,
        value: &T,
        options: &SetOptions,
    ) -> Reply<'_, Outcome> {
        let class = self.rules.class(options.class);
        let encoded = self.rules.encode(value, class, options.codec);
        self.set_encoded(put, encoded, class, options)
    }

    /// Writes raw `bytes` as `options` say, under the key that `put` puts.
    #[inline]
    pub(crate) fn set_bytes(
        &self,
        put: WriteBatch,
        bytes: &[u8],
        options: &SetOptions,
    ) -> Reply<'_, Outcome> {
        let class = self.rules.class(options.class);
        let encoded = self.rules.encode_bytes(bytes, class);
        self.set_encoded(put, encoded, class, options)
    }

    #[inline]
    fn set_encoded(
        &self,
        mut put: WriteBatch,
        encoded: Result<Bytes>,
        class: StateClass,
        options: &SetOptions,
    ) -> Reply<'_, Outcome> {
        let encoded = match encoded {
            Ok(encoded) => encoded,
            Err(error) => return Reply::fail(error.during("set")),
        };
        if let [Mutation::Put { value, expiry, .. }] = put.mutations_mut() {
            *value = encoded;
            *expiry = options.expiry.unwrap_or_else(|| self.default_expiry(class));
        }
        let durability = options.durability.or(self.durability);
        let put = dress(put, durability, options.request_id.clone());
        let reply = self.write(Write {
            put,
            home: Home::of(class),
            condition: options.condition,
        });
        match reply.try_take() {
            Ok(Ok(outcome)) => Reply::ready(outcome),
            Ok(Err(error)) => Reply::fail(error.during("set")),
            Err(pending) => pending.map_result(|result| result.map_err(|error| error.during("set"))),
        }
    }

    /// Writes several values in one batch.
    pub(crate) fn set_many<K, V>(
        &self,
        place: &Place,
        values: impl IntoIterator<Item = (K, V)>,
    ) -> Reply<'_, Revision>
    where
        K: AsRef<str>,
        V: Serialize,
    {
        let class = self.rules.class(None);
        if Home::of(class) == Home::Ephemeral {
            return Reply::fail(
                Error::unsupported("ephemeral values are written one by one; use set").during("set_many"),
            );
        }
        let mut batch = dress(WriteBatch::new(), self.durability, None);
        for (key, value) in values {
            let encoded = self.rules.encode(&value, class, None);
            batch = match (place.key(key.as_ref()), encoded) {
                (Ok(key), Ok(value)) => batch.put(key, value),
                (Err(error), _) | (_, Err(error)) => return Reply::fail(error.during("set_many")),
            };
        }
        self.commit(batch).map_result(|outcome| {
            outcome
                .and_then(Outcome::committed)
                .map_err(|e| e.during("set_many"))
        })
    }

    pub(crate) fn delete(&self, key: Key, options: &ChangeOptions) -> Reply<'_, Outcome> {
        let batch = WriteBatch::new()
            .expect(key.clone(), options.expect())
            .delete(key.clone());
        self.change_with(key, batch, options, "delete")
    }

    pub(crate) fn touch(&self, key: Key, expiry: Expiry, options: &ChangeOptions) -> Reply<'_, Outcome> {
        let batch = WriteBatch::new()
            .expect(key.clone(), options.expect())
            .touch(key.clone(), expiry);
        self.change_with(key, batch, options, "touch")
    }

    fn change_with(
        &self,
        key: Key,
        batch: WriteBatch,
        options: &ChangeOptions,
        operation: &'static str,
    ) -> Reply<'_, Outcome> {
        let durability = options.durability.or(self.durability);
        let batch = dress(batch, durability, options.request_id.clone());
        self.change(key, batch)
            .map_result(move |result| result.map_err(|error| error.during(operation)))
    }
}
