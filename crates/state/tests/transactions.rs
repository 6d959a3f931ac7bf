//! Transactions: all or nothing, nothing in between, on stores that declare much and little.

mod common;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use common::{Yielding, clock, manager, memory, reference};
use serde_json::json;
use stead_core::{
    Backend, Direction, Durability, Error, ErrorKind, Expiry, Extent, RequestId, Revision, Timestamp,
};
use stead_state::{ListOptions, SetIf, SetOptions, StateManager, StateScope, TransactionOptions, Tx};

const A: StateScope = StateScope::Global;

static USUAL: LazyLock<TransactionOptions> = LazyLock::new(TransactionOptions::default);

/// Stores on which transactions must hold alike: with snapshots and without, answering at once and later.
fn stores() -> Vec<(&'static str, Arc<dyn Backend>)> {
    vec![
        ("memory", memory(&clock())),
        ("yielding", Arc::new(Yielding(memory(&clock())))),
        (
            "without snapshots",
            Arc::new(Yielding(reference(|c| c.snapshots = false))),
        ),
        (
            "by partition",
            Arc::new(Yielding(reference(|c| {
                c.atomicity = Extent::Partition;
                c.revision_order = Extent::Partition;
            }))),
        ),
    ]
}

#[tokio::test]
async fn writes_commit_together_at_one_revision() {
    for (name, store) in stores() {
        let manager = StateManager::new(store);
        let options = TransactionOptions::default().with_durability(Durability::Buffered);
        let done = manager.transaction_with(&options, |tx| async move {
            tx.set(A, "a", &1).await?;
            tx.set(A, "b", &2).await?;
            assert!(!tx.delete(A, "none").await?);
            Ok("done")
        });
        let done = done.await.unwrap();
        assert_eq!((done.value, done.attempts), ("done", 1), "{name}");
        for key in ["a", "b"] {
            let entry = manager.get_entry(A, key).await.unwrap().unwrap();
            assert_eq!(entry.revision(), done.revision, "{name}");
        }
    }
}

#[tokio::test]
async fn an_error_of_the_closure_writes_nothing() {
    for (name, store) in stores() {
        let manager = StateManager::new(store);
        let runs = AtomicU32::new(0);
        let runs_seen = &runs;
        let failed = manager.transaction(|tx| async move {
            runs_seen.fetch_add(1, Ordering::SeqCst);
            assert_eq!(tx.get(A, "a").await?, None);
            tx.set(A, "a", &1).await?;
            Err::<(), _>(Error::invalid("not enough"))
        });
        assert_eq!(failed.await.unwrap_err().message(), "not enough", "{name}");
        assert_eq!(runs.load(Ordering::SeqCst), 1, "{name}");
        assert_eq!(manager.get(A, "a").await.unwrap(), None, "{name}");
    }
}

#[tokio::test]
async fn own_writes_are_seen_inside_and_only_there() {
    for (name, store) in stores() {
        let manager = StateManager::new(store);
        manager
            .set_many(A, [("kept", 1), ("gone", 2), ("over", 3)])
            .await
            .unwrap();
        let outside = manager.clone();
        let seen = manager.transaction(|tx| {
            let outside = outside.clone();
            async move {
                tx.set(A, "new", &4).await?;
                tx.set(A, "over", &5).await?;
                assert!(tx.delete(A, "gone").await?);
                assert!(!tx.delete(A, "gone").await?);
                assert_eq!(tx.get(A, "over").await?, Some(json!(5)));
                assert_eq!(tx.get_as::<u8>(A, "new").await?, Some(4));
                assert_eq!(tx.get(A, "gone").await?, None);
                assert!(!tx.exists(A, "gone").await?);
                assert_eq!(tx.get_entry(A, "new").await?.unwrap().revision(), Revision::ZERO);
                assert_eq!(tx.increment(A, "new", 1).await?, 5);
                let patch = json!([{"op": "replace", "path": "", "value": [1]}]);
                assert_eq!(tx.patch(A, "new", &patch).await?, Some(json!([1])));
                assert!(tx.set_bytes(A, "raw", b"\xff", &SetOptions::default()).await?);
                assert_eq!(&tx.get_bytes(A, "raw").await?.unwrap()[..], b"\xff");
                assert_eq!(outside.list_keys(A).await?, ["gone", "kept", "over"]);
                assert_eq!(tx.count(A).await?, 4);
                let values = tx.list(A, &ListOptions::default().with_prefix("o")).await?;
                assert_eq!(values[0].value()?, json!(5));
                tx.list_keys(A).await
            }
        });
        assert_eq!(seen.await.unwrap(), ["kept", "new", "over", "raw"], "{name}");
        assert_eq!(
            manager.list_keys(A).await.unwrap(),
            ["kept", "new", "over", "raw"],
            "{name}"
        );
    }
}

