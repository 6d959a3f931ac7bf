//! Snapshots: one instant, for as long as they are held.

use std::sync::Arc;

use stead_core::{ReadExt, Scan, Snapshot, WriteBatch};

use crate::harness::{CaseResult, Context, cases, require, require_eq};
use crate::support::{Reading, after, home, key, nth, partition, prefix};

cases![
    snapshot_sees_what_was_there: SNAPSHOTS,
    snapshot_stable_during_writes: SNAPSHOTS,
    snapshot_outlives_deletes: SNAPSHOTS,
    snapshot_of_an_empty_store: SNAPSHOTS,
    snapshot_revision_is_of_the_last_commit: SNAPSHOTS,
    snapshot_holds_all_up_to_its_revision: SNAPSHOTS,
    snapshot_never_sees_half_a_batch: SNAPSHOTS,
    snapshot_reads_agree: SNAPSHOTS,
    snapshot_scan_spans_pages: SNAPSHOTS,
    snapshot_reverse_scan: SNAPSHOTS + REVERSE,
    deadline_passes_within_a_snapshot: SNAPSHOTS + TTL,
    snapshot_outlives_the_sweeper: SNAPSHOTS + TTL,
    snapshot_keeps_old_deadlines: SNAPSHOTS + TTL,
    many_snapshots_each_their_own: SNAPSHOTS,
    writers_do_not_wait_for_snapshots: SNAPSHOTS,
    two_snapshots_of_one_instant_agree: SNAPSHOTS,
    snapshot_over_partitions_is_of_one_revision: SNAPSHOTS + STORE_ORDER + STORE_ATOMICITY,
    snapshot_then_tail_no_gap: SNAPSHOTS + WATCH,
];

fn revision(snapshot: &Arc<dyn Snapshot>) -> stead_core::Revision {
    snapshot.revision(&partition(crate::support::HOME))
}

async fn snapshot_sees_what_was_there(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "1").await?;
    let snapshot = store.snapshot().await?;
    require_eq!(
        snapshot.read("a").await?.as_deref(),
        Some("1"),
        "a snapshot reads what was written before it"
    );
    require_eq!(
        snapshot.present("a").await?,
        store.present("a").await?,
        "whole entries"
    );
    require_eq!(snapshot.read("b").await?, None, "and misses what is missing");
    Ok(())
}

async fn snapshot_stable_during_writes(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..50 {
        store.write(&nth(number), "old").await?;
    }
    let snapshot = store.snapshot().await?;
    let before = snapshot.collect(&Scan::new(home())).await?;
    for round in 0..4 {
        for number in 0..50 {
            match (number + round) % 3 {
                0 => store.remove(&nth(number)).await?,
                1 => store.write(&nth(number), "new").await?,
                _ => store.write(&nth(100 * round + number), "more").await?,
            };
        }
        let now = snapshot.collect(&Scan::new(home())).await?;
        require_eq!(now, before, "round {round}: a snapshot does not change");
        require_eq!(
            snapshot.read(&nth(0)).await?.as_deref(),
            Some("old"),
            "nor do its point reads"
        );
    }
    Ok(())
}

async fn snapshot_outlives_deletes(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..500 {
        store.write(&nth(number), "x").await?;
    }
    let snapshot = store.snapshot().await?;
    let batch = (0..500).fold(WriteBatch::new(), |batch, number| batch.delete(key(nth(number))));
    store.commit(batch).await?;
    require_eq!(store.count(&home()).await?, 0, "the store is empty");
    require_eq!(snapshot.count(&home()).await?, 500, "the snapshot is not");
    require_eq!(
        snapshot.list(home()).await?.len(),
        500,
        "its scan still finds all keys"
    );
    require_eq!(
        snapshot.read(&nth(250)).await?.as_deref(),
        Some("x"),
        "and its reads their values"
    );
    Ok(())
}

async fn snapshot_of_an_empty_store(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let snapshot = store.snapshot().await?;
    let written = store.write("a", "1").await?;
    require_eq!(snapshot.count(&home()).await?, 0, "what came later is not in it");
    require!(
        revision(&snapshot) < written,
        "its revision is before the first commit"
    );
    Ok(())
}

async fn snapshot_revision_is_of_the_last_commit(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 0..20 {
        let written = store.write("a", round.to_string()).await?;
        let snapshot = store.snapshot().await?;
        require_eq!(revision(&snapshot), written, "a snapshot is of the newest commit");
        store.write("b", "x").await?;
        require_eq!(revision(&snapshot), written, "and stays there");
    }
    Ok(())
}

