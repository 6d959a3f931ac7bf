//! One computation for all who ask.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Yielding, agent, clock, memory, two_homes};
use serde_json::json;
use stead_core::{Error, ErrorKind};
use stead_state::{SetOptions, StateClass, StateManager, StateScope};
use tokio::sync::Notify;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_who_ask_share_one_computation() {
    let manager = StateManager::new(Arc::new(Yielding(memory(&clock()))));
    let runs = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let (manager, runs) = (manager.clone(), Arc::clone(&runs));
            tokio::spawn(async move {
                let options = SetOptions::default();
                let value = manager.get_or_compute(StateScope::Global, "k", &options, || async {
                    runs.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Ok(n)
                });
                value.await.unwrap()
            })
        })
        .collect();
    let mut values = Vec::new();
    for task in tasks {
        values.push(task.await.unwrap());
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    values.dedup();
    assert_eq!(values.len(), 1);
    assert_eq!(
        manager.get(StateScope::Global, "k").await.unwrap(),
        Some(json!(values[0]))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failure_is_shared_by_those_who_waited_and_not_kept() {
    let (_, state) = agent();
    let runs = Arc::new(AtomicUsize::new(0));
    let started = Arc::new(Notify::new());
    let release = Arc::new(Notify::new());
    let leader = {
        let (state, runs) = (state.clone(), Arc::clone(&runs));
        let (started, release) = (Arc::clone(&started), Arc::clone(&release));
        tokio::spawn(async move {
            let compute = || async {
                runs.fetch_add(1, Ordering::SeqCst);
                started.notify_one();
                release.notified().await;
                Err::<u8, _>(Error::unavailable("upstream is down"))
            };
            state.get_or_compute("k", &SetOptions::default(), compute).await
        })
    };
    started.notified().await;
    let waiters: Vec<_> = (0..20)
        .map(|_| {
            let (state, runs) = (state.clone(), Arc::clone(&runs));
            tokio::spawn(async move {
                let compute = || async {
                    runs.fetch_add(1, Ordering::SeqCst);
                    Ok(1_u8)
                };
                state.get_or_compute("k", &SetOptions::default(), compute).await
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    release.notify_one();
    assert_eq!(leader.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    for waiter in waiters {
        let error = waiter.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("upstream is down"), "{error}");
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let options = SetOptions::default();
    let again = state.get_or_compute("k", &options, || async { Ok(2_u8) });
    assert_eq!(again.await.unwrap(), 2);
}

#[tokio::test]
async fn a_cancelled_computation_is_taken_over() {
    let (_, state) = agent();
    let started = Arc::new(Notify::new());
    let leader = {
        let (state, started) = (state.clone(), Arc::clone(&started));
        tokio::spawn(async move {
            let compute = || async {
                started.notify_one();
                std::future::pending::<()>().await;
                Ok(1_u8)
            };
            state.get_or_compute("k", &SetOptions::default(), compute).await
        })
    };
    started.notified().await;
    let waiter = {
        let state = state.clone();
        tokio::spawn(async move {
            state
                .get_or_compute("k", &SetOptions::default(), || async { Ok(2_u8) })
                .await
        })
    };
    tokio::task::yield_now().await;
    leader.abort();
    let value = tokio::time::timeout(Duration::from_secs(10), waiter)
        .await
        .unwrap();
    assert_eq!(value.unwrap().unwrap(), 2);
}

#[tokio::test]
async fn a_value_written_meanwhile_is_the_value() {
    let (_, state) = agent();
    let options = SetOptions::default();
    let value = state.get_or_compute("k", &options, || async {
        state.set("k", &"theirs").await?;
        Ok("mine".to_owned())
    });
    assert_eq!(value.await.unwrap(), "theirs");
    assert_eq!(state.get("k").await.unwrap(), Some(json!("theirs")));
}

#[tokio::test]
async fn computed_values_live_as_they_are_told() {
    let clock = clock();
    let (manager, store, _) = two_homes(&clock);
    let state = manager.scope(StateScope::Global).unwrap();
    let short = SetOptions::default().with_ttl(Duration::from_secs(1)).unwrap();
    assert_eq!(
        state
            .get_or_compute("k", &short, || async { Ok(1) })
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        state
            .get_or_compute("k", &short, || async { Ok(2) })
            .await
            .unwrap(),
        1
    );
    clock.advance_millis(1_000);
    assert_eq!(
        state
            .get_or_compute("k", &short, || async { Ok(3) })
            .await
            .unwrap(),
        3
    );

    let passing = SetOptions::default().with_class(StateClass::Ephemeral);
    assert_eq!(
        state
            .get_or_compute("e", &passing, || async { Ok(4) })
            .await
            .unwrap(),
        4
    );
    assert_eq!(state.get("e").await.unwrap(), Some(json!(4)));
    let key = stead_state::encode_key(&StateScope::Global, "e").unwrap();
    assert_eq!(store.get(&key).await.unwrap(), None);
}
