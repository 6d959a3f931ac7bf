//! Watches: every change, in order, once, from wherever the reader left off.

use stead_core::{
    BackendExt, Change, ChangeKind, ChangeSet, ErrorKind, Expect, Expiry, Revision, WatchSpec, WriteBatch,
};

use crate::harness::{CaseResult, Context, Failure, cases, require, require_eq};
use crate::support::{home, key, nth, prefix};

cases![
    watch_from_now_sees_what_comes: WATCH,
    watch_from_the_beginning_sees_all: WATCH,
    kinds_are_told: WATCH,
    touch_is_told_as_put: WATCH,
    delete_of_missing_is_not_told: WATCH,
    txn_events_not_split: WATCH,
    changes_of_a_batch_in_key_order_once: WATCH,
    last_state_of_a_key_is_told: WATCH,
    no_event_for_rejected_batch: WATCH,
    no_event_for_check_or_failed_batch: WATCH,
    resume_exact: WATCH,
    resume_by_position: WATCH,
    ahead_of_the_store_refused: WATCH,
    range_filters_changes: WATCH,
    batch_is_cut_to_the_range: WATCH,
    position_advances_over_unrelated_changes: WATCH,
    watch_over_partitions: WATCH + STORE_ORDER,
];

fn changed(set: &ChangeSet) -> Vec<(String, ChangeKind)> {
    let path = |change: &Change| String::from_utf8_lossy(change.key.path()).into_owned();
    set.changes
        .iter()
        .map(|change| (path(change), change.kind))
        .collect()
}

fn put(path: &str) -> (String, ChangeKind) {
    (path.to_owned(), ChangeKind::Put)
}

fn deleted(path: &str) -> (String, ChangeKind) {
    (path.to_owned(), ChangeKind::Delete)
}

async fn watch_from_now_sees_what_comes(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("before", "1").await?;
    let mut watcher = store.follow()?;
    let revision = store.write("a", "1").await?;
    let set = cx.next_set(&mut *watcher).await?;
    require_eq!(set.revision, revision, "an event has its batch's revision");
    require_eq!(
        changed(&set),
        [put("a")],
        "and tells what it changed, but nothing from before"
    );
    cx.silent(&mut *watcher).await
}

async fn watch_from_the_beginning_sees_all(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..10 {
        store.write(&nth(number), "x").await?;
    }
    let mut watcher = store.follow_after(Revision::ZERO)?;
    for number in 0..10 {
        let set = cx.next_set(&mut *watcher).await?;
        require_eq!(
            changed(&set),
            [put(&nth(number))],
            "commit {number} is told in its turn"
        );
    }
    cx.silent(&mut *watcher).await
}

async fn kinds_are_told(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watcher = store.follow()?;
    store.write("a", "1").await?;
    store.write("a", "2").await?;
    store.remove("a").await?;
    for expected in [put("a"), put("a"), deleted("a")] {
        let set = cx.next_set(&mut *watcher).await?;
        require_eq!(changed(&set), [expected], "each change has its kind");
    }
    Ok(())
}

async fn touch_is_told_as_put(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "1").await?;
    let mut watcher = store.follow()?;
    store
        .commit(WriteBatch::new().touch(key("missing"), Expiry::Keep))
        .await?;
    let touched = store
        .commit(WriteBatch::new().touch(key("a"), Expiry::Keep))
        .await?;
    let set = cx.next_set(&mut *watcher).await?;
    require_eq!(set.revision, touched, "a touch of a missing key is not told");
    require_eq!(changed(&set), [put("a")], "a touch of an entry is, as a put");
    Ok(())
}

async fn delete_of_missing_is_not_told(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watcher = store.follow()?;
    store.remove("missing").await?;
    store
        .commit(
            WriteBatch::new()
                .delete(key("missing"))
                .put(key("a"), "1")
                .delete(key("other")),
        )
        .await?;
    let set = cx.next_set(&mut *watcher).await?;
    require_eq!(changed(&set), [put("a")], "what changes nothing is not told");
    cx.silent(&mut *watcher).await
}

async fn txn_events_not_split(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watcher = store.follow()?;
    for size in [1, 2, 100, 3_000] {
        let batch = (0..size).fold(WriteBatch::new(), |batch, number| {
            batch.put(key(nth(number)), "x")
        });
        let revision = store.commit(batch).await?;
        let set = cx.next_set(&mut *watcher).await?;
        require_eq!(set.changes.len(), size, "a batch of {size} is one event");
        require_eq!(set.revision, revision, "of its revision");
    }
    cx.silent(&mut *watcher).await
}

async fn changes_of_a_batch_in_key_order_once(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("b", "1").await?;
    let mut watcher = store.follow()?;
    let batch = WriteBatch::new()
        .put(key("z"), "1")
        .delete(key("b"))
        .put(key("a"), "1")
        .put(key("z"), "2")
        .put(key("m"), "1")
        .put(key("a"), "2");
    store.commit(batch).await?;
    let set = cx.next_set(&mut *watcher).await?;
    require_eq!(
        changed(&set),
        [put("a"), deleted("b"), put("m"), put("z")],
        "each key once, in key order"
    );
    Ok(())
}

async fn last_state_of_a_key_is_told(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("old", "1").await?;
    let mut watcher = store.follow()?;
    let batch = WriteBatch::new()
        .put(key("old"), "2")
        .delete(key("old"))
        .put(key("new"), "1")
        .delete(key("new"))
        .delete(key("back"))
        .put(key("back"), "1");
    store.commit(batch).await?;
    let set = cx.next_set(&mut *watcher).await?;
    require_eq!(
        changed(&set),
        [put("back"), deleted("old")],
        "the last state of each key counts, and one that came and went in the batch is no change"
    );
    Ok(())
}