async fn snapshot_holds_all_up_to_its_revision(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let writers: Vec<_> = (0..4)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut written = Vec::new();
                for round in 0..60 {
                    let path = format!("{task}/{}", nth(round));
                    written.push((store.write(&path, "x").await?, path));
                    tokio::task::yield_now().await;
                }
                CaseResult::Ok(written)
            })
        })
        .collect();
    let mut snapshots = Vec::new();
    while writers.iter().any(|writer| !writer.is_finished()) {
        snapshots.push(store.snapshot().await?);
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let mut written = Vec::new();
    for writer in writers {
        written.extend(writer.await??);
    }
    written.sort_unstable();
    for snapshot in snapshots {
        let at = revision(&snapshot);
        let mut expected: Vec<_> = written
            .iter()
            .filter(|(one, _)| *one <= at)
            .map(|(_, path)| path.clone())
            .collect();
        expected.sort_unstable();
        require!(
            snapshot.list(home()).await? == expected,
            "a snapshot at {at} holds all commits up to it and no other"
        );
    }
    Ok(())
}

async fn snapshot_never_sees_half_a_batch(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for round in 0..200_usize {
            let batch = (0..8).fold(WriteBatch::new(), |batch, number| {
                batch.put(key(format!("row/{number}")), round.to_string())
            });
            writer.commit(batch).await?;
            tokio::task::yield_now().await;
        }
        CaseResult::Ok(())
    });
    while !writing.is_finished() {
        let snapshot = store.snapshot().await?;
        let items = snapshot.collect(&Scan::new(prefix("row/")).page_size(3)).await?;
        let revisions: Vec<_> = items
            .iter()
            .filter_map(|item| item.entry.as_ref())
            .map(stead_core::Entry::revision)
            .collect();
        require!(
            revisions.windows(2).all(|two| two[0] == two[1]) && (items.is_empty() || items.len() == 8),
            "a snapshot saw parts of several batches: {revisions:?}"
        );
        tokio::task::yield_now().await;
    }
    writing.await?
}

async fn snapshot_reads_agree(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..30 {
        store.write(&nth(number), number.to_string()).await?;
    }
    let snapshot = store.snapshot().await?;
    store
        .commit((0..30).fold(WriteBatch::new(), |batch, number| {
            batch.put(key(nth(number)), "new")
        }))
        .await?;
    let keys: Vec<_> = (0..30).map(|number| key(nth(number))).collect();
    let many = snapshot.get_many(&keys).await?;
    for (key, entry) in keys.iter().zip(&many) {
        require_eq!(
            *entry,
            snapshot.get(key).await?,
            "bulk and point reads of a snapshot agree"
        );
    }
    let scanned: Vec<_> = snapshot
        .collect(&Scan::new(home()))
        .await?
        .into_iter()
        .map(|item| item.entry)
        .collect();
    require_eq!(scanned, many, "so does its scan");
    Ok(())
}

async fn snapshot_scan_spans_pages(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store
        .commit((0..1_000).fold(WriteBatch::new(), |batch, number| {
            batch.put(key(nth(number)), "old")
        }))
        .await?;
    let snapshot = store.snapshot().await?;
    let mut cursor = snapshot.scan(&Scan::new(home()).page_size(100))?;
    let mut found = 0;
    loop {
        let items = cursor.next_page().await?;
        if items.is_empty() {
            break;
        }
        require!(
            items
                .iter()
                .all(|item| item.entry.as_ref().is_some_and(|entry| entry.value() == b"old")),
            "every page of a snapshot's scan is of its instant"
        );
        found += items.len();
        store.write(&nth(found), "new").await?;
        store.remove(&nth(found + 50)).await?;
    }
    require_eq!(found, 1_000, "and none is short of a key");
    Ok(())
}

async fn snapshot_reverse_scan(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..20 {
        store.write(&nth(number), "x").await?;
    }
    let snapshot = store.snapshot().await?;
    store.remove(&nth(19)).await?;
    store.write(&nth(20), "x").await?;
    let scan = Scan::new(home())
        .direction(stead_core::Direction::Reverse)
        .limit(2)
        .page_size(1);
    require_eq!(
        snapshot.list_by(scan).await?,
        [nth(19), nth(18)],
        "backwards, as it was"
    );
    Ok(())
}

async fn deadline_passes_within_a_snapshot(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write_with("a", "1", after(10)).await?;
    store.write("b", "1").await?;
    let snapshot = store.snapshot().await?;
    require_eq!(
        snapshot.count(&home()).await?,
        2,
        "before the deadline both are there"
    );
    cx.clock().advance_millis(10);
    require_eq!(snapshot.read("a").await?, None, "time goes on in a snapshot");
    require_eq!(snapshot.list(home()).await?, ["b"], "for scans too");
    require_eq!(
        snapshot.get_many(&[key("a")]).await?,
        [None],
        "and for bulk reads"
    );
    Ok(())
}

