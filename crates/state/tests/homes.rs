//! Ephemeral values: kept in memory, in one store at a time, and never lost from sight on the way.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::future::Future as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use common::{Interrupted, Yielding, clock, memory, two_homes};
use serde_json::json;
use stead_core::{Backend, ErrorKind, Expiry, KeyRange, ReadExt, Ttl};
use stead_state::{
    ChangeOptions, ListOptions, SetIf, SetOptions, StateClass, StateManager, StateScope, UpdateOptions,
};

const A: StateScope = StateScope::Global;

async fn entries(store: &Arc<dyn Backend>) -> u64 {
    store.count(&KeyRange::all()).await.expect("the store is open")
}

#[tokio::test]
async fn ephemeral_values_stay_out_of_the_store_and_pass() {
    let clock = clock();
    let (manager, store, ephemeral) = two_homes(&clock);
    manager
        .set_with_class(A, "e", &1, StateClass::Ephemeral)
        .await
        .unwrap();
    assert_eq!((entries(&store).await, entries(&ephemeral).await), (0, 1));
    let entry = manager.get_entry(A, "e").await.unwrap().unwrap();
    assert_eq!(entry.class(), StateClass::Ephemeral);
    assert_eq!(entry.deadline().unwrap().as_millis(), 1_000_000 + 60 * 60 * 1_000);
    clock.advance_millis(60 * 60 * 1_000);
    assert_eq!(manager.get(A, "e").await.unwrap(), None);

    let brief = StateManager::builder(memory(&clock))
        .ephemeral(memory(&clock))
        .ephemeral_ttl(Ttl::from_millis(5).unwrap())
        .default_class(StateClass::Ephemeral)
        .build();
    brief.set(A, "e", &1).await.unwrap();
    brief.increment(A, "n", 1).await.unwrap();
    let lasting = SetOptions::default().with_expiry(Expiry::Never);
    brief
        .set_with(A, "lasting", &1, &lasting)
        .await
        .unwrap()
        .committed()
        .unwrap();
    clock.advance_millis(5);
    assert_eq!(brief.list_keys(A).await.unwrap(), ["lasting"]);
    assert_eq!(
        brief.set_many(A, [("a", 1)]).await.unwrap_err().kind(),
        ErrorKind::Unsupported
    );
}

#[tokio::test]
async fn a_key_lives_in_one_store_whatever_it_is_written_as() {
    let (manager, store, ephemeral) = two_homes(&clock());
    for class in [
        StateClass::Standard,
        StateClass::Ephemeral,
        StateClass::Ephemeral,
        StateClass::Trusted,
        StateClass::Ephemeral,
        StateClass::Standard,
    ] {
        manager
            .set_with_class(A, "k", &class.as_str(), class)
            .await
            .unwrap();
        let expected = if class == StateClass::Ephemeral {
            (0, 1)
        } else {
            (1, 0)
        };
        assert_eq!((entries(&store).await, entries(&ephemeral).await), expected);
        assert_eq!(manager.get(A, "k").await.unwrap(), Some(json!(class.as_str())));
        assert_eq!(manager.get_entry(A, "k").await.unwrap().unwrap().class(), class);
        assert_eq!(manager.list_keys(A).await.unwrap(), ["k"]);
        assert_eq!(manager.count(A).await.unwrap(), 1);
    }
    manager
        .set_with_class(A, "k", &1, StateClass::Ephemeral)
        .await
        .unwrap();
    manager.set_many(A, [("k", 2)]).await.unwrap();
    assert_eq!((entries(&store).await, entries(&ephemeral).await), (1, 0));
}

#[tokio::test]
async fn every_operation_finds_a_value_where_it_lives() {
    let clock = clock();
    let (manager, store, ephemeral) = two_homes(&clock);
    let passing = SetOptions::default().with_class(StateClass::Ephemeral);
    let first = manager
        .set_with(A, "e", &1, &passing)
        .await
        .unwrap()
        .committed()
        .unwrap();
    manager.set(A, "s", &2).await.unwrap();
    assert_eq!(
        manager.get_many(A, &["s", "e", "x"]).await.unwrap(),
        [Some(json!(2)), Some(json!(1)), None]
    );
    assert!(manager.exists(A, "e").await.unwrap());
    assert_eq!(manager.increment(A, "e", 4).await.unwrap(), 5);
    assert_eq!(
        manager
            .update_as(A, "e", |n: Option<i64>| Ok(n.map(|n| n + 1)))
            .await
            .unwrap(),
        Some(6)
    );
    assert!(manager.touch(A, "e", Expiry::Never).await.unwrap());
    assert_eq!(manager.get_entry(A, "e").await.unwrap().unwrap().deadline(), None);
    assert!(
        !manager
            .compare_and_set(A, "e", first, &9)
            .await
            .unwrap()
            .is_committed()
    );
    assert!(!manager.set_if_absent(A, "e", &9).await.unwrap().is_committed());
    assert_eq!((entries(&store).await, entries(&ephemeral).await), (1, 1));
    assert_eq!(manager.list_keys(A).await.unwrap(), ["e", "s"]);
    let last = ListOptions::default()
        .with_limit(1)
        .with_direction(stead_core::Direction::Reverse);
    assert_eq!(manager.list_keys_with(A, &last).await.unwrap(), ["s"]);
    assert_eq!(manager.count(A).await.unwrap(), 2);
    let stale = ChangeOptions::default().with_revision(first);
    assert!(!manager.delete_with(A, "e", &stale).await.unwrap().is_committed());
    assert!(manager.delete(A, "e").await.unwrap());
    assert!(!manager.delete(A, "e").await.unwrap());
    let created = UpdateOptions::default().with_class(StateClass::Ephemeral);
    manager.increment_with(A, "n", 1, &created).await.unwrap();
    assert_eq!((entries(&store).await, entries(&ephemeral).await), (1, 1));
    assert!(
        manager
            .get_entry(A, "n")
            .await
            .unwrap()
            .unwrap()
            .deadline()
            .is_some()
    );
    assert_eq!(manager.clear_scope(A).await.unwrap(), 2);
    assert_eq!((entries(&store).await, entries(&ephemeral).await), (0, 0));
}

