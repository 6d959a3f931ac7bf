//! Optimistic transactions over batches: what was read is expected at its revision, what was scanned is counted.

use stead_core::{Expect, KeyRange, ReadExt, Scan, WriteBatch};

use crate::harness::{CaseResult, Context, cases, require, require_eq};
use crate::support::{Reading, Store, key, nth, prefix};

cases![
    lost_update_prevented,
    write_skew_prevented,
    phantom_prevented: COUNTS,
    phantom_by_delete_and_insert_prevented: COUNTS,
    no_dirty_read,
    own_writes_visible,
    read_only_transaction_validates,
    read_of_missing_key_is_checked,
    concurrent_write_skew_keeps_the_invariant,
    concurrent_inserts_keep_the_quota: COUNTS,
    serial_order_exists,
];

async fn lost_update_prevented(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("n", "10").await?;
    let (first, first_was) = store.number("n").await?;
    let (second, second_was) = store.number("n").await?;
    require!(
        store
            .cas("n", first_was, (first + 1).to_string())
            .await?
            .is_committed(),
        "the first writer commits"
    );
    let outcome = store.cas("n", second_was, (second + 1).to_string()).await?;
    require!(!outcome.is_committed(), "the second read what is no longer so");
    require_eq!(
        store.read("n").await?.as_deref(),
        Some("11"),
        "the first update is not lost"
    );
    Ok(())
}

async fn write_skew_prevented(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store
        .commit(
            WriteBatch::new()
                .put(key("alice"), "on call")
                .put(key("bob"), "on call"),
        )
        .await?;
    // Each reads both and goes home because the other stays.
    let (alice, bob) = (
        store.present("alice").await?.revision(),
        store.present("bob").await?.revision(),
    );
    let both = || {
        WriteBatch::new()
            .expect(key("alice"), Expect::At(alice))
            .expect(key("bob"), Expect::At(bob))
    };
    store.commit(both().put(key("alice"), "home")).await?;
    let conflict = store.reject(both().put(key("bob"), "home")).await?;
    require_eq!(
        conflict.key,
        Some(key("alice")),
        "what the second had read was changed by the first"
    );
    require_eq!(
        store.read("bob").await?.as_deref(),
        Some("on call"),
        "one of the two stays"
    );
    Ok(())
}

/// Expects a range to be just as it was read.
async fn as_scanned(store: &Store, range: &KeyRange) -> CaseResult<WriteBatch> {
    let items = store.collect(&Scan::new(range.clone())).await?;
    let batch = WriteBatch::new().expect_count(range.clone(), items.len() as u64);
    Ok(items.into_iter().fold(batch, |batch, item| match &item.entry {
        Some(entry) => batch.expect(item.key.clone(), Expect::At(entry.revision())),
        None => batch,
    }))
}

async fn phantom_prevented(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("task/1", "8 hours").await?;
    let seen = as_scanned(&store, &prefix("task/")).await?;
    store.write("task/2", "1 hour").await?;
    store.reject(seen.put(key("sum"), "8")).await?;
    let seen = as_scanned(&store, &prefix("task/")).await?;
    store.commit(seen.put(key("sum"), "9")).await?;
    Ok(())
}

async fn phantom_by_delete_and_insert_prevented(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..5 {
        store.write(&format!("task/{number}"), "x").await?;
    }
    // The number stays, the keys do not.
    let seen = as_scanned(&store, &prefix("task/")).await?;
    store
        .commit(WriteBatch::new().delete(key("task/3")).put(key("task/9"), "x"))
        .await?;
    store.reject(seen.put(key("done"), "1")).await?;
    // The keys stay, a value does not.
    let seen = as_scanned(&store, &prefix("task/")).await?;
    store.write("task/9", "y").await?;
    store.reject(seen.put(key("done"), "1")).await?;
    // A key goes and comes back.
    let seen = as_scanned(&store, &prefix("task/")).await?;
    store.remove("task/9").await?;
    store.write("task/9", "y").await?;
    store.reject(seen.put(key("done"), "1")).await?;
    require_eq!(
        store.read("done").await?,
        None,
        "none of these saw what it had scanned"
    );
    Ok(())
}

async fn no_dirty_read(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "clean").await?;
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for round in 0..200 {
            let batch = WriteBatch::new()
                .put(key("a"), "dirty")
                .put(key(nth(round)), "dirty")
                .expect(key("a"), Expect::Absent);
            writer.reject(batch).await?;
            tokio::task::yield_now().await;
        }
        CaseResult::Ok(())
    });
    while !writing.is_finished() {
        require_eq!(
            store.read("a").await?.as_deref(),
            Some("clean"),
            "a rejected write was seen by a read"
        );
        require_eq!(
            store.count(&prefix("k")).await?,
            0,
            "a rejected write was seen by a scan"
        );
        tokio::task::yield_now().await;
    }
    writing.await?
}