#[tokio::test]
async fn limited_lists_see_own_writes_and_deletes_in_both_directions() {
    let manager = manager();
    manager
        .set_many(A, ["b", "d", "f", "h"].map(|key| (key, 1)))
        .await
        .unwrap();
    let lists = manager.transaction(|tx| async move {
        for key in ["a", "e", "i"] {
            tx.set(A, key, &2).await?;
        }
        for key in ["b", "h"] {
            tx.delete(A, key).await?;
        }
        let mut lists = Vec::new();
        for direction in [Direction::Forward, Direction::Reverse] {
            for limit in 0..6 {
                let options = ListOptions::default().with_direction(direction).with_limit(limit);
                lists.push(tx.list_keys_with(A, &options).await?.concat());
            }
        }
        let after = ListOptions::default().with_after("d").with_limit(2);
        lists.push(tx.list_keys_with(A, &after).await?.concat());
        Ok(lists)
    });
    let expected = [
        "", "a", "ad", "ade", "adef", "adefi", "", "i", "if", "ife", "ifed", "ifeda", "ef",
    ];
    assert_eq!(lists.await.unwrap(), expected);
}

#[tokio::test]
async fn the_last_of_several_writes_counts_and_deadlines_follow() {
    let manager = manager();
    let deadline = Timestamp::from_millis(5_000_000);
    let at = SetOptions::default().with_expiry(Expiry::At(deadline));
    let keep = SetOptions::default().with_expiry(Expiry::Keep);
    manager.set_many(A, [("touched", 1), ("again", 1)]).await.unwrap();
    let (at, keep) = (&at, &keep);
    let written = manager.transaction(|tx| async move {
        tx.set_with(A, "kept", &1, at).await?;
        tx.set_with(A, "kept", &2, keep).await?;
        tx.set_with(A, "never", &1, at).await?;
        tx.set(A, "never", &2).await?;
        assert!(tx.touch(A, "touched", Expiry::At(deadline)).await?);
        tx.set_with(A, "touched", &2, keep).await?;
        tx.touch(A, "again", Expiry::At(deadline)).await?;
        tx.touch(A, "again", Expiry::Keep).await?;
        assert_eq!(tx.get(A, "again").await?, Some(json!(1)));
        assert!(!tx.touch(A, "missing", Expiry::Never).await?);
        tx.set_with(A, "back", &1, at).await?;
        tx.delete(A, "back").await?;
        tx.set_with(A, "back", &2, keep).await?;
        Ok(())
    });
    written.await.unwrap();
    for (key, value, expected) in [
        ("kept", 2, Some(deadline)),
        ("never", 2, None),
        ("touched", 2, Some(deadline)),
        ("again", 1, Some(deadline)),
        ("back", 2, None),
    ] {
        let entry = manager.get_entry(A, key).await.unwrap().unwrap();
        assert_eq!(
            (entry.value().unwrap(), entry.deadline()),
            (json!(value), expected),
            "{key}"
        );
    }
}