#[tokio::test]
async fn conditions_and_deadlines_go_with_a_value_that_moves() {
    let clock = clock();
    let (manager, ..) = two_homes(&clock);
    let passing = SetOptions::default().with_class(StateClass::Ephemeral);
    let revision = manager
        .set_with(A, "k", &1, &passing)
        .await
        .unwrap()
        .committed()
        .unwrap();
    let standard = |condition| {
        SetOptions::default()
            .with_condition(condition)
            .with_expiry(Expiry::Keep)
    };
    let deadline = manager.get_entry(A, "k").await.unwrap().unwrap().deadline();
    assert!(
        !manager
            .set_with(A, "k", &2, &standard(SetIf::Absent))
            .await
            .unwrap()
            .is_committed()
    );
    let moved = manager
        .set_with(A, "k", &2, &standard(SetIf::Revision(revision)))
        .await
        .unwrap();
    let moved = moved.committed().unwrap();
    let entry = manager.get_entry(A, "k").await.unwrap().unwrap();
    assert_eq!(
        (entry.class(), entry.deadline()),
        (StateClass::Standard, deadline)
    );

    let back = passing.clone().with_expiry(Expiry::Keep);
    let wrong = back.clone().with_condition(SetIf::Absent);
    assert!(!manager.set_with(A, "k", &3, &wrong).await.unwrap().is_committed());
    let right = back.with_condition(SetIf::Revision(moved));
    assert!(manager.set_with(A, "k", &3, &right).await.unwrap().is_committed());
    let entry = manager.get_entry(A, "k").await.unwrap().unwrap();
    assert_eq!(
        (entry.class(), entry.deadline()),
        (StateClass::Ephemeral, deadline)
    );
}

/// The value changes its home all the time; whoever reads it finds it all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_moving_value_is_never_out_of_sight() {
    let clock = clock();
    let yielding = StateManager::builder(Arc::new(Yielding(memory(&clock))))
        .ephemeral(Arc::new(Yielding(memory(&clock))))
        .build();
    let (at_once, ..) = two_homes(&clock);
    for manager in [yielding, at_once] {
        move_it_about(&manager).await;
    }
}

async fn move_it_about(manager: &StateManager) {
    manager.set(A, "k", &0).await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..6)
        .map(|reader| {
            let (manager, over) = (manager.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                let mut last = 0;
                while !over.load(Ordering::SeqCst) {
                    match reader % 4 {
                        0 => assert_eq!(manager.list_keys(A).await.unwrap(), ["k"]),
                        1 => assert_eq!(manager.count(A).await.unwrap(), 1),
                        2 => assert!(manager.get_many(A, &["k"]).await.unwrap()[0].is_some()),
                        _ => {
                            let seen = manager.get_as::<u64>(A, "k").await.unwrap();
                            let seen = seen.expect("the value is always there");
                            assert!(seen >= last, "saw {seen} after {last}");
                            last = seen;
                        }
                    }
                }
            })
        })
        .collect();
    for round in 1..=1_000_u64 {
        let class = [StateClass::Ephemeral, StateClass::Standard][usize::from(round % 2 == 0)];
        manager.set_with_class(A, "k", &round, class).await.unwrap();
    }
    over.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
}

/// The value leaves for the ephemeral store just between the two looks of a reader who is answered on the spot.
#[tokio::test]
async fn a_value_that_moves_between_two_looks_is_found() {
    let clock = clock();
    let store = Arc::new(Interrupted::new(&memory(&clock)));
    let manager = StateManager::builder(store.clone())
        .ephemeral(memory(&clock))
        .build();
    manager.set(A, "k", &1).await.unwrap();
    let mover = manager.clone();
    store.before_get(move || {
        let moved = mover.set_with_class(A, "k", &2, StateClass::Ephemeral);
        let polled = std::pin::pin!(moved).poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_ready());
    });
    assert_eq!(manager.get(A, "k").await.unwrap(), Some(json!(2)));
}

