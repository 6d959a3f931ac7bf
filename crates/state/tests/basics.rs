//! Every single-key operation and what it gives for good and for bad input.

mod common;

use std::time::Duration;

use common::{agent, clock, memory};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_core::{ErrorKind, Expiry, Outcome, RequestId, Timestamp, Ttl};
use stead_state::{
    ChangeOptions, Codec, SetIf, SetOptions, StateClass, StateExt, StateManager, StateScope, UpdateOptions,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Plan {
    goal: String,
    steps: Vec<u32>,
}

fn plan() -> Plan {
    Plan {
        goal: "find it".to_owned(),
        steps: vec![1, 2, 3],
    }
}

#[tokio::test]
async fn values_of_every_kind_come_back_as_they_were() {
    let (_, state) = agent();
    for value in [
        json!(null),
        json!(""),
        json!([]),
        json!({}),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(0.1),
        json!({"deep": [{"er": ["\u{0}", "ö", "\n"]}]}),
    ] {
        state.set("v", &value).await.unwrap();
        assert_eq!(state.get("v").await.unwrap(), Some(value));
    }
    state.set("plan", &plan()).await.unwrap();
    assert_eq!(state.get_as::<Plan>("plan").await.unwrap(), Some(plan()));
    for bytes in [&b""[..], b"\0\xff", &[7; 5_000]] {
        state.set_bytes("raw", bytes).await.unwrap();
        assert_eq!(&state.get_bytes("raw").await.unwrap().unwrap()[..], bytes);
    }
    let bincode = SetOptions::default().with_codec(Codec::Bincode);
    state
        .set_with("record", &plan(), &bincode)
        .await
        .unwrap()
        .committed()
        .unwrap();
    assert_eq!(state.get_as::<Plan>("record").await.unwrap(), Some(plan()));
    assert_eq!(
        state.get_entry("record").await.unwrap().unwrap().codec(),
        Codec::Bincode
    );
}

#[tokio::test]
async fn reading_a_value_as_something_else_says_so() {
    let (_, state) = agent();
    state.set_bytes("raw", b"\x00\x01").await.unwrap();
    state.set("text", "words").await.unwrap();
    assert_eq!(
        state.get("raw").await.unwrap_err().kind(),
        ErrorKind::Serialization
    );
    assert_eq!(
        state.get_bytes("text").await.unwrap_err().kind(),
        ErrorKind::Serialization
    );
    let error = state.get_as::<u64>("text").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Serialization);
    assert!(!format!("{error:?}").contains("words"), "{error:?}");
    assert_eq!(state.get("missing").await.unwrap(), None);
    assert_eq!(state.get_as::<Plan>("missing").await.unwrap(), None);
    assert!(state.get_bytes("missing").await.unwrap().is_none());
}

#[tokio::test]
async fn null_is_a_value_and_not_a_missing_one() {
    let (_, state) = agent();
    state.set("null", &Value::Null).await.unwrap();
    assert_eq!(state.get("null").await.unwrap(), Some(Value::Null));
    assert!(state.exists("null").await.unwrap());
    assert!(state.delete("null").await.unwrap());
    assert!(!state.delete("null").await.unwrap());
    assert!(!state.exists("null").await.unwrap());
}

#[tokio::test]
async fn memory_is_answered_without_a_future() {
    let (manager, state) = agent();
    assert!(state.set("k", &json!({"a": 1})).is_ready());
    assert!(state.get("k").is_ready());
    assert!(state.get_as::<Value>("k").is_ready());
    assert!(manager.get_bytes(StateScope::Global, "k").is_ready());
    assert!(state.list_keys().is_ready());
}