#[tokio::test]
async fn conditions_inside_are_judged_by_what_the_transaction_sees() {
    let manager = manager();
    let first = manager.set(A, "k", &1).await.unwrap();
    let held = manager.transaction(|tx| async move {
        let with = |condition| SetOptions::default().with_condition(condition);
        let mut held = Vec::new();
        for (key, condition) in [
            ("k", SetIf::Absent),
            ("k", SetIf::Present),
            ("new", SetIf::Present),
            ("new", SetIf::Absent),
            ("new", SetIf::Absent),
            ("k", SetIf::Revision(first)),
        ] {
            held.push(tx.set_with(A, key, &2, &with(condition)).await?);
        }
        let durable = SetOptions::default().with_durability(Durability::Durable);
        assert_eq!(
            tx.set_with(A, "k", &1, &durable).await.unwrap_err().kind(),
            ErrorKind::Invalid
        );
        Ok(held)
    });
    // The last is of a value that this transaction has overwritten.
    assert_eq!(held.await.unwrap(), [false, true, false, true, false, false]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn transfers_under_contention_keep_the_sum() {
    for (name, store) in stores() {
        let manager = StateManager::new(store);
        let accounts = ["a", "b", "c", "d"];
        manager.set_many(A, accounts.map(|key| (key, 100))).await.unwrap();
        let tasks: Vec<_> = (0..16)
            .map(|task| {
                let manager = manager.clone();
                tokio::spawn(async move {
                    for round in 0..10 {
                        let (from, to) = (accounts[(task + round) % 4], accounts[(task + round + 1) % 4]);
                        let options = TransactionOptions::default().with_max_attempts(10_000);
                        let moved = manager.transaction_with(&options, |tx| async move {
                            let left = tx.get_as::<i64>(A, from).await?.unwrap_or(0);
                            let right = tx.get_as::<i64>(A, to).await?.unwrap_or(0);
                            tx.set(A, from, &(left - 7)).await?;
                            tx.set(A, to, &(right + 7)).await
                        });
                        moved.await.unwrap();
                        let sum = manager.transaction_with(&options, |tx| async move {
                            let mut sum = 0;
                            for entry in tx.list(A, &ListOptions::default()).await? {
                                sum += entry.value_as::<i64>()?;
                            }
                            Ok(sum)
                        });
                        assert_eq!(sum.await.unwrap().value, 400);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

/// Two doctors may go off duty only while the other stays on: the classic write skew.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn write_skew_is_prevented() {
    for (name, store) in stores() {
        let manager = StateManager::new(store);
        for _ in 0..30 {
            manager
                .set_many(A, [("alice", true), ("bob", true)])
                .await
                .unwrap();
            let leave = |who: &'static str, other: &'static str| {
                let manager = manager.clone();
                tokio::spawn(async move {
                    let left = manager.transaction(|tx| async move {
                        if tx.get_as::<bool>(A, other).await? == Some(true) {
                            tokio::task::yield_now().await;
                            tx.set(A, who, &false).await?;
                        }
                        Ok(())
                    });
                    left.await.unwrap();
                })
            };
            let (first, second) = (leave("alice", "bob"), leave("bob", "alice"));
            first.await.unwrap();
            second.await.unwrap();
            let on_duty = manager.get_many(A, &["alice", "bob"]).await.unwrap();
            assert!(on_duty.contains(&Some(json!(true))), "{name}");
        }
    }
}

/// Each adds a row only if there are fewer than three: without a check of the range there would be more.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn phantoms_are_prevented() {
    for (name, store) in stores() {
        let manager = StateManager::new(store);
        for round in 0..15 {
            let scope = StateScope::agent(format!("{round}"));
            let tasks: Vec<_> = (0..8)
                .map(|task| {
                    let (manager, scope) = (manager.clone(), scope.clone());
                    tokio::spawn(async move {
                        let options = TransactionOptions::default().with_max_attempts(10_000);
                        let added = manager.transaction_with(&options, |tx| {
                            let scope = scope.clone();
                            async move {
                                let limited = ListOptions::default().with_prefix("row/").with_limit(3);
                                let rows = tx.list_keys_with(&scope, &limited).await?;
                                tokio::task::yield_now().await;
                                if rows.len() < 3 {
                                    tx.set(&scope, &format!("row/{task}"), &1).await?;
                                }
                                Ok(())
                            }
                        });
                        added.await.unwrap();
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(manager.count(&scope).await.unwrap(), 3, "{name}");
        }
    }
}

/// One interloper, at the worst moment, for each thing that a transaction can have seen.
#[tokio::test]
async fn whatever_was_seen_and_changed_runs_the_closure_again() {
    for (name, store) in stores() {
        for case in 0..6 {
            let manager = StateManager::new(Arc::clone(&store));
            manager.clear_scope(A).await.unwrap();
            manager
                .set_many(A, ["b", "d", "f"].map(|key| (key, 0)))
                .await
                .unwrap();
            let outside = manager.clone();
            let run = AtomicU32::new(0);
            let run = &run;
            let done = manager.transaction_with(&USUAL, |tx| {
                let outside = outside.clone();
                async move {
                    let limited = ListOptions::default().with_limit(2);
                    let reversed = limited.clone().with_direction(Direction::Reverse);
                    match case {
                        0 => drop(tx.get(A, "missing").await?),
                        1 => drop(tx.get(A, "b").await?),
                        2 | 3 => drop(tx.list_keys_with(A, &limited).await?),
                        4 => drop(tx.list_keys_with(A, &reversed).await?),
                        _ => drop(tx.list(A, &limited).await?),
                    }
                    tx.set(A, "mine", &1).await?;
                    if run.fetch_add(1, Ordering::SeqCst) == 0 {
                        match case {
                            0 => drop(outside.set(A, "missing", &1).await?),
                            1 | 5 => drop(outside.set(A, "b", &1).await?),
                            2 => drop(outside.set(A, "c", &1).await?),
                            // One comes and one goes: the number stays the same.
                            3 => {
                                outside.delete(A, "b").await?;
                                outside.set(A, "a", &1).await?;
                            }
                            _ => drop(outside.set(A, "e", &1).await?),
                        }
                    }
                    Ok(())
                }
            });
            assert_eq!(done.await.unwrap().attempts, 2, "{name}, case {case}");
        }
    }
}

/// What was not looked at may change.
#[tokio::test]
async fn what_was_not_seen_does_not_disturb() {
    for (name, store) in stores() {
        let manager = StateManager::new(store);
        manager
            .set_many(A, ["b", "d", "f"].map(|key| (key, 0)))
            .await
            .unwrap();
        let outside = manager.clone();
        let done = manager.transaction_with(&USUAL, |tx| {
            let outside = outside.clone();
            async move {
                let limited = ListOptions::default().with_limit(2);
                assert_eq!(tx.list_keys_with(A, &limited).await?, ["b", "d"]);
                outside.set(A, "e", &1).await?;
                outside.set(A, "b", &1).await?;
                tx.set(A, "z", &1).await?;
                outside.set(A, "z", &2).await?;
                Ok(())
            }
        });
        assert_eq!(done.await.unwrap().attempts, 1, "{name}");
        assert_eq!(manager.get(A, "z").await.unwrap(), Some(json!(1)), "{name}");
    }
}

#[tokio::test]
async fn reads_are_of_one_instant_where_there_are_snapshots() {
    let manager = manager();
    manager.set_many(A, [("a", 1), ("b", 1)]).await.unwrap();
    let outside = manager.clone();
    let seen = manager.transaction_with(&USUAL, |tx| {
        let outside = outside.clone();
        async move {
            let a = tx.get_as::<i64>(A, "a").await?;
            outside.set_many(A, [("a", 2), ("b", 2)]).await?;
            Ok((
                a,
                tx.get_as::<i64>(A, "b").await?,
                tx.get_as::<i64>(A, "a").await?,
            ))
        }
    });
    let seen = seen.await.unwrap();
    // It only read: what it saw was true at one instant, so there is nothing to run again.
    assert_eq!((seen.value, seen.attempts), ((Some(1), Some(1), Some(1)), 1));
}

/// Without snapshots a closure may see two instants and stumble over it; that is not the caller's failure.
#[tokio::test]
async fn an_error_from_a_torn_view_runs_again() {
    let manager = StateManager::new(reference(|c| c.snapshots = false));
    manager.set_many(A, [("a", 1), ("b", 1)]).await.unwrap();
    let outside = manager.clone();
    let run = AtomicU32::new(0);
    let run = &run;
    let done = manager.transaction_with(&USUAL, |tx| {
        let outside = outside.clone();
        async move {
            let a = tx.get(A, "a").await?;
            if run.fetch_add(1, Ordering::SeqCst) == 0 {
                outside.set_many(A, [("a", 2), ("b", 2)]).await?;
            }
            if tx.get(A, "b").await? == a {
                Ok(())
            } else {
                Err(Error::internal("the two never differ"))
            }
        }
    });
    assert_eq!(done.await.unwrap().attempts, 2);
}

#[tokio::test]
async fn attempts_run_out_with_a_conflict() {
    let manager = manager();
    let outside = manager.clone();
    let options = TransactionOptions::default().with_max_attempts(3);
    let run = AtomicU32::new(0);
    let run = &run;
    let lost = manager.transaction_with(&options, |tx| {
        let outside = outside.clone();
        async move {
            run.fetch_add(1, Ordering::SeqCst);
            tx.get(A, "k").await?;
            outside.increment(A, "k", 1).await?;
            tx.set(A, "mine", &1).await
        }
    });
    let error = lost.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("attempts=3"), "{error}");
    assert_eq!(run.load(Ordering::SeqCst), 3);
    assert!(!manager.exists(A, "mine").await.unwrap());
}

#[tokio::test]
async fn two_partitions_are_refused_where_they_cannot_commit_together() {
    let manager = StateManager::new(reference(|c| c.atomicity = Extent::Partition));
    let two = |read: bool| {
        manager.transaction(move |tx| async move {
            tx.set(StateScope::workflow("w"), "k", &1).await?;
            tx.set(StateScope::step("w", "s"), "k", &1).await?;
            if read {
                tx.get(StateScope::workflow("other"), "k").await?;
            } else {
                tx.set(StateScope::workflow("other"), "k", &1).await?;
            }
            Ok(())
        })
    };
    for read in [true, false] {
        let error = two(read).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("workflow:other"), "{error}");
    }
    assert_eq!(manager.count(StateScope::workflow("w")).await.unwrap(), 0);
    let one = manager.transaction(|tx| async move {
        tx.set(StateScope::workflow("w"), "k", &1).await?;
        tx.set(StateScope::step("w", "s"), "k", &1).await
    });
    one.await.unwrap();
    assert!(manager.exists(StateScope::step("w", "s"), "k").await.unwrap());
}

#[tokio::test]
async fn listing_without_range_preconditions_is_refused() {
    let manager = StateManager::new(reference(|c| c.range_preconditions = false));
    let listed = manager.transaction(|tx| async move { tx.list_keys(A).await });
    assert_eq!(listed.await.unwrap_err().kind(), ErrorKind::Unsupported);
    let read = manager.transaction(|tx| async move {
        tx.get(A, "k").await?;
        tx.set(A, "k", &1).await
    });
    read.await.unwrap();
}

#[tokio::test]
async fn a_handle_that_outlives_its_closure_is_refused() {
    let manager = manager();
    let kept = manager.transaction(|tx| async move {
        tx.set(A, "k", &1).await?;
        Ok(tx)
    });
    let kept: Tx = kept.await.unwrap();
    assert_eq!(kept.get(A, "k").await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(kept.set(A, "k", &2).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(manager.get(A, "k").await.unwrap(), Some(json!(1)));
}

#[tokio::test]
async fn a_request_id_commits_at_most_once() {
    let manager = manager();
    let options = TransactionOptions::default().with_request_id(RequestId::new("pay-7").unwrap());
    let blind = || manager.transaction_with(&options, |tx| async move { tx.set(A, "k", &1).await });
    let first = blind().await.unwrap();
    manager.set(A, "k", &2).await.unwrap();
    assert_eq!(blind().await.unwrap().revision, first.revision);
    assert_eq!(manager.get(A, "k").await.unwrap(), Some(json!(2)));

    let options = TransactionOptions::default().with_request_id(RequestId::new("pay-8").unwrap());
    let counting = || manager.transaction_with(&options, |tx| async move { tx.increment(A, "n", 1).await });
    assert_eq!(counting().await.unwrap().value, 1);
    assert_eq!(counting().await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(manager.get(A, "n").await.unwrap(), Some(json!(1)));

    let long = TransactionOptions::default().with_request_id(RequestId::new([b'x'; 61]).unwrap());
    let error = manager
        .transaction_with(&long, |tx| async move { tx.set(A, "k", &1).await })
        .await
        .unwrap_err();
    assert!(error.to_string().contains("limit_bytes=60"), "{error}");
}

#[tokio::test]
async fn too_large_a_transaction_is_refused_with_the_limit() {
    let manager = StateManager::new(reference(|c| c.limits.batch_operations = 10));
    let large = manager.transaction(|tx| async move {
        for n in 0..11 {
            tx.set(A, &n.to_string(), &n).await?;
        }
        Ok(())
    });
    let error = large.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("operations=11 limit=10"), "{error}");
    assert_eq!(manager.count(A).await.unwrap(), 0);
}
