//! Reading one value, whatever the handle.

use serde::de::DeserializeOwned;
use serde_json::Value;
use stead_core::{Key, Reply, Result};

use crate::entry::{StateBytes, StateEntry};
use crate::inner::Inner;

/// Goes on with a key, or what is made of one, that could be encoded.
#[inline]
pub(crate) fn keyed<'a, K, T>(key: Result<K>, next: impl FnOnce(K) -> Reply<'a, T>) -> Reply<'a, T> {
    match key {
        Ok(key) => next(key),
        Err(error) => Reply::fail(error),
    }
}

impl Inner {
    pub(crate) fn get(&self, key: &Key) -> Reply<'_, Option<Value>> {
        let limits = &self.rules.limits;
        self.entry(key).map_result(move |entry| match entry {
            Ok(Some(entry)) => match stead_codec::decode_value(entry.value(), limits) {
                Ok(value) => Ok(Some(value)),
                Err(error) => Err(error.during("get")),
            },
            Ok(None) => Ok(None),
            Err(error) => Err(error.during("get")),
        })
    }

    pub(crate) fn get_as<T: DeserializeOwned + Send + 'static>(&self, key: &Key) -> Reply<'_, Option<T>> {
        let limits = &self.rules.limits;
        self.entry(key).map_result(move |entry| match entry {
            Ok(Some(entry)) => match stead_codec::decode(entry.value(), limits) {
                Ok(value) => Ok(Some(value)),
                Err(error) => Err(error.during("get_as")),
            },
            Ok(None) => Ok(None),
            Err(error) => Err(error.during("get_as")),
        })
    }

    #[inline]
    pub(crate) fn get_bytes(&self, key: &Key) -> Reply<'_, Option<StateBytes>> {
        let limits = &self.rules.limits;
        self.entry(key).map_result(move |entry| match entry {
            Ok(Some(entry)) => match StateBytes::of(entry, limits) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) => Err(error.during("get_bytes")),
            },
            Ok(None) => Ok(None),
            Err(error) => Err(error.during("get_bytes")),
        })
    }

    pub(crate) fn get_entry(&self, key: &Key, name: &str) -> Reply<'_, Option<StateEntry>> {
        let limits = self.rules.limits;
        let name = name.to_owned();
        self.entry(key).map_result(move |entry| {
            entry
                .and_then(|entry| {
                    entry
                        .map(|entry| StateEntry::new(name, entry, limits))
                        .transpose()
                })
                .map_err(|error| error.during("get_entry"))
        })
    }

    pub(crate) fn exists(&self, key: &Key) -> Reply<'_, bool> {
        self.entry(key).map(|entry| entry.is_some())
    }

    pub(crate) async fn get_many(&self, keys: Vec<Key>) -> Result<Vec<Option<Value>>> {
        let entries = self.many(keys).await?;
        let decoded = entries.into_iter().map(|entry| {
            entry
                .map(|entry| stead_codec::decode_value(entry.value(), &self.rules.limits))
                .transpose()
        });
        decoded
            .collect::<Result<_>>()
            .map_err(|error| error.during("get_many"))
    }
}