#[tokio::test]
async fn scopes_may_be_passed_by_value_or_by_reference() {
    let (manager, state) = agent();
    manager.set(StateScope::agent("planner"), "k", &1).await.unwrap();
    assert_eq!(manager.get(state.scope(), "k").await.unwrap(), Some(json!(1)));
    assert_eq!(state.get("k").await.unwrap(), Some(json!(1)));
    manager
        .set_json("g", &2_u8, Some(Duration::from_secs(1)))
        .await
        .unwrap();
    assert_eq!(manager.get_json::<u8>("g").await.unwrap(), Some(2));
    state.set_json("g", &3_u8, None).await.unwrap();
    assert_eq!(state.get_json::<u8>("g").await.unwrap(), Some(3));
}

#[tokio::test]
async fn conditional_writes_decide_by_revision() {
    let (_, state) = agent();
    let first = state.set_if_absent("k", &1).await.unwrap().committed().unwrap();
    let lost = state.set_if_absent("k", &2).await.unwrap().rejected().unwrap();
    assert_eq!(lost.found, stead_core::Found::Revision(first));
    let second = state
        .compare_and_set("k", first, &3)
        .await
        .unwrap()
        .committed()
        .unwrap();
    assert!(second > first);
    assert!(
        !state
            .compare_and_set("k", first, &4)
            .await
            .unwrap()
            .is_committed()
    );
    state.delete("k").await.unwrap();
    state.set("k", &3).await.unwrap();
    assert!(
        !state
            .compare_and_set("k", second, &5)
            .await
            .unwrap()
            .is_committed()
    );
    let present = SetOptions::default().with_condition(SetIf::Present);
    assert!(state.set_with("k", &6, &present).await.unwrap().is_committed());
    assert!(!state.set_with("none", &6, &present).await.unwrap().is_committed());
    assert_eq!(state.get("k").await.unwrap(), Some(json!(6)));
}

#[tokio::test]
async fn delete_and_touch_may_be_bound_to_a_revision() {
    let (_, state) = agent();
    let first = state.set("k", &1).await.unwrap();
    let second = state.set("k", &2).await.unwrap();
    let stale = ChangeOptions::default().with_revision(first);
    assert!(!state.delete_with("k", &stale).await.unwrap().is_committed());
    assert!(
        !state
            .touch_with("k", Expiry::Never, &stale)
            .await
            .unwrap()
            .is_committed()
    );
    let current = ChangeOptions::default().with_revision(second);
    let touched = state
        .touch_with("k", Expiry::Never, &current)
        .await
        .unwrap()
        .committed()
        .unwrap();
    assert_eq!(state.get_entry("k").await.unwrap().unwrap().revision(), touched);
    let current = ChangeOptions::default().with_revision(touched);
    assert!(state.delete_with("k", &current).await.unwrap().is_committed());
    assert!(!state.touch("k", Expiry::Never).await.unwrap());
}

#[tokio::test]
async fn values_live_as_long_as_they_were_told() {
    let clock = clock();
    let manager = StateManager::new(memory(&clock));
    let state = manager.scope(StateScope::session("s")).unwrap();
    state
        .set_with_ttl("k", &1, Duration::from_secs(10))
        .await
        .unwrap();
    let entry = state.get_entry("k").await.unwrap().unwrap();
    assert_eq!(entry.deadline(), Some(Timestamp::from_millis(1_010_000)));
    clock.advance_millis(9_999);
    assert!(
        state
            .touch("k", Expiry::After(Ttl::from_millis(10).unwrap()))
            .await
            .unwrap()
    );
    clock.advance_millis(9);
    assert!(state.exists("k").await.unwrap());
    clock.advance_millis(1);
    assert_eq!(state.get("k").await.unwrap(), None);
    assert!(state.list_keys().await.unwrap().is_empty());
    assert_eq!(state.count().await.unwrap(), 0);
    assert!(!state.touch("k", Expiry::Never).await.unwrap());
    assert!(state.set_if_absent("k", &2).await.unwrap().is_committed());

    state
        .set_with_ttl("k", &1, Duration::from_secs(10))
        .await
        .unwrap();
    state.set("k", &2).await.unwrap();
    assert_eq!(state.get_entry("k").await.unwrap().unwrap().deadline(), None);
}

