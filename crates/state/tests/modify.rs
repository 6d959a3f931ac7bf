//! Changing values by what they were: increment, update, patch.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Interrupted, Yielding, agent, clock, memory};
use serde_json::{Value, json};
use stead_core::{Error, ErrorKind, Revision, WriteBatch};
use stead_state::{Codec, SetOptions, StateClass, StateManager, StateScope, UpdateOptions, encode_key};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn counters_are_exact_under_64_tasks() {
    let store = memory(&clock());
    // Two managers: their locks know nothing of each other, as those of two processes.
    let managers = [
        StateManager::new(Arc::new(Yielding(Arc::clone(&store)))),
        StateManager::new(Arc::new(Yielding(store))),
    ];
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let manager = managers[task % 2].clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    manager.increment(StateScope::Global, "n", 1).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(
        managers[0].get(StateScope::Global, "n").await.unwrap(),
        Some(json!(1_280))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_increment_returns_a_sum_of_its_own() {
    let manager = StateManager::new(Arc::new(Yielding(memory(&clock()))));
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let manager = manager.clone();
            tokio::spawn(async move { manager.increment(StateScope::Global, "n", 1).await.unwrap() })
        })
        .collect();
    let mut sums = Vec::new();
    for task in tasks {
        sums.push(task.await.unwrap());
    }
    sums.sort_unstable();
    assert_eq!(sums, (1..=64).collect::<Vec<i64>>());
}

#[tokio::test]
async fn increments_begin_at_zero_and_end_at_the_range() {
    let (_, state) = agent();
    assert_eq!(state.increment("n", -5).await.unwrap(), -5);
    assert_eq!(state.increment("n", 0).await.unwrap(), -5);
    state.set("max", &i64::MAX).await.unwrap();
    let before = state.get_entry("max").await.unwrap().unwrap().revision();
    let error = state.increment("max", 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("limit=9223372036854775807"), "{error}");
    assert_eq!(state.get_entry("max").await.unwrap().unwrap().revision(), before);
    state.set("min", &i64::MIN).await.unwrap();
    assert!(state.increment("min", -1).await.is_err());
    assert_eq!(state.increment("min", i64::MAX).await.unwrap(), -1);
}

#[tokio::test]
async fn only_whole_numbers_are_incremented() {
    let (_, state) = agent();
    for value in [json!("5"), json!(1.5), json!(u64::MAX), json!(null), json!([1])] {
        state.set("v", &value).await.unwrap();
        let error = state.increment("v", 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Serialization, "{value}");
        assert_eq!(state.get("v").await.unwrap(), Some(value));
    }
    state.set_bytes("raw", b"1").await.unwrap();
    assert_eq!(
        state.increment("raw", 1).await.unwrap_err().kind(),
        ErrorKind::Serialization
    );
}

#[tokio::test]
async fn a_changed_value_keeps_its_deadline_class_and_codec() {
    let clock = clock();
    let manager = StateManager::new(memory(&clock));
    let state = manager.scope(StateScope::Global).unwrap();
    let options = SetOptions::default()
        .with_class(StateClass::Trusted)
        .with_ttl(Duration::from_secs(5))
        .unwrap();
    state
        .set_with("n", &1, &options)
        .await
        .unwrap()
        .committed()
        .unwrap();
    let before = state.get_entry("n").await.unwrap().unwrap();
    state.increment("n", 1).await.unwrap();
    state
        .update_as("n", |n: Option<i64>| Ok(n.map(|n| n * 10)))
        .await
        .unwrap();
    state
        .patch("n", &json!([{"op": "test", "path": "", "value": 20}]))
        .await
        .unwrap();
    let after = state.get_entry("n").await.unwrap().unwrap();
    assert_eq!(after.value().unwrap(), json!(20));
    assert_eq!(after.deadline(), before.deadline());
    assert_eq!(
        (after.class(), after.codec()),
        (StateClass::Trusted, Codec::MessagePack)
    );
    clock.advance_millis(5_000);
    assert_eq!(
        state.increment("n", 1).await.unwrap(),
        1,
        "an expired counter begins again"
    );
    assert_eq!(state.get_entry("n").await.unwrap().unwrap().deadline(), None);

    let options = UpdateOptions::default().with_ttl(Duration::from_secs(1)).unwrap();
    let changed = state.increment_with("n", 1, &options).await.unwrap();
    assert_eq!(changed.value, 2);
    let entry = state.get_entry("n").await.unwrap().unwrap();
    assert_eq!(entry.revision(), changed.revision);
    assert!(entry.deadline().is_some());
}

#[tokio::test]
async fn updates_create_change_and_remove() {
    let (_, state) = agent();
    let created = state.update("v", |old| {
        assert_eq!(old, None);
        Ok(Some(json!([1])))
    });
    assert_eq!(created.await.unwrap(), Some(json!([1])));
    let removed = state.update("v", |_| Ok(None)).await.unwrap();
    assert_eq!(removed, None);
    assert!(!state.exists("v").await.unwrap());
    let options = UpdateOptions::default();
    let nothing = state
        .update_with("v", &options, |old: Option<Value>| Ok(old))
        .await
        .unwrap();
    assert_eq!((nothing.value, nothing.revision), (None, Revision::ZERO));
}

