//! The end of a store, its numbers and its check.

use std::sync::atomic::{AtomicU64, Ordering};

use stead_core::{ErrorKind, Expect, ReadExt, Scan, WatchEvent, WatchSpec, WriteBatch};

use crate::harness::{CaseResult, Context, Failure, cases, require, require_eq};
use crate::support::{Reading, after, home, key, nth};

cases![
    everything_is_closed_after_close,
    snapshot_and_watch_are_closed: SNAPSHOTS + WATCH,
    close_twice_ok,
    writers_at_close_get_an_outcome_or_closed,
    acknowledged_before_close_is_there_after: PERSISTENCE,
    watcher_ends_at_close: WATCH,
    waiting_watcher_is_woken_by_close: WATCH,
    watcher_delivers_what_is_left_at_close: WATCH,
    stats_of_a_new_store,
    entries_are_counted,
    bytes_are_counted,
    hits_and_misses_are_counted,
    commits_and_conflicts_are_counted,
    revision_is_told,
    expired_are_counted: TTL,
    overwritten_expired_is_counted: TTL,
    check_reads_everything,
    check_tells_progress,
    check_during_writes,
];

#[track_caller]
fn closed<T>(result: stead_core::Result<T>) -> CaseResult {
    match result {
        Ok(_) => Err(Failure::new("a closed store still answers")),
        Err(error) if error.kind() == ErrorKind::Closed => Ok(()),
        Err(error) => Err(Failure::new(format!("a closed store fails otherwise: {error:?}"))),
    }
}

async fn everything_is_closed_after_close(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "1").await?;
    store.close().await?;
    closed(store.get(&key("a")).await)?;
    closed(store.get_many(&[key("a")]).await)?;
    closed(store.scan(&Scan::new(home())))?;
    closed(store.apply(WriteBatch::new().put(key("a"), "2")).await)?;
    closed(
        store
            .apply(WriteBatch::new().expect(key("a"), Expect::Present))
            .await,
    )?;
    closed(store.sync().await)?;
    closed(store.stats().await)?;
    closed(store.check(&|_| ()).await)?;
    require!(
        !store.capabilities().name.is_empty(),
        "only what it could do can still be asked"
    );
    Ok(())
}

async fn snapshot_and_watch_are_closed(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.close().await?;
    closed(store.snapshot().await)?;
    closed(store.watch(&WatchSpec::new(home())))
}

async fn close_twice_ok(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "1").await?;
    store.close().await?;
    store.close().await?;
    let both = [store.clone(), store.clone()].map(|store| tokio::spawn(async move { store.close().await }));
    for one in both {
        one.await??;
    }
    Ok(())
}

async fn writers_at_close_get_an_outcome_or_closed(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let writers: Vec<_> = (0..6)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..2_000 {
                    match store.write(&format!("{task}/{}", nth(round)), "x").await {
                        Ok(_) => tokio::task::yield_now().await,
                        Err(error) => return (round, Some(error)),
                    }
                }
                (2_000, None)
            })
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    store.close().await?;
    for writer in writers {
        let (round, error) = writer.await?;
        if let Some(error) = error {
            require_eq!(
                error.kind(),
                ErrorKind::Closed,
                "write {round} met the close: {error}"
            );
        }
    }
    Ok(())
}

async fn acknowledged_before_close_is_there_after(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let writers: Vec<_> = (0..4)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for round in 0..2_000 {
                    let path = format!("{task}/{}", nth(round));
                    let Ok(revision) = store.write(&path, "x").await else {
                        break;
                    };
                    acknowledged.push((path, revision));
                    tokio::task::yield_now().await;
                }
                acknowledged
            })
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    store.close().await?;
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await?);
    }
    drop(store);
    let store = cx.open().await?;
    for (path, revision) in &acknowledged {
        require_eq!(
            store.present(path).await?.revision(),
            *revision,
            "what was acknowledged is there"
        );
    }
    // What nobody was told about may be there or not, but not more than the write under way of each writer.
    let found = store.list(home()).await?.len();
    require!(
        (acknowledged.len()..=acknowledged.len() + 4).contains(&found),
        "{} writes were acknowledged, {found} are there",
        acknowledged.len()
    );
    Ok(())
}

async fn watcher_ends_at_close(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watcher = store.follow()?;
    store.close().await?;
    for _ in 0..2 {
        closed(watcher.next().await)?;
    }
    Ok(())
}

async fn waiting_watcher_is_woken_by_close(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watcher = store.follow()?;
    let waiting = tokio::spawn(async move { watcher.next().await });
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    store.close().await?;
    match tokio::time::timeout(cx.patience(), waiting).await {
        Ok(event) => closed(event?),
        Err(_) => Err(Failure::new("a watcher that waits is not woken by the close")),
    }
}

async fn watcher_delivers_what_is_left_at_close(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watcher = store.follow()?;
    let mut expected = Vec::new();
    for number in 0..20 {
        expected.push(store.write(&nth(number), "x").await?);
    }
    store.close().await?;
    for revision in expected {
        match watcher.next().await? {
            WatchEvent::Changes(set) => {
                require_eq!(set.revision, revision, "what was committed is still told");
            }
            other => return Err(Failure::new(format!("the watch ended early: {other:?}"))),
        }
    }
    closed(watcher.next().await)
}

async fn stats_of_a_new_store(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let stats = store.stats().await?;
    let zeros = [
        stats.entries,
        stats.bytes,
        stats.hits,
        stats.misses,
        stats.commits,
        stats.conflicts,
        stats.expired,
    ];
    require_eq!(zeros, [0; 7], "nothing has happened in a new store");
    require_eq!(
        stats.revision,
        stead_core::Revision::ZERO,
        "nor has anything been committed"
    );
    Ok(())
}