#[tokio::test]
async fn lifetimes_that_cannot_be_are_refused_and_change_nothing() {
    let (_, state) = agent();
    state.set("k", &1).await.unwrap();
    for ttl in [Duration::ZERO, Duration::MAX, Duration::from_millis(u64::MAX)] {
        let error = state.set_with_ttl("k", &2, ttl).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("ttl"), "{error}");
    }
    assert!(SetOptions::default().with_ttl(Duration::ZERO).is_err());
    assert!(UpdateOptions::default().with_ttl(Duration::ZERO).is_err());
    assert_eq!(state.get("k").await.unwrap(), Some(json!(1)));
}

#[tokio::test]
async fn keys_that_cannot_be_are_refused_by_every_operation() {
    let (manager, state) = agent();
    for (key, part) in [
        ("", "empty"),
        ("a\0b", "NUL"),
        (&*"k".repeat(4_000), "length_bytes=4000"),
    ] {
        let options = SetOptions::default();
        let errors = [
            state.get(key).await.unwrap_err(),
            state.get_as::<u8>(key).await.unwrap_err(),
            state.get_bytes(key).await.unwrap_err(),
            state.get_entry(key).await.unwrap_err(),
            state.exists(key).await.unwrap_err(),
            state.get_many(&[key]).await.unwrap_err(),
            state.set(key, &1).await.unwrap_err(),
            state.set_bytes(key, b"").await.unwrap_err(),
            state.set_many([("good", 1), (key, 2)]).await.unwrap_err(),
            state.delete(key).await.unwrap_err(),
            state.touch(key, Expiry::Never).await.unwrap_err(),
            state.increment(key, 1).await.unwrap_err(),
            state.update(key, Ok).await.unwrap_err(),
            state.patch(key, &json!([])).await.unwrap_err(),
            state
                .get_or_compute(key, &options, || async { Ok(1) })
                .await
                .unwrap_err(),
            manager.get(StateScope::Global, key).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(error.to_string().contains(part), "{error}");
            assert!(error.to_string().contains("argument=key"), "{error}");
        }
    }
    assert!(state.list_keys().await.unwrap().is_empty(), "set_many wrote half");
    let longest = "k".repeat(1_023);
    state.set(&longest, &1).await.unwrap();
    let error = state.set(&"k".repeat(1_024), &1).await.unwrap_err();
    assert!(error.to_string().contains("limit_bytes=1023"), "{error}");
    assert_eq!(state.list_keys().await.unwrap(), [longest]);
}