async fn no_event_for_rejected_batch(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "1").await?;
    let mut watcher = store.follow()?;
    for _ in 0..5 {
        store
            .reject(
                WriteBatch::new()
                    .expect(key("a"), Expect::Absent)
                    .put(key("a"), "2"),
            )
            .await?;
    }
    cx.silent(&mut *watcher).await?;
    let revision = store.write("b", "1").await?;
    require_eq!(
        cx.next_set(&mut *watcher).await?.revision,
        revision,
        "the next event is of the next commit"
    );
    Ok(())
}

async fn no_event_for_check_or_failed_batch(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "1").await?;
    let mut watcher = store.follow()?;
    store
        .commit(WriteBatch::new().expect(key("a"), Expect::Present))
        .await?;
    let too_large = vec![0; store.capabilities().limits.value_bytes + 1];
    store
        .refuse(WriteBatch::new().put(key("b"), "1").put(key("c"), too_large))
        .await?;
    cx.silent(&mut *watcher).await
}

async fn resume_exact(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut revisions = vec![Revision::ZERO];
    for number in 0..30 {
        revisions.push(store.write(&nth(number), "x").await?);
    }
    for (index, from) in revisions.iter().enumerate() {
        let mut watcher = store.follow_after(*from)?;
        for expected in &revisions[index + 1..] {
            let set = cx.next_set(&mut *watcher).await?;
            require_eq!(
                set.revision,
                *expected,
                "a watch after {from} misses nothing and repeats nothing"
            );
        }
        if index % 10 == 0 {
            cx.silent(&mut *watcher).await?;
        }
    }
    Ok(())
}

async fn resume_by_position(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut position = {
        let watcher = store.follow()?;
        watcher.position()
    };
    for round in 0..40 {
        let expected = store.write(&nth(round), "x").await?;
        if round % 3 == 0 {
            store.remove("missing").await?;
        }
        let mut watcher = store.follow_after(position)?;
        let set = cx.next_set(&mut *watcher).await?;
        require_eq!(
            set.revision,
            expected,
            "a new watch from the old one's position goes on just there"
        );
        require!(
            watcher.position() >= set.revision,
            "what was delivered lies behind the position"
        );
        position = watcher.position();
    }
    Ok(())
}

async fn ahead_of_the_store_refused(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let newest = store.write("a", "1").await?;
    for ahead in [newest.next(), Revision::new(newest.get() + 1_000), Revision::MAX] {
        match store.watch(&WatchSpec::new(home()).after(ahead)) {
            Ok(_) => {
                return Err(Failure::new(format!(
                    "a watch after {ahead} was accepted at {newest}"
                )));
            }
            Err(error) => require_eq!(
                error.kind(),
                ErrorKind::Invalid,
                "the revision is of another store: {error}"
            ),
        }
    }
    store.follow_after(newest)?;
    Ok(())
}

async fn range_filters_changes(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watcher = store.watch(&WatchSpec::new(prefix("agent:1/")))?;
    for path in ["agent:10/a", "agent:1", "agent:1/a", "agent:2/a", "agent:1/b"] {
        store.write(path, "x").await?;
    }
    for expected in ["agent:1/a", "agent:1/b"] {
        let set = cx.next_set(&mut *watcher).await?;
        require_eq!(
            changed(&set),
            [put(expected)],
            "only changes in the range are told"
        );
    }
    cx.silent(&mut *watcher).await
}

async fn batch_is_cut_to_the_range(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watcher = store.watch(&WatchSpec::new(prefix("in/")))?;
    let batch = ["in/a", "out/a", "in/b", "out/b"]
        .into_iter()
        .fold(WriteBatch::new(), |batch, path| batch.put(key(path), "x"));
    store.commit(batch).await?;
    let set = cx.next_set(&mut *watcher).await?;
    require_eq!(
        changed(&set),
        [put("in/a"), put("in/b")],
        "an event holds what lies in the range, together"
    );
    Ok(())
}

async fn position_advances_over_unrelated_changes(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watcher = store.watch(&WatchSpec::new(prefix("in/")))?;
    let mut last = Revision::ZERO;
    for number in 0..50 {
        last = store.write(&nth(number), "x").await?;
    }
    // A log on a server takes its time to answer.
    let mut looks = 100;
    while looks > 0 && watcher.position() < last {
        cx.silent(&mut *watcher).await?;
        looks -= 1;
    }
    require!(
        watcher.position() >= last,
        "a watch in whose range nothing happens does not fall behind"
    );
    let revision = store.write("in/a", "x").await?;
    require_eq!(
        cx.next_set(&mut *watcher).await?.revision,
        revision,
        "and misses nothing"
    );
    Ok(())
}

async fn watch_over_partitions(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watcher = store.watch(&WatchSpec::new(stead_core::KeyRange::all()))?;
    let mut expected: Vec<(Revision, _)> = Vec::new();
    for name in ["b", "a", "c", "a"] {
        let key = crate::support::key_in(name, "k");
        expected.push((store.put(key.clone(), "x").await?, key));
    }
    for (revision, key) in expected {
        let set = cx.next_set(&mut *watcher).await?;
        require_eq!(set.revision, revision, "commits of all partitions, in one order");
        require_eq!(set.changes[0].key, key, "each with its key");
    }
    Ok(())
}