async fn snapshot_outlives_the_sweeper(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write_with("goes", "1", after(10)).await?;
    store.write("stays", "1").await?;
    let snapshot = store.snapshot().await?;
    let at = revision(&snapshot);
    cx.clock().advance_millis(10);
    cx.swept(&store, 1).await?;
    require_eq!(
        snapshot.list(home()).await?,
        ["stays"],
        "the sweeper takes nothing else from a snapshot"
    );
    require_eq!(revision(&snapshot), at, "nor does it move it");
    Ok(())
}

async fn snapshot_keeps_old_deadlines(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write_with("a", "1", after(1_000)).await?;
    let snapshot = store.snapshot().await?;
    store.commit(WriteBatch::new().touch(key("a"), after(10))).await?;
    cx.clock().advance_millis(10);
    require_eq!(store.read("a").await?, None, "the store has the newer deadline");
    require_eq!(
        snapshot.read("a").await?.as_deref(),
        Some("1"),
        "the snapshot the one of its instant"
    );
    Ok(())
}

async fn many_snapshots_each_their_own(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut snapshots = Vec::new();
    for round in 0..100 {
        store.write("a", round.to_string()).await?;
        store.write(&nth(round), "x").await?;
        snapshots.push(store.snapshot().await?);
    }
    // Let go of in another order than taken.
    for round in (0..100_usize).map(|round| (round * 37) % 100) {
        let snapshot = &snapshots[round];
        require_eq!(
            snapshot.read("a").await?,
            Some(round.to_string()),
            "snapshot {round} has its own value"
        );
        require_eq!(
            snapshot.count(&prefix("k")).await?,
            round as u64 + 1,
            "snapshot {round} has its own keys"
        );
    }
    while snapshots.len() > 1 {
        snapshots.remove(snapshots.len() / 2);
        store.write("a", "later").await?;
    }
    require_eq!(
        snapshots[0].read("a").await?.as_deref(),
        Some("0"),
        "the last one held is as it was"
    );
    Ok(())
}

async fn writers_do_not_wait_for_snapshots(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "old").await?;
    let snapshot = store.snapshot().await?;
    // Half way through a scan, too.
    let mut cursor = snapshot.scan(&Scan::new(home()).page_size(1))?;
    cursor.next_page().await?;
    for round in 0..50 {
        store.write("a", round.to_string()).await?;
    }
    require_eq!(
        snapshot.read("a").await?.as_deref(),
        Some("old"),
        "50 writes went past the snapshot"
    );
    Ok(())
}

async fn two_snapshots_of_one_instant_agree(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "1").await?;
    let first = store.snapshot().await?;
    let second = store.snapshot().await?;
    require_eq!(
        revision(&first),
        revision(&second),
        "nothing was written between them"
    );
    drop(first);
    store.write("a", "2").await?;
    require_eq!(
        second.read("a").await?.as_deref(),
        Some("1"),
        "letting one go leaves the other"
    );
    Ok(())
}

async fn snapshot_over_partitions_is_of_one_revision(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let names = ["p1", "p2", "p3"];
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for round in 0..200 {
            let batch = names.iter().fold(WriteBatch::new(), |batch, name| {
                batch.put(crate::support::key_in(name, "k"), round.to_string())
            });
            writer.commit(batch).await?;
            tokio::task::yield_now().await;
        }
        CaseResult::Ok(())
    });
    let keys = names.map(|name| crate::support::key_in(name, "k"));
    while !writing.is_finished() {
        let snapshot = store.snapshot().await?;
        let found = snapshot.get_many(&keys).await?;
        require!(
            found.windows(2).all(|two| two[0] == two[1]),
            "a snapshot saw a batch in one partition and not in another"
        );
        let revisions = names.map(|name| snapshot.revision(&partition(name)));
        require!(
            revisions.windows(2).all(|two| two[0] == two[1]),
            "one revision for the store: {revisions:?}"
        );
        tokio::task::yield_now().await;
    }
    writing.await?
}

async fn snapshot_then_tail_no_gap(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for round in 0..300 {
            writer.write(&nth(round), "x").await?;
            tokio::task::yield_now().await;
        }
        CaseResult::Ok(())
    });
    while store.count(&home()).await? < 20 {
        tokio::task::yield_now().await;
    }
    let snapshot = store.snapshot().await?;
    let mut watcher = store.follow_after(revision(&snapshot))?;
    let mut seen = snapshot.list(home()).await?;
    while seen.len() < 300 {
        let set = cx.next_set(&mut *watcher).await?;
        for change in set.changes {
            seen.push(String::from_utf8_lossy(change.key.path()).into_owned());
        }
    }
    writing.await??;
    // The writer wrote in key order: what the snapshot has and what the tail tells fit together without gap or overlap.
    require_eq!(
        seen,
        (0..300).map(nth).collect::<Vec<_>>(),
        "each write is in the snapshot or in the tail, once"
    );
    Ok(())
}