#[tokio::test]
async fn values_too_large_or_too_deep_are_refused_and_change_nothing() {
    let (_, state) = agent();
    state.set("k", &1).await.unwrap();
    let error = state.set_bytes("k", &vec![0; (16 << 20) + 1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("limit_bytes=16777216"), "{error}");
    let error = state.set("k", &"x".repeat(17 << 20)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);

    // Built and dropped on a stack that bears it; the refusal must not need it.
    let deep = std::thread::Builder::new().stack_size(256 << 20).spawn(move || {
        let mut deep = json!(1);
        for _ in 0..10_000 {
            deep = Value::Array(vec![deep]);
        }
        deep
    });
    let deep = std::mem::ManuallyDrop::new(deep.unwrap().join().unwrap());
    let error = state.set("k", &*deep).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("limit_levels=128"), "{error}");
    let error = state
        .patch("k", &json!([{"op": "add", "path": "", "value": {}}]))
        .await;
    assert!(error.is_ok());
    assert_eq!(
        state.patch("k", &deep).await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    assert_eq!(state.get("k").await.unwrap(), Some(json!({})));
}

#[tokio::test]
async fn a_request_id_writes_once() {
    let (_, state) = agent();
    let options = SetOptions::default().with_request_id(RequestId::new("r1").unwrap());
    let first = state.set_with("k", &1, &options).await.unwrap();
    state.set("k", &2).await.unwrap();
    assert_eq!(state.set_with("k", &1, &options).await.unwrap(), first);
    assert_eq!(state.get("k").await.unwrap(), Some(json!(2)));
    let error = state.set_with("k", &9, &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);

    let delete = ChangeOptions::default().with_request_id(RequestId::new("r2").unwrap());
    let first = state.delete_with("k", &delete).await.unwrap();
    state.set("k", &3).await.unwrap();
    assert_eq!(state.delete_with("k", &delete).await.unwrap(), first);
    assert!(state.exists("k").await.unwrap());
}

#[tokio::test]
async fn many_are_written_together_and_read_in_order() {
    let (_, state) = agent();
    let revision = state.set_many([("b", json!(2)), ("a", json!(1))]).await.unwrap();
    for key in ["a", "b"] {
        assert_eq!(state.get_entry(key).await.unwrap().unwrap().revision(), revision);
    }
    let read = state.get_many(&["b", "missing", "a", "b"]).await.unwrap();
    assert_eq!(read, [Some(json!(2)), None, Some(json!(1)), Some(json!(2))]);
    assert!(state.get_many::<&str>(&[]).await.unwrap().is_empty());
    let empty: [(&str, u8); 0] = [];
    assert_eq!(state.set_many(empty).await.unwrap(), revision);
}

#[tokio::test]
async fn classes_choose_the_codec_and_are_kept_with_the_value() {
    let (_, state) = agent();
    state.set("standard", &plan()).await.unwrap();
    state
        .set_with_class("trusted", &plan(), StateClass::Trusted)
        .await
        .unwrap();
    let entry = state.get_entry("standard").await.unwrap().unwrap();
    assert_eq!(
        (entry.class(), entry.codec()),
        (StateClass::Standard, Codec::Json)
    );
    let entry = state.get_entry("trusted").await.unwrap().unwrap();
    assert_eq!(
        (entry.class(), entry.codec()),
        (StateClass::Trusted, Codec::MessagePack)
    );
    assert_eq!(
        state.get("trusted").await.unwrap(),
        Some(json!({"goal": "find it", "steps": [1, 2, 3]}))
    );

    let store = memory(&clock());
    let slow = StateManager::builder(store)
        .fast_path(stead_state::FastPathConfig::disabled())
        .default_class(StateClass::Trusted)
        .codec(StateClass::Standard, Codec::MessagePack)
        .unwrap()
        .build();
    slow.set(StateScope::Global, "trusted", &1).await.unwrap();
    let entry = slow
        .get_entry(StateScope::Global, "trusted")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((entry.class(), entry.codec()), (StateClass::Trusted, Codec::Json));
    slow.set_with_class(StateScope::Global, "standard", &1, StateClass::Standard)
        .await
        .unwrap();
    let entry = slow
        .get_entry(StateScope::Global, "standard")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(entry.codec(), Codec::MessagePack);
    for codec in [Codec::Bytes, Codec::Bincode] {
        let builder = StateManager::builder(memory(&clock()));
        assert!(builder.codec(StateClass::Standard, codec).is_err());
    }
}

#[tokio::test]
async fn classes_without_what_they_need_are_refused_with_a_remedy() {
    let (manager, state) = agent();
    for (class, part) in [
        (StateClass::Ephemeral, "ephemeral("),
        (StateClass::Sensitive, "crypt layer"),
        (StateClass::External, "schema"),
    ] {
        let error = state.set_with_class("k", &1, class).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(part), "{error}");
        let options = SetOptions::default().with_class(class);
        assert!(state.set_bytes_with("k", b"1", &options).await.is_err());
        let update = UpdateOptions::default().with_class(class);
        assert!(state.increment_with("k", 1, &update).await.is_err());
        assert!(
            state
                .get_or_compute("k", &options, || async { Ok(1) })
                .await
                .is_err()
        );
        let options = &options;
        let written = manager.transaction(|tx| async move {
            tx.set_with(StateScope::agent("planner"), "k", &1, options).await
        });
        assert_eq!(written.await.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    assert_eq!(state.get("k").await.unwrap(), None);
}

#[tokio::test]
async fn external_values_are_held_to_strict_limits() {
    let store = memory(&clock());
    let manager = StateManager::builder(store)
        .external_limits(stead_state::ExternalLimits {
            value_bytes: 100,
            depth: 2,
        })
        .build();
    let global = manager.scope(StateScope::Global).unwrap();
    let large = global
        .set_with_class("k", &"x".repeat(200), StateClass::External)
        .await
        .unwrap_err();
    assert_eq!(large.kind(), ErrorKind::Invalid);
    assert!(large.to_string().contains("limit_bytes=100"), "{large}");
    let deep = global
        .set_with_class("k", &json!([[[1]]]), StateClass::External)
        .await
        .unwrap_err();
    assert_eq!(deep.kind(), ErrorKind::Invalid);
    assert!(deep.to_string().contains("limit_levels=2"), "{deep}");
    let fits = global
        .set_with_class("k", &json!([[1]]), StateClass::External)
        .await
        .unwrap_err();
    assert_eq!(fits.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn bytes_that_no_manager_wrote_are_corrupt_and_not_missing() {
    let clock = clock();
    let store = memory(&clock);
    let manager = StateManager::new(std::sync::Arc::clone(&store));
    let key = stead_state::encode_key(&StateScope::Global, "k").unwrap();
    stead_core::BackendExt::put(&*store, key, &b"not an envelope"[..])
        .await
        .unwrap();
    assert_eq!(
        manager.get(StateScope::Global, "k").await.unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    assert_eq!(
        manager
            .get_entry(StateScope::Global, "k")
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Corrupt
    );
    assert!(manager.increment(StateScope::Global, "k", 1).await.is_err());
    assert!(manager.exists(StateScope::Global, "k").await.unwrap());
}

#[tokio::test]
async fn compressed_and_plain_values_read_alike() {
    let clock = clock();
    let store = memory(&clock);
    let packing = StateManager::builder(std::sync::Arc::clone(&store))
        .compress_above_bytes(10)
        .build();
    let plain = StateManager::builder(store).compress_above_bytes(None).build();
    let text = "again and ".repeat(1_000);
    packing.set(StateScope::Global, "t", &text).await.unwrap();
    packing
        .set_bytes(StateScope::Global, "b", text.as_bytes())
        .await
        .unwrap();
    let entry = plain.get_entry(StateScope::Global, "t").await.unwrap().unwrap();
    assert!(entry.stored_bytes() < 1_000);
    assert_eq!(
        plain.get(StateScope::Global, "t").await.unwrap(),
        Some(json!(text))
    );
    let bytes = plain.get_bytes(StateScope::Global, "b").await.unwrap().unwrap();
    assert_eq!(&bytes[..], text.as_bytes());
    plain.set(StateScope::Global, "t", &text).await.unwrap();
    let entry = packing.get_entry(StateScope::Global, "t").await.unwrap().unwrap();
    assert!(entry.stored_bytes() > 10_000);
}

#[tokio::test]
async fn outcome_of_an_unconditional_write_is_its_revision() {
    let (_, state) = agent();
    let outcome = state.set_with("k", &1, &SetOptions::default()).await.unwrap();
    let entry = state.get_entry("k").await.unwrap().unwrap();
    assert_eq!(outcome, Outcome::Committed(entry.revision()));
    assert_eq!(entry.key(), "k");
    assert_eq!(entry.value().unwrap(), json!(1));
    assert_eq!(entry.value_as::<u8>().unwrap(), 1);
    assert!(!format!("{entry:?}").contains("value:"));
}