#[tokio::test]
async fn a_failed_update_leaves_the_value() {
    let (_, state) = agent();
    state.set("v", &json!({"a": 1})).await.unwrap();
    let before = state.get_entry("v").await.unwrap().unwrap().revision();
    let error = state
        .update("v", |_| Err(Error::invalid("no")))
        .await
        .unwrap_err();
    assert_eq!(error.message(), "no");
    assert!(
        state.update_as("v", |_: Option<u8>| Ok(Some(1))).await.is_err(),
        "not a u8"
    );
    assert_eq!(state.get_entry("v").await.unwrap().unwrap().revision(), before);
}

#[tokio::test]
async fn a_patch_applies_as_a_whole_or_not_at_all() {
    let (_, state) = agent();
    let patch = json!([{"op": "add", "path": "/b", "value": 2}]);
    assert_eq!(state.patch("missing", &patch).await.unwrap(), None);
    assert!(!state.exists("missing").await.unwrap());
    state.set("v", &json!({"a": 1})).await.unwrap();
    assert_eq!(
        state.patch("v", &patch).await.unwrap(),
        Some(json!({"a": 1, "b": 2}))
    );
    let before = state.get_entry("v").await.unwrap().unwrap();
    for bad in [
        json!([{"op": "add", "path": "/c", "value": 3}, {"op": "test", "path": "/a", "value": 9}]),
        json!([{"op": "remove", "path": "/a"}, {"op": "remove", "path": "/a"}]),
        json!([{"op": "replace", "path": "/nope", "value": 1}]),
        json!([{"op": "move", "from": "/nope", "path": "/a"}]),
        json!({"op": "add"}),
        json!("patch"),
    ] {
        let error = state.patch("v", &bad).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{bad}");
        let after = state.get_entry("v").await.unwrap().unwrap();
        assert_eq!(
            (after.revision(), after.value().unwrap()),
            (before.revision(), before.value().unwrap())
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_patches_and_updates_lose_nothing() {
    let manager = StateManager::new(Arc::new(Yielding(memory(&clock()))));
    manager.set(StateScope::Global, "list", &json!([])).await.unwrap();
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let manager = manager.clone();
            tokio::spawn(async move {
                if n % 2 == 0 {
                    let patch = json!([{"op": "add", "path": "/-", "value": n}]);
                    manager.patch(StateScope::Global, "list", &patch).await.unwrap();
                } else {
                    let append = |list: Option<Vec<i32>>| {
                        let mut list = list.unwrap_or_default();
                        list.push(n);
                        Ok(Some(list))
                    };
                    manager
                        .update_as(StateScope::Global, "list", append)
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut list = manager
        .get_as::<Vec<i32>>(StateScope::Global, "list")
        .await
        .unwrap()
        .unwrap();
    list.sort_unstable();
    assert_eq!(list, (0..40).collect::<Vec<_>>());
}

/// Whoever comes between, from another process, is not overwritten.
#[tokio::test]
async fn what_comes_between_reading_and_writing_counts() {
    let store = memory(&clock());
    let plain = StateManager::new(Arc::clone(&store));
    let key = encode_key(&StateScope::Global, "n").unwrap();
    plain.set(StateScope::Global, "n", &10).await.unwrap();
    let ten = store.get(&key).await.unwrap().unwrap().value().to_vec();
    for (before, expected) in [
        (WriteBatch::new().put(key.clone(), ten.clone()), 11),
        (WriteBatch::new().delete(key.clone()), 1),
    ] {
        for operation in 0..3 {
            plain.set(StateScope::Global, "n", &5).await.unwrap();
            let manager = StateManager::new(Interrupted::by(&store, before.clone()));
            match operation {
                0 => drop(manager.increment(StateScope::Global, "n", 1).await.unwrap()),
                1 => {
                    let add = |n: Option<i64>| Ok(Some(n.unwrap_or(0) + 1));
                    manager.update_as(StateScope::Global, "n", add).await.unwrap();
                }
                _ => {
                    let add = manager
                        .transaction(|tx| async move { tx.increment(StateScope::Global, "n", 1).await });
                    add.await.unwrap();
                }
            }
            assert_eq!(
                plain.get(StateScope::Global, "n").await.unwrap(),
                Some(json!(expected)),
                "{operation}"
            );
        }
    }
    plain.set(StateScope::Global, "n", &5).await.unwrap();
    let manager = StateManager::new(Interrupted::by(&store, WriteBatch::new().put(key, ten)));
    let test = json!([{"op": "test", "path": "", "value": 5}, {"op": "replace", "path": "", "value": 6}]);
    assert!(manager.patch(StateScope::Global, "n", &test).await.is_err());
    assert_eq!(plain.get(StateScope::Global, "n").await.unwrap(), Some(json!(10)));
}
