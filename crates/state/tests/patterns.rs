//! The patterns that the examples show, under concurrency: the code that is shown is the code that is tested.

mod common;

#[path = "../examples/cache.rs"]
#[allow(dead_code, reason = "an example's main is not called here")]
mod cache;
#[path = "../examples/counter.rs"]
#[allow(dead_code, reason = "an example's main is not called here")]
mod counter;
#[path = "../examples/rate_limit.rs"]
#[allow(dead_code, reason = "an example's main is not called here")]
mod rate_limit;
#[path = "../examples/session.rs"]
#[allow(dead_code, reason = "an example's main is not called here")]
mod session;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Yielding, clock, memory};
use serde_json::json;
use stead_core::{Error, ManualClock, SeededRandom};
use stead_state::{StateManager, StateScope};

fn state(clock: &Arc<ManualClock>) -> StateManager {
    StateManager::builder(Arc::new(Yielding(memory(clock))))
        .ephemeral(memory(clock))
        .build()
}

/// What `count` tasks give that run at the same time.
async fn all<T: Send + 'static, F>(count: usize, task: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let tasks: Vec<_> = (0..count).map(|number| tokio::spawn(task(number))).collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.expect("the task does not panic"));
    }
    results
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn counter_gives_each_of_64_callers_its_own_number() {
    let tool = state(&clock()).scope(StateScope::tool("t")).unwrap();
    let mut numbers = all(64, |_| {
        let tool = tool.clone();
        async move { counter::count_call(&tool).await.unwrap() }
    })
    .await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=64).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cache_fetches_once_for_64_callers_and_again_when_it_is_old() {
    let clock = clock();
    let cache = state(&clock).scope(StateScope::tool("t")).unwrap();
    let fetched = Arc::new(AtomicUsize::new(0));
    for round in 1..=2 {
        let answers = all(64, |_| {
            let (cache, fetched) = (cache.clone(), Arc::clone(&fetched));
            async move {
                let fetch = || async {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    Ok(json!(fetched.fetch_add(1, Ordering::SeqCst) + 1))
                };
                cache::cached_call(&cache, "/v1", fetch).await.unwrap()
            }
        });
        assert_eq!(answers.await, vec![json!(round); 64]);
        clock.advance_millis(300_000);
    }
    let failing = || async { Err(Error::unavailable("down")) };
    assert!(cache::cached_call(&cache, "/v2", failing).await.is_err());
    assert_eq!(
        cache::cached_call(&cache, "/v2", || async { Ok(json!(1)) })
            .await
            .unwrap(),
        json!(1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn session_keeps_what_64_requests_put_in_and_ends_when_idle() {
    let clock = clock();
    let state = state(&clock);
    let random = SeededRandom::new(1);
    let id = session::begin(&state, &random, "ada").await.unwrap();
    let other = session::begin(&state, &random, "bob").await.unwrap();
    assert_ne!(id, other);
    all(64, |number| {
        let (state, id) = (state.clone(), id.clone());
        async move {
            let put = |session: &mut session::Session| {
                session.data.insert(number.to_string(), json!(number));
            };
            session::with_session(&state, &id, put).await.unwrap().unwrap();
        }
    })
    .await;
    let idle = u64::try_from(session::IDLE.as_millis()).unwrap();
    clock.advance_millis(idle - 1);
    let used = session::with_session(&state, &id, |_| {}).await.unwrap().unwrap();
    assert_eq!(used.data.len(), 64);
    clock.advance_millis(1);
    assert!(
        session::with_session(&state, &other, |_| {})
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        session::with_session(&state, &id, |_| {})
            .await
            .unwrap()
            .is_some(),
        "it was used"
    );
    clock.advance_millis(idle);
    assert!(
        session::with_session(&state, &id, |_| {})
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        session::with_session(&state, &id, |_| {})
            .await
            .unwrap()
            .is_none(),
        "ended is ended"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rate_limit_lets_exactly_so_many_of_64_through() {
    let clock = clock();
    let state = state(&clock);
    let window = Duration::from_millis(1_000);
    for _ in 0..2 {
        let allowed = all(64, |_| {
            let (state, clock) = (state.clone(), Arc::clone(&clock));
            async move {
                rate_limit::allow(&state, &*clock, "ada", 10, window)
                    .await
                    .unwrap()
            }
        });
        assert_eq!(allowed.await.into_iter().filter(|allowed| *allowed).count(), 10);
        clock.advance_millis(1_000);
    }
    assert!(
        rate_limit::allow(&state, &*clock, "bob", 1, window)
            .await
            .unwrap()
    );
    clock.advance_millis(1_000);
    assert_eq!(
        state.count(StateScope::user("ada")).await.unwrap(),
        0,
        "old windows go away"
    );
    assert!(
        rate_limit::allow(&state, &*clock, "ada", 1, Duration::ZERO)
            .await
            .is_err()
    );
}