async fn own_writes_visible(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 0..100 {
        let batch = WriteBatch::new()
            .put(key("a"), round.to_string())
            .put(key(nth(round)), "x");
        let revision = store.commit(batch).await?;
        let entry = store.present("a").await?;
        require_eq!(
            entry.revision(),
            revision,
            "the writer reads its own commit at once"
        );
        require_eq!(
            store.count(&prefix("k")).await?,
            round as u64 + 1,
            "by scan as well"
        );
        store
            .commit(WriteBatch::new().expect(key("a"), Expect::At(revision)))
            .await?;
    }
    Ok(())
}

async fn read_only_transaction_validates(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let a = store.write("a", "1").await?;
    let b = store.write("b", "1").await?;
    let check = || {
        WriteBatch::new()
            .expect(key("a"), Expect::At(a))
            .expect(key("b"), Expect::At(b))
    };
    store.commit(check()).await?;
    store.write("c", "1").await?;
    store.commit(check()).await?;
    store.write("b", "2").await?;
    store.reject(check()).await?;
    Ok(())
}

async fn read_of_missing_key_is_checked(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let batch = || {
        WriteBatch::new()
            .expect(key("reserved"), Expect::Absent)
            .put(key("order"), "1")
    };
    store.commit(batch()).await?;
    store.write("reserved", "x").await?;
    store.reject(batch()).await?;
    Ok(())
}

async fn concurrent_write_skew_keeps_the_invariant(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 0..25 {
        store
            .commit(WriteBatch::new().put(key("x"), "1").put(key("y"), "1"))
            .await?;
        let tasks: Vec<_> = ["x", "y"]
            .into_iter()
            .map(|mine| {
                let store = store.clone();
                tokio::spawn(async move {
                    let (x, x_was) = store.number("x").await?;
                    let (y, y_was) = store.number("y").await?;
                    if x + y < 2 {
                        return CaseResult::Ok(());
                    }
                    let batch = WriteBatch::new()
                        .expect(key("x"), x_was)
                        .expect(key("y"), y_was)
                        .put(key(mine), "0");
                    // Who comes second is rejected, which is what this is about.
                    let _ = store.apply(batch).await?;
                    Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        let sum = store.number("x").await?.0 + store.number("y").await?.0;
        require_eq!(sum, 1, "round {round}: just one of two may go to 0");
    }
    Ok(())
}

async fn concurrent_inserts_keep_the_quota(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let tasks: Vec<_> = (0..6)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..30 {
                    let taken = store.count(&prefix("seat/")).await?;
                    if taken >= 20 {
                        return CaseResult::Ok(());
                    }
                    let batch = WriteBatch::new()
                        .expect_count(prefix("seat/"), taken)
                        .put(key(format!("seat/{task}-{round}")), "x");
                    // A task whose count is out of date tries again in the next round.
                    let _ = store.apply(batch).await?;
                    tokio::task::yield_now().await;
                }
                Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let taken = store.count(&prefix("seat/")).await?;
    require!(
        taken <= 20,
        "a quota of 20 that each insert checks was passed: {taken}"
    );
    require!(taken >= 6, "and inserts do get through: {taken}");
    Ok(())
}

async fn serial_order_exists(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store
        .commit(WriteBatch::new().put(key("log"), "").put(key("length"), "0"))
        .await?;
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..15 {
                    append(&store, task).await?;
                }
                CaseResult::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let log = store.read("log").await?.unwrap_or_default();
    require_eq!(
        log.len(),
        60,
        "60 transactions that add a letter make a log of 60"
    );
    require_eq!(
        store.number("length").await?.0,
        60,
        "and the length that each wrote beside it agrees"
    );
    for letter in ["0", "1", "2", "3"] {
        require_eq!(log.matches(letter).count(), 15, "each task's letters are there");
    }
    Ok(())
}

/// Reads a log and its length, and adds one letter to both.
async fn append(store: &Store, task: usize) -> CaseResult {
    loop {
        let log = store.present("log").await?;
        let (length, length_was) = store.number("length").await?;
        let batch = WriteBatch::new()
            .expect(key("log"), Expect::At(log.revision()))
            .expect(key("length"), length_was)
            .put(key("log"), format!("{}{task}", crate::support::text(&log)))
            .put(key("length"), (length + 1).to_string());
        if store.apply(batch).await?.is_committed() {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}
