//! Copying and moving scopes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Interrupted, Yielding, clock, manager, memory, reference, two_homes};
use serde_json::json;
use stead_core::{ErrorKind, Extent, Timestamp, WriteBatch};
use stead_state::{SetOptions, StateClass, StateManager, StateScope, encode_key};

fn from() -> StateScope {
    StateScope::session("old")
}

fn to() -> StateScope {
    StateScope::session("new")
}

async fn filled(manager: &StateManager) {
    let trusted = SetOptions::default()
        .with_class(StateClass::Trusted)
        .with_ttl(Duration::from_secs(9))
        .unwrap();
    manager
        .set_with(from(), "trusted", &1, &trusted)
        .await
        .unwrap()
        .committed()
        .unwrap();
    manager.set_bytes(from(), "raw", b"\xff").await.unwrap();
    manager.set(from(), "both", &"from").await.unwrap();
    manager.set(to(), "both", &"to").await.unwrap();
    manager.set(to(), "own", &2).await.unwrap();
}

async fn arrived(manager: &StateManager) {
    let entry = manager.get_entry(to(), "trusted").await.unwrap().unwrap();
    assert_eq!(
        (entry.class(), entry.value().unwrap()),
        (StateClass::Trusted, json!(1))
    );
    assert_eq!(entry.deadline(), Some(Timestamp::from_millis(1_009_000)));
    assert_eq!(
        &manager.get_bytes(to(), "raw").await.unwrap().unwrap()[..],
        b"\xff"
    );
    assert_eq!(manager.get(to(), "both").await.unwrap(), Some(json!("from")));
    assert_eq!(manager.get(to(), "own").await.unwrap(), Some(json!(2)));
}

#[tokio::test]
async fn a_copy_takes_values_as_they_are_and_leaves_the_rest() {
    let manager = manager();
    filled(&manager).await;
    assert_eq!(manager.copy_scope(from(), to()).await.unwrap(), 3);
    arrived(&manager).await;
    assert_eq!(manager.count(from()).await.unwrap(), 3);
    assert_eq!(
        manager
            .copy_scope(StateScope::agent("empty"), to())
            .await
            .unwrap(),
        0
    );
    arrived(&manager).await;
}

#[tokio::test]
async fn a_move_leaves_nothing_behind() {
    let manager = manager();
    filled(&manager).await;
    let (source, target) = (manager.scope(from()).unwrap(), manager.scope(to()).unwrap());
    assert_eq!(source.move_to(&target).await.unwrap(), 3);
    arrived(&manager).await;
    assert_eq!(manager.count(from()).await.unwrap(), 0);
    assert_eq!(source.copy_to(&target).await.unwrap(), 0);
    let error = target.move_to(&target).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    arrived(&manager).await;
}