async fn entries_are_counted(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..30 {
        store.write(&nth(number), "x").await?;
    }
    require_eq!(store.stats().await?.entries, 30, "each new key is an entry");
    store.write(&nth(0), "longer").await?;
    store.remove(&nth(1)).await?;
    store.remove("missing").await?;
    store
        .commit(WriteBatch::new().put(key("t"), "1").delete(key("t")))
        .await?;
    store
        .commit(
            WriteBatch::new()
                .delete(key(nth(2)))
                .put(key(nth(2)), "y")
                .put(key(nth(2)), "z"),
        )
        .await?;
    require_eq!(
        store.stats().await?.entries,
        29,
        "overwrites add none, deletes take one away"
    );
    Ok(())
}

async fn bytes_are_counted(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    require_eq!(store.stats().await?.bytes, 0, "an empty store holds no bytes");
    store.write("a", vec![0; 1_000]).await?;
    let with_one = store.stats().await?.bytes;
    require!(
        (1_001..1_100).contains(&with_one),
        "key and value are counted, and little besides: {with_one}"
    );
    store.write("a", vec![0; 500]).await?;
    require_eq!(
        store.stats().await?.bytes,
        with_one - 500,
        "a smaller value takes less"
    );
    store.write("b", vec![0; 500]).await?;
    store.remove("b").await?;
    require_eq!(
        store.stats().await?.bytes,
        with_one - 500,
        "what is deleted takes nothing"
    );
    store.remove("a").await?;
    require_eq!(store.stats().await?.bytes, 0, "an emptied store holds no bytes");
    Ok(())
}

async fn hits_and_misses_are_counted(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "1").await?;
    let before = store.stats().await?;
    for _ in 0..7 {
        store.read("a").await?;
    }
    for _ in 0..4 {
        store.read("missing").await?;
    }
    let now = store.stats().await?;
    require_eq!(now.hits - before.hits, 7, "point reads that found something");
    require_eq!(now.misses - before.misses, 4, "point reads that found nothing");
    Ok(())
}

async fn commits_and_conflicts_are_counted(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for _ in 0..5 {
        store.write("a", "1").await?;
    }
    for _ in 0..3 {
        store
            .reject(
                WriteBatch::new()
                    .expect(key("a"), Expect::Absent)
                    .put(key("a"), "2"),
            )
            .await?;
    }
    let stats = store.stats().await?;
    require_eq!(stats.commits, 5, "batches that were committed");
    require_eq!(stats.conflicts, 3, "batches that were rejected");
    Ok(())
}

async fn revision_is_told(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 0..5 {
        let revision = store.write("a", round.to_string()).await?;
        let stats = store.stats().await?;
        require_eq!(stats.revision, revision, "the newest revision is told");
        require!(stats.oldest_revision <= revision, "a watch may begin somewhere");
    }
    Ok(())
}

async fn expired_are_counted(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write_with("a", "1", after(10)).await?;
    store.write_with("b", "1", after(10)).await?;
    store.write("c", "1").await?;
    require_eq!(store.stats().await?.expired, 0, "nothing has expired");
    cx.clock().advance_millis(10);
    cx.swept(&store, 1).await?;
    cx.expired(&store, 2).await?;
    require_eq!(
        store.stats().await?.expired,
        2,
        "what was removed for its deadline is counted once"
    );
    Ok(())
}

async fn overwritten_expired_is_counted(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 1..=10 {
        store.write_with("a", "1", after(10)).await?;
        cx.clock().advance_millis(10);
        store.write("a", "2").await?;
        // Whether the sweeper or the write was quicker.
        cx.expired(&store, round).await?;
        require_eq!(
            store.stats().await?.expired,
            round,
            "an expired entry that is overwritten has expired once"
        );
    }
    require_eq!(store.stats().await?.entries, 1, "one entry is there");
    Ok(())
}

async fn check_reads_everything(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    require_eq!(store.check(&|_| ()).await?.entries, 0, "an empty store checks");
    let batch = (0..500).fold(WriteBatch::new(), |batch, number| {
        batch.put(key(nth(number)), "x")
    });
    store.commit(batch).await?;
    for number in 0..100 {
        store.remove(&nth(number)).await?;
        store.write(&nth(number + 100), "y").await?;
    }
    let report = store.check(&|_| ()).await?;
    require_eq!(report.entries, 400, "every entry was read");
    require!(report.records >= 400, "entries are records: {report:?}");
    Ok(())
}

async fn check_tells_progress(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let batch = (0..5_000).fold(WriteBatch::new(), |batch, number| {
        batch.put(key(nth(number)), "x")
    });
    store.commit(batch).await?;
    let told = AtomicU64::new(0);
    let backwards = AtomicU64::new(0);
    let progress = |records| {
        let before = told.fetch_max(records, Ordering::SeqCst);
        if before > records {
            backwards.fetch_add(1, Ordering::SeqCst);
        }
    };
    let report = store.check(&progress).await?;
    require_eq!(report.entries, 5_000, "every entry was read");
    require!(
        told.load(Ordering::SeqCst) <= report.records,
        "no more is told than was read"
    );
    require_eq!(backwards.load(Ordering::SeqCst), 0, "progress never goes back");
    Ok(())
}

async fn check_during_writes(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for round in 0..200 {
            writer.write(&nth(round % 20), "x").await?;
            if round % 3 == 0 {
                writer.remove(&nth(round % 7)).await?;
            }
            tokio::task::yield_now().await;
        }
        CaseResult::Ok(())
    });
    while !writing.is_finished() {
        store.check(&|_| ()).await?;
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    writing.await??;
    let report = store.check(&|_| ()).await?;
    require_eq!(
        report.entries,
        store.count(&home()).await?,
        "a check under writes finds no fault in a good store"
    );
    Ok(())
}
