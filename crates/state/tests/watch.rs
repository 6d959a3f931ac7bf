//! Following changes by scope and pattern.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{clock, manager, memory, two_homes};
use stead_core::{BackendExt, ChangeKind, ErrorKind, Key, Partition, Revision, WatchFrom};
use stead_memory::{MemoryBackend, MemoryOptions};
use stead_state::{Pattern, StateClass, StateEvent, StateManager, StateScope, StateWatch};

const A: StateScope = StateScope::Global;

/// The next batch as `key kind`, and its revision.
async fn next(watch: &mut StateWatch) -> (Vec<String>, Revision) {
    let event = tokio::time::timeout(Duration::from_secs(10), watch.next())
        .await
        .expect("a change comes")
        .expect("the store is open");
    let StateEvent::Changes(changes) = event else {
        panic!("{event:?}");
    };
    let revision = changes[0].revision;
    assert!(changes.iter().all(|change| change.revision == revision));
    let lines = changes
        .iter()
        .map(|change| format!("{} {} {}", change.scope, change.key, change.kind.as_str()));
    (lines.collect(), revision)
}

#[tokio::test]
async fn a_watch_gives_matching_changes_of_its_scope_batch_by_batch() {
    let manager = manager();
    let mut watch = manager
        .watch(A, &Pattern::new("note/*").unwrap(), WatchFrom::Now)
        .unwrap();
    manager.set(A, "other", &1).await.unwrap();
    manager.set(StateScope::agent("x"), "note/1", &1).await.unwrap();
    let revision = manager
        .set_many(A, [("note/2", 1), ("note/1", 1), ("plan", 1)])
        .await
        .unwrap();
    manager.delete(A, "note/1").await.unwrap();
    assert_eq!(
        next(&mut watch).await,
        (
            vec!["global note/1 put".to_owned(), "global note/2 put".to_owned()],
            revision
        )
    );
    assert_eq!(watch.position(), revision);
    assert_eq!(next(&mut watch).await.0, ["global note/1 delete"]);
    let mut resumed = manager
        .watch(A, &Pattern::new("*").unwrap(), WatchFrom::After(revision))
        .unwrap();
    assert_eq!(next(&mut resumed).await.0, ["global note/1 delete"]);
}

#[tokio::test]
async fn patterns_with_escapes_and_questions_choose_keys() {
    let manager = manager();
    let mut watch = manager
        .watch(A, &Pattern::new(r"a\*?").unwrap(), WatchFrom::Now)
        .unwrap();
    for key in ["a*", "abc", "a*bc", "a*b"] {
        manager.set(A, key, &1).await.unwrap();
    }
    assert_eq!(next(&mut watch).await.0, ["global a*b put"]);
}

#[tokio::test]
async fn a_workflow_and_its_steps_are_watched_apart_and_all_together() {
    let clock = clock();
    let store = memory(&clock);
    let manager = StateManager::new(Arc::clone(&store));
    let step = StateScope::step("w", "s");
    let mut of_step = manager.watch(&step, &Pattern::any(), WatchFrom::Now).unwrap();
    let mut of_all = manager
        .watch_all(&Pattern::new("k*").unwrap(), WatchFrom::Now)
        .unwrap();
    let foreign = Key::new(&Partition::new("sys").unwrap(), "k").unwrap();
    store.put(foreign, "x").await.unwrap();
    let (inside, workflow) = (&step, &StateScope::workflow("w"));
    let both = manager.transaction(|tx| async move {
        tx.set(workflow, "k", &1).await?;
        tx.set(inside, "k", &1).await
    });
    both.await.unwrap();
    assert_eq!(next(&mut of_step).await.0, ["step:w/s k put"]);
    assert_eq!(next(&mut of_all).await.0, ["workflow:w k put", "step:w/s k put"]);
}

#[tokio::test]
async fn expiry_is_told_once() {
    let clock = clock();
    let options = MemoryOptions::default()
        .with_clock(clock.clone())
        .with_sweep_interval(Duration::from_millis(5));
    let manager = StateManager::new(Arc::new(MemoryBackend::new(options)));
    manager
        .set_with_ttl(A, "k", &1, Duration::from_secs(1))
        .await
        .unwrap();
    let mut watch = manager.watch(A, &Pattern::any(), WatchFrom::Now).unwrap();
    clock.advance_millis(1_000);
    assert_eq!(next(&mut watch).await.0, ["global k expired"]);
    manager.set(A, "k", &1).await.unwrap();
    assert_eq!(next(&mut watch).await.0, ["global k put"]);
}

#[tokio::test]
async fn a_watch_that_cannot_go_on_says_why() {
    let options = MemoryOptions::default().with_change_retention(4);
    let store = Arc::new(MemoryBackend::new(options));
    let manager = StateManager::new(store.clone());
    let first = manager.set(A, "k", &0).await.unwrap();
    let mut slow = manager
        .watch(A, &Pattern::any(), WatchFrom::After(first))
        .unwrap();
    manager.set(A, "k", &1).await.unwrap();
    next(&mut slow).await;
    for n in 0..20 {
        manager.set(A, "k", &n).await.unwrap();
    }
    assert!(matches!(slow.next().await.unwrap(), StateEvent::Lagged { .. }));
    let mut late = manager
        .watch(A, &Pattern::any(), WatchFrom::After(first))
        .unwrap();
    assert!(matches!(late.next().await.unwrap(), StateEvent::Compacted { .. }));
    let ahead = manager.watch(A, &Pattern::any(), WatchFrom::After(Revision::new(9_999)));
    assert_eq!(ahead.err().unwrap().kind(), ErrorKind::Invalid);
    let mut open = manager.watch(A, &Pattern::any(), WatchFrom::Now).unwrap();
    stead_core::Backend::close(&*store).await.unwrap();
    assert_eq!(open.next().await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_dropped_wait_loses_nothing() {
    let manager = manager();
    let mut watch = manager
        .watch(A, &Pattern::new("b").unwrap(), WatchFrom::Now)
        .unwrap();
    for _ in 0..3 {
        let waited = tokio::time::timeout(Duration::from_millis(1), watch.next()).await;
        assert!(waited.is_err());
        manager.set(A, "a", &1).await.unwrap();
    }
    manager.set(A, "b", &1).await.unwrap();
    assert_eq!(next(&mut watch).await.0, ["global b put"]);
}

#[tokio::test]
async fn a_value_that_becomes_ephemeral_shows_as_deleted() {
    let (manager, ..) = two_homes(&clock());
    let mut watch = manager.watch(A, &Pattern::any(), WatchFrom::Now).unwrap();
    manager.set(A, "k", &1).await.unwrap();
    manager
        .set_with_class(A, "k", &1, StateClass::Ephemeral)
        .await
        .unwrap();
    manager
        .set_with_class(A, "e", &1, StateClass::Ephemeral)
        .await
        .unwrap();
    manager.set(A, "k", &1).await.unwrap();
    let mut kinds = Vec::new();
    for _ in 0..3 {
        kinds.extend(next(&mut watch).await.0);
    }
    assert_eq!(kinds, ["global k put", "global k delete", "global k put"]);
    assert_eq!(ChangeKind::Delete.as_str(), "delete");
}
