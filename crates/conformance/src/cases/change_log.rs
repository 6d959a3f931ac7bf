//! How far back a watch reaches, and what it says when it doesn't.

use stead_core::{Revision, WatchEvent};

use crate::harness::{CaseResult, Context, Failure, cases, require, require_eq, require_matches};
use crate::support::{Reading, Store, home, nth};

cases![
    compacted_signalled: WATCH + SHORT_LOG,
    slow_watcher_told: WATCH + SHORT_LOG,
    told_once_and_for_all: WATCH + SHORT_LOG,
    oldest_revision_can_be_watched_from: WATCH + SHORT_LOG,
    oldest_revision_is_the_lowest: WATCH + SHORT_LOG,
    log_keeps_what_it_promises: WATCH + SHORT_LOG,
    recover_by_snapshot_after_lag: WATCH + SHORT_LOG + SNAPSHOTS,
    quick_reader_is_never_told: WATCH + SHORT_LOG,
    no_loss_compacting_on_delete: WATCH + SHORT_LOG,
    whole_log_is_there_before_compaction: WATCH,
];

/// Writes until the log no longer reaches back to `revision`, and gives the revisions written.
async fn overrun(store: &Store, revision: Revision) -> CaseResult<Vec<Revision>> {
    let mut written = Vec::new();
    while written.len() < 20_000 {
        for number in 0..100 {
            written.push(store.write(&nth(number), "x").await?);
        }
        if store.stats().await?.oldest_revision > revision {
            return Ok(written);
        }
    }
    Err(Failure::new(
        "a log of 64 change sets was not cut after 20,000 commits",
    ))
}

async fn compacted_signalled(cx: &Context) -> CaseResult {
    let store = cx.open_with_short_log().await?;
    let first = store.write("a", "1").await?;
    overrun(&store, first).await?;
    for from in [Revision::ZERO, first] {
        let mut watcher = store.follow_after(from)?;
        let event = cx.next(&mut *watcher).await?;
        require_matches!(
            event,
            WatchEvent::Compacted { .. },
            "a watch after {from} cannot be complete and says so"
        );
    }
    Ok(())
}

async fn slow_watcher_told(cx: &Context) -> CaseResult {
    let store = cx.open_with_short_log().await?;
    let mut watcher = store.follow()?;
    let first = store.write("a", "1").await?;
    require_eq!(
        cx.next_set(&mut *watcher).await?.revision,
        first,
        "the watch is under way"
    );
    let missed = overrun(&store, first.next()).await?;
    // What it has read ahead it may still give, in order and without a gap; then it has to say that there is one.
    for expected in missed {
        match cx.next(&mut *watcher).await? {
            WatchEvent::Changes(set) => require_eq!(set.revision, expected, "a slow watch skips in silence"),
            WatchEvent::Lagged { oldest } => {
                require!(
                    oldest >= expected,
                    "it lost what came from {expected} on, but names {oldest}"
                );
                return Ok(());
            }
            WatchEvent::Compacted { .. } => {
                return Err(Failure::new(
                    "a watch under way was too slow, which is called lagged",
                ));
            }
        }
    }
    Err(Failure::new("a watch delivers more than its log holds"))
}

async fn told_once_and_for_all(cx: &Context) -> CaseResult {
    let store = cx.open_with_short_log().await?;
    let first = store.write("a", "1").await?;
    overrun(&store, first).await?;
    let mut watcher = store.follow_after(first)?;
    let end = cx.next(&mut *watcher).await?;
    require_matches!(end, WatchEvent::Compacted { .. }, "the watch has ended");
    for _ in 0..3 {
        store.write("b", "1").await?;
        require_eq!(
            cx.next(&mut *watcher).await?,
            end,
            "an ended watch says so again and never goes on"
        );
    }
    Ok(())
}

async fn oldest_revision_can_be_watched_from(cx: &Context) -> CaseResult {
    let store = cx.open_with_short_log().await?;
    let first = store.write("a", "1").await?;
    overrun(&store, first).await?;
    let mut watcher = store.follow_after(first)?;
    let WatchEvent::Compacted { oldest } = cx.next(&mut *watcher).await? else {
        return Err(Failure::new("the log was cut, and the watch does not say so"));
    };
    let newest = store.write("last", "1").await?;
    // Nothing else was written meanwhile, so that the one write cannot have cut away a large part of the log.
    let from = oldest.max(store.stats().await?.oldest_revision);
    let mut watcher = store.follow_after(from)?;
    let mut last = from;
    while last < newest {
        let set = cx.next_set(&mut *watcher).await?;
        require!(set.revision > last, "changes come in order");
        last = set.revision;
    }
    Ok(())
}

