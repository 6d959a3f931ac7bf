//! Values as they are stored, for the commands that write batches of their own: the very bytes that `StateManager`
//! writes, under the same rules.

use bytes::Bytes;
use stead::codec::{Codec, DecodeLimits, Envelope, StateClass};
use stead::core::Limits;
use stead::state::ClassRules;
use stead::{Error, Result};

use crate::value::Given;

/// Refuses the classes that the command line has no place for.
pub(crate) fn admit(class: StateClass, limits: &Limits) -> Result<()> {
    if class == StateClass::Ephemeral {
        return Err(Error::unsupported(
            "ephemeral values live in the memory of one process and would be gone with this command; use --ttl with \
             another class",
        ));
    }
    ClassRules::new(limits).admit(class)
}

/// The bytes to store for `given`.
pub(crate) fn encode(
    given: &Given,
    class: StateClass,
    codec: Option<Codec>,
    limits: &Limits,
) -> Result<Bytes> {
    admit(class, limits)?;
    let rules = ClassRules::new(limits);
    match given {
        Given::Json(value) => rules.encode(value, class, codec),
        Given::Bytes(bytes) => rules.encode_bytes(bytes, class),
    }
}

/// The bytes to store for an envelope that was stored before, if it is a whole one.
pub(crate) fn accept(envelope: Vec<u8>, limits: &Limits) -> Result<Bytes> {
    let class = Envelope::parse(&envelope, &DecodeLimits::from(limits))?.class();
    admit(class, limits)?;
    Ok(Bytes::from(envelope))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use stead::state::{SetOptions, StateManager, encode_key};
    use stead::{ErrorKind, StateScope};

    use super::*;

    #[tokio::test]
    async fn the_bytes_are_those_that_the_manager_writes() {
        let store = stead::open("memory:").await.unwrap();
        let state = StateManager::new(Arc::clone(&store));
        let key = encode_key(&StateScope::Global, "k").unwrap();
        let value = json!({"list": [1, 2.5, null], "long": "x".repeat(5_000)});
        for class in [StateClass::Standard, StateClass::Trusted] {
            let options = SetOptions::default().with_class(class);
            let outcome = state
                .set_with(StateScope::Global, "k", &value, &options)
                .await
                .unwrap();
            assert!(outcome.is_committed());
            let stored = store.get(&key).await.unwrap().unwrap();
            let limits = store.capabilities().limits;
            let ours = encode(&Given::Json(value.clone()), class, None, &limits).unwrap();
            assert_eq!(stored.value(), &ours[..], "{class}");

            let outcome = state
                .set_bytes_with(StateScope::Global, "k", b"raw", &options)
                .await
                .unwrap();
            assert!(outcome.is_committed());
            let stored = store.get(&key).await.unwrap().unwrap();
            let ours = encode(&Given::Bytes(b"raw".to_vec()), class, None, &limits).unwrap();
            assert_eq!(stored.value(), &ours[..], "{class}");
        }
    }

    #[tokio::test]
    async fn the_classes_are_those_that_the_manager_writes() {
        let state = StateManager::new(stead::open("memory:").await.unwrap());
        for class in StateClass::ALL {
            let theirs = state.set_with_class(StateScope::Global, "k", &1, class).await;
            let ours = admit(class, &Limits::default());
            assert_eq!(ours.is_ok(), theirs.is_ok(), "{class}");
            assert!(ours.is_ok() || ours.unwrap_err().kind() == ErrorKind::Unsupported);
        }
    }

    #[test]
    fn damaged_envelopes_are_not_accepted() {
        let limits = Limits::default();
        let whole = encode(&Given::Json(json!("secret")), StateClass::Standard, None, &limits).unwrap();
        assert_eq!(accept(whole.to_vec(), &limits).unwrap(), whole);
        let mut damaged = whole.to_vec();
        damaged[12] ^= 1;
        assert_eq!(accept(damaged, &limits).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