#[tokio::test]
async fn what_does_not_fit_into_one_batch_is_refused_with_the_numbers() {
    let manager = StateManager::new(reference(|c| c.limits.batch_operations = 10));
    for n in 0..5 {
        manager.set(from(), &n.to_string(), &n).await.unwrap();
    }
    let error = manager.copy_scope(from(), to()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error
            .to_string()
            .contains("keys=5 operations=11 limit_operations=10"),
        "{error}"
    );
    assert_eq!(manager.count(to()).await.unwrap(), 0);
    for n in 5..15 {
        manager.set(from(), &n.to_string(), &n).await.unwrap();
    }
    let error = manager.copy_scope(from(), to()).await.unwrap_err();
    assert!(
        error.to_string().contains("keys=15 limit_operations=10"),
        "{error}"
    );
    for n in (5..15).chain([0]) {
        manager.delete(from(), &n.to_string()).await.unwrap();
    }
    assert_eq!(manager.copy_scope(from(), to()).await.unwrap(), 4);
    assert_eq!(
        manager.move_scope(from(), to()).await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    assert_eq!(manager.count(from()).await.unwrap(), 4);
}

#[tokio::test]
async fn two_partitions_need_a_backend_that_commits_both() {
    let manager = StateManager::new(reference(|c| c.atomicity = Extent::Partition));
    manager.set(StateScope::workflow("w"), "k", &1).await.unwrap();
    let error = manager
        .copy_scope(StateScope::workflow("w"), to())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let step = StateScope::step("w", "s");
    assert_eq!(
        manager
            .move_scope(StateScope::workflow("w"), &step)
            .await
            .unwrap(),
        1
    );
    assert_eq!(manager.get(&step, "k").await.unwrap(), Some(json!(1)));
}

#[tokio::test]
async fn ephemeral_values_go_along_in_their_own_store() {
    let clock = clock();
    let (manager, ..) = two_homes(&clock);
    let write = |scope: StateScope, key: &'static str, class| {
        let manager = manager.clone();
        async move { manager.set_with_class(scope, key, &class, class).await.unwrap() }
    };
    write(from(), "e", StateClass::Ephemeral).await;
    write(from(), "e over s", StateClass::Ephemeral).await;
    write(to(), "e over s", StateClass::Standard).await;
    write(from(), "s over e", StateClass::Standard).await;
    write(to(), "s over e", StateClass::Ephemeral).await;
    assert_eq!(manager.move_scope(from(), to()).await.unwrap(), 3);
    assert_eq!(manager.count(from()).await.unwrap(), 0);
    for (key, class) in [
        ("e", StateClass::Ephemeral),
        ("e over s", StateClass::Ephemeral),
        ("s over e", StateClass::Standard),
    ] {
        let entry = manager.get_entry(to(), key).await.unwrap().unwrap();
        assert_eq!(entry.class(), class, "{key}");
        assert_eq!(entry.value().unwrap(), json!(class), "{key}");
        assert!(manager.delete(to(), key).await.unwrap());
        assert!(!manager.exists(to(), key).await.unwrap(), "{key} has a twin");
    }
}

/// Each value is in one of the two scopes and never in both, whoever looks.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_scope_moves_in_one_instant_under_writes() {
    let manager = StateManager::new(Arc::new(Yielding(memory(&clock()))));
    let over = Arc::new(AtomicBool::new(false));
    let writer = {
        let (manager, over) = (manager.clone(), Arc::clone(&over));
        tokio::spawn(async move {
            let mut written = 0;
            while !over.load(Ordering::SeqCst) {
                manager.set(from(), &written.to_string(), &written).await.unwrap();
                written += 1;
                if written % 8 == 0 {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            written
        })
    };
    let mut moved = 0;
    for _ in 0..50 {
        moved += manager.move_scope(from(), to()).await.unwrap();
        tokio::task::yield_now().await;
    }
    over.store(true, Ordering::SeqCst);
    let written = writer.await.unwrap();
    moved += manager.move_scope(from(), to()).await.unwrap();
    assert_eq!(moved, written);
    assert_eq!(manager.count(to()).await.unwrap(), written);
}

#[tokio::test]
async fn what_changes_between_reading_and_moving_is_moved_too() {
    let store = memory(&clock());
    let plain = StateManager::new(Arc::clone(&store));
    let key = |name: &str| encode_key(&from(), name).unwrap();
    let seven = plain_value(&plain).await;
    for (interruption, expected, old) in [
        (
            WriteBatch::new().put(key("new"), seven.clone()),
            3,
            Some(json!(1)),
        ),
        (WriteBatch::new().put(key("old"), seven), 2, Some(json!(7))),
        (WriteBatch::new().delete(key("old")), 1, None),
    ] {
        plain.clear_scope(from()).await.unwrap();
        plain.clear_scope(to()).await.unwrap();
        plain.set_many(from(), [("old", 1), ("rest", 1)]).await.unwrap();
        let manager = StateManager::new(Interrupted::by(&store, interruption));
        assert_eq!(manager.move_scope(from(), to()).await.unwrap(), expected);
        assert_eq!(plain.count(from()).await.unwrap(), 0);
        assert_eq!(plain.count(to()).await.unwrap(), expected);
        assert_eq!(plain.get(to(), "old").await.unwrap(), old);
    }
}

/// The stored bytes of the value 7.
async fn plain_value(manager: &StateManager) -> Vec<u8> {
    let store = memory(&clock());
    let other = StateManager::new(Arc::clone(&store));
    other.set(from(), "v", &7).await.unwrap();
    assert_eq!(manager.get(from(), "v").await.unwrap(), None);
    let entry = store.get(&encode_key(&from(), "v").unwrap()).await.unwrap();
    entry.unwrap().value().to_vec()
}