async fn oldest_revision_is_the_lowest(cx: &Context) -> CaseResult {
    let store = cx.open_with_short_log().await?;
    let first = store.write("a", "1").await?;
    overrun(&store, first).await?;
    let oldest = store.stats().await?.oldest_revision;
    let mut watcher = store.follow_after(oldest)?;
    require_matches!(
        cx.next(&mut *watcher).await?,
        WatchEvent::Changes(_),
        "the log reaches back to {oldest}"
    );
    let below = Revision::new(oldest.get() - 1);
    let mut watcher = store.follow_after(below)?;
    require_matches!(
        cx.next(&mut *watcher).await?,
        WatchEvent::Compacted { .. },
        "but not to {below}"
    );
    Ok(())
}

async fn log_keeps_what_it_promises(cx: &Context) -> CaseResult {
    let store = cx.open_with_short_log().await?;
    let mut revisions = Vec::new();
    for number in 0..1_000 {
        revisions.push(store.write(&nth(number % 10), "x").await?);
        // Stores trim by the handful. Sevens meet them before and after, whatever their handful is.
        if number < 64 || number % 7 != 0 {
            continue;
        }
        let tail = &revisions[revisions.len() - 64..];
        let mut watcher = store.follow_after(Revision::new(tail[0].get() - 1))?;
        for expected in tail {
            let set = cx.next_set(&mut *watcher).await?;
            require_eq!(set.revision, *expected, "the log is shorter than was asked for");
        }
    }
    Ok(())
}

async fn recover_by_snapshot_after_lag(cx: &Context) -> CaseResult {
    let store = cx.open_with_short_log().await?;
    let first = store.write("a", "1").await?;
    overrun(&store, first).await?;
    let mut watcher = store.follow_after(first)?;
    require_matches!(
        cx.next(&mut *watcher).await?,
        WatchEvent::Compacted { .. },
        "the log was cut"
    );
    let snapshot = store.snapshot().await?;
    let at = snapshot.revision(&crate::support::partition(crate::support::HOME));
    let mut watcher = store.follow_after(at)?;
    let next = store.write("b", "1").await?;
    require_eq!(
        cx.next_set(&mut *watcher).await?.revision,
        next,
        "a snapshot and a watch from it catch up"
    );
    require_eq!(
        snapshot.list(home()).await?.contains(&"a".to_owned()),
        true,
        "the snapshot has what was missed"
    );
    Ok(())
}

async fn quick_reader_is_never_told(cx: &Context) -> CaseResult {
    let store = cx.open_with_short_log().await?;
    let mut watcher = store.follow()?;
    for number in 0..600 {
        let revision = store.write(&nth(number % 10), "x").await?;
        require_eq!(
            cx.next_set(&mut *watcher).await?.revision,
            revision,
            "a reader that keeps up never lags"
        );
    }
    Ok(())
}

async fn no_loss_compacting_on_delete(cx: &Context) -> CaseResult {
    let store = cx.open_with_short_log().await?;
    let mut watcher = store.follow()?;
    for number in 0..300 {
        store.write("a", number.to_string()).await?;
        let deleted = store.remove("a").await?;
        cx.next_set(&mut *watcher).await?;
        let set = cx.next_set(&mut *watcher).await?;
        require_eq!(set.revision, deleted, "a delete is told though its entry is gone");
        require_eq!(set.changes[0].kind, stead_core::ChangeKind::Delete, "as a delete");
    }
    Ok(())
}

async fn whole_log_is_there_before_compaction(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut expected = Vec::new();
    for number in 0..1_000 {
        expected.push(store.write(&nth(number % 20), "x").await?);
    }
    let mut watcher = store.follow_after(Revision::ZERO)?;
    for revision in expected {
        require_eq!(
            cx.next_set(&mut *watcher).await?.revision,
            revision,
            "a long log forgets nothing in between"
        );
    }
    Ok(())
}