/// Without the lock one of the two would remove what the other has just written.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_two_classes_never_lose_both_values() {
    let clock = clock();
    let (store, ephemeral) = (memory(&clock), memory(&clock));
    let manager = StateManager::builder(Arc::new(Yielding(Arc::clone(&store))))
        .ephemeral(Arc::new(Yielding(Arc::clone(&ephemeral))))
        .build();
    for _ in 0..200 {
        let write = |class| {
            let manager = manager.clone();
            tokio::spawn(async move { manager.set_with_class(A, "k", &1, class).await.unwrap() })
        };
        let (one, two) = (write(StateClass::Standard), write(StateClass::Ephemeral));
        one.await.unwrap();
        two.await.unwrap();
        assert_eq!(entries(&store).await + entries(&ephemeral).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ephemeral_counters_are_exact() {
    let clock = clock();
    let manager = StateManager::builder(memory(&clock))
        .ephemeral(Arc::new(Yielding(memory(&clock))))
        .default_class(StateClass::Ephemeral)
        .build();
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let manager = manager.clone();
            tokio::spawn(async move { manager.increment(A, "n", 1).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(manager.get(A, "n").await.unwrap(), Some(json!(64)));
}

/// A write that nobody waits for any longer was handed over all the same, and its twin must not stay in front of it.
#[tokio::test]
async fn a_dropped_write_leaves_no_twin_behind() {
    let clock = clock();
    let (store, ephemeral) = (memory(&clock), memory(&clock));
    let manager = StateManager::builder(Arc::new(Yielding(Arc::clone(&store))))
        .ephemeral(Arc::clone(&ephemeral))
        .build();
    manager
        .set_with_class(A, "k", &"old", StateClass::Ephemeral)
        .await
        .unwrap();
    {
        let mut write = Box::pin(manager.set(A, "k", &"new"));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(write.as_mut().poll(&mut cx).is_pending());
        assert_eq!(entries(&store).await, 1, "the write was handed over");
    }
    assert_eq!(manager.get(A, "k").await.unwrap(), Some(json!("new")));
    assert_eq!((entries(&store).await, entries(&ephemeral).await), (1, 0));
}

#[tokio::test]
async fn a_failed_write_leaves_the_twin() {
    let clock = clock();
    let (manager, store, _) = two_homes(&clock);
    manager
        .set_with_class(A, "k", &"old", StateClass::Ephemeral)
        .await
        .unwrap();
    assert!(manager.set_bytes(A, "k", &vec![0; 17 << 20]).await.is_err());
    manager
        .set_with_ttl(A, "k", &1, Duration::from_millis(u64::MAX - 1))
        .await
        .unwrap_err();
    assert_eq!(manager.get(A, "k").await.unwrap(), Some(json!("old")));
    store.close().await.unwrap();
    assert_eq!(
        manager.set(A, "k", &1).await.unwrap_err().kind(),
        ErrorKind::Closed
    );
    assert_eq!(manager.get(A, "k").await.unwrap(), Some(json!("old")));
    // Nor does a value become ephemeral that cannot leave the store.
    assert_eq!(manager.get(A, "x").await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn transactions_do_not_reach_ephemeral_values() {
    let (manager, ..) = two_homes(&clock());
    manager
        .set_with_class(A, "e", &1, StateClass::Ephemeral)
        .await
        .unwrap();
    let read = manager.transaction(|tx| async move { tx.get(A, "e").await });
    assert_eq!(read.await.unwrap_err().kind(), ErrorKind::Unsupported);
    let passing = SetOptions::default().with_class(StateClass::Ephemeral);
    let passing = &passing;
    let write = manager.transaction(|tx| async move { tx.set_with(A, "x", &1, passing).await });
    assert_eq!(write.await.unwrap_err().kind(), ErrorKind::Unsupported);
    // A write in another class takes the key over.
    manager
        .transaction(|tx| async move { tx.set(A, "e", &2).await })
        .await
        .unwrap();
    let entry = manager.get_entry(A, "e").await.unwrap().unwrap();
    assert_eq!(
        (entry.value().unwrap(), entry.class()),
        (json!(2), StateClass::Standard)
    );
}

#[tokio::test]
async fn an_ephemeral_value_that_comes_between_stops_a_transaction() {
    let (manager, ..) = two_homes(&clock());
    let outside = manager.clone();
    let read = manager.transaction(|tx| {
        let outside = outside.clone();
        async move {
            assert_eq!(tx.get(A, "e").await?, None);
            outside.set_with_class(A, "e", &1, StateClass::Ephemeral).await?;
            tx.set(A, "seen", &"missing").await
        }
    });
    assert_eq!(read.await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(!manager.exists(A, "seen").await.unwrap());
}
