//! Batches: all or nothing, in order, one revision.

use stead_core::{Expect, Expiry, ReadExt, Revision, Timestamp, WriteBatch};

use crate::harness::{CaseResult, Context, cases, require, require_eq};
use crate::support::{Reading, after, home, key, key_in, nth, prefix};

cases![
    batch_applies_every_mutation,
    one_revision_per_batch,
    revisions_strictly_increase,
    all_or_nothing_on_failed_condition,
    in_order_ops_within_batch,
    put_then_delete_same_key,
    delete_then_put_same_key,
    delete_then_keep_drops_the_deadline: TTL,
    put_then_touch_in_one_batch: TTL,
    touch_before_put_does_nothing: TTL,
    touch_without_deadlines_renews_the_revision,
    batch_without_mutations_only_checks,
    empty_batch_changes_nothing,
    batch_that_changes_nothing_commits,
    rejected_batch_leaves_no_trace,
    batch_of_ten_thousand_keys,
    batch_over_partitions_is_one: STORE_ATOMICITY,
    readers_never_see_half_a_batch,
    scans_never_see_half_a_batch,
    dropped_reply_still_commits_the_whole_batch,
];

async fn batch_applies_every_mutation(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("old", "x").await?;
    let batch = WriteBatch::new()
        .put(key("a"), "1")
        .delete(key("old"))
        .put(key("b"), "2")
        .put(key("c"), "3");
    store.commit(batch).await?;
    require_eq!(
        store.list(home()).await?,
        ["a", "b", "c"],
        "every mutation of the batch holds"
    );
    require_eq!(
        store.read("b").await?.as_deref(),
        Some("2"),
        "each key has its own value"
    );
    Ok(())
}

async fn one_revision_per_batch(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let batch = WriteBatch::new()
        .put(key("a"), "1")
        .put(key("b"), "2")
        .put(key("c"), "3");
    let revision = store.commit(batch).await?;
    for path in ["a", "b", "c"] {
        require_eq!(
            store.present(path).await?.revision(),
            revision,
            "all of a batch has its revision"
        );
    }
    Ok(())
}

async fn revisions_strictly_increase(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut last = Revision::ZERO;
    for round in 0..200 {
        let batch = match round % 4 {
            0 => WriteBatch::new().put(key("a"), "1"),
            1 => WriteBatch::new().put(key(nth(round)), "1").delete(key("a")),
            2 => WriteBatch::new().delete(key("a")),
            _ => WriteBatch::new().touch(key(nth(1)), Expiry::Never),
        };
        let revision = store.commit(batch).await?;
        require!(
            revision > last,
            "revision {revision} of a later batch must be above {last}"
        );
        last = revision;
    }
    Ok(())
}

async fn all_or_nothing_on_failed_condition(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "1").await?;
    store.write("b", "1").await?;
    let batch = WriteBatch::new()
        .expect(key("a"), Expect::Present)
        .expect(key("missing"), Expect::Present)
        .put(key("a"), "2")
        .put(key("new"), "2")
        .delete(key("b"));
    let conflict = store.reject(batch).await?;
    require_eq!(
        conflict.precondition,
        1,
        "the conflict names the condition that failed"
    );
    require_eq!(
        store.read("a").await?.as_deref(),
        Some("1"),
        "a rejected batch overwrites nothing"
    );
    require_eq!(
        store.list(home()).await?,
        ["a", "b"],
        "a rejected batch neither adds nor deletes"
    );
    Ok(())
}

async fn in_order_ops_within_batch(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let batch = WriteBatch::new()
        .put(key("a"), "1")
        .put(key("a"), "2")
        .put(key("a"), "3");
    store.commit(batch).await?;
    require_eq!(
        store.read("a").await?.as_deref(),
        Some("3"),
        "the last of several puts counts"
    );
    require_eq!(
        store.count(&home()).await?,
        1,
        "several puts of one key give one entry"
    );
    Ok(())
}

async fn put_then_delete_same_key(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store
        .commit(WriteBatch::new().put(key("new"), "1").delete(key("new")))
        .await?;
    require_eq!(store.read("new").await?, None, "the delete came last");
    store.write("old", "1").await?;
    store
        .commit(WriteBatch::new().put(key("old"), "2").delete(key("old")))
        .await?;
    require_eq!(store.read("old").await?, None, "the delete came last");
    require_eq!(store.count(&home()).await?, 0, "no entry is left behind");
    Ok(())
}

async fn delete_then_put_same_key(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let first = store.write("a", "1").await?;
    let second = store
        .commit(WriteBatch::new().delete(key("a")).put(key("a"), "2"))
        .await?;
    let entry = store.present("a").await?;
    require_eq!(entry.value(), b"2", "the put came last");
    require!(
        entry.revision() == second && second > first,
        "the entry has the batch's revision"
    );
    Ok(())
}

async fn delete_then_keep_drops_the_deadline(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write_with("a", "1", after(1_000)).await?;
    let batch = WriteBatch::new()
        .delete(key("a"))
        .put_with(key("a"), "2", Expiry::Keep);
    store.commit(batch).await?;
    let deadline = store.present("a").await?.deadline();
    require_eq!(deadline, None, "what was deleted has no deadline left to keep");
    Ok(())
}

async fn put_then_touch_in_one_batch(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let deadline = Timestamp::from_millis(u64::MAX / 2);
    let batch = WriteBatch::new()
        .put(key("a"), "1")
        .touch(key("a"), Expiry::At(deadline));
    store.commit(batch).await?;
    let entry = store.present("a").await?;
    require_eq!(entry.value(), b"1", "touch keeps the value");
    require_eq!(
        entry.deadline(),
        Some(deadline),
        "touch sees what the same batch wrote before it"
    );
    Ok(())
}

async fn touch_before_put_does_nothing(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let batch = WriteBatch::new().touch(key("a"), after(1_000)).put(key("a"), "1");
    store.commit(batch).await?;
    require_eq!(
        store.present("a").await?.deadline(),
        None,
        "there was nothing to touch yet"
    );
    Ok(())
}

async fn touch_without_deadlines_renews_the_revision(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "1").await?;
    let revision = store
        .commit(WriteBatch::new().touch(key("a"), Expiry::Keep))
        .await?;
    let entry = store.present("a").await?;
    require_eq!(entry.value(), b"1", "touch keeps the value");
    require_eq!(
        entry.revision(),
        revision,
        "touch gives the entry the batch's revision"
    );
    store
        .commit(WriteBatch::new().touch(key("b"), Expiry::Never))
        .await?;
    require_eq!(store.read("b").await?, None, "touch makes no entry");
    Ok(())
}

async fn batch_without_mutations_only_checks(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let written = store.write("a", "1").await?;
    let checked = store
        .commit(WriteBatch::new().expect(key("a"), Expect::At(written)))
        .await?;
    require_eq!(checked, written, "a check commits at the current revision");
    let next = store.write("a", "2").await?;
    require!(next > written, "the next write has a new revision");
    store
        .reject(WriteBatch::new().expect(key("a"), Expect::At(written)))
        .await?;
    Ok(())
}

async fn empty_batch_changes_nothing(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let written = store.write("a", "1").await?;
    let revision = store.commit(WriteBatch::new()).await?;
    require_eq!(
        revision,
        written,
        "an empty batch commits at the current revision"
    );
    require_eq!(
        store.present("a").await?.revision(),
        written,
        "it changes no entry"
    );
    Ok(())
}

async fn batch_that_changes_nothing_commits(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let first = store.write("a", "1").await?;
    let batch = WriteBatch::new().delete(key("b")).touch(key("c"), Expiry::Never);
    let second = store.commit(batch).await?;
    require!(
        second > first,
        "a batch with mutations takes a revision, whatever they do"
    );
    require!(
        store.write("a", "2").await? > second,
        "the revision is not used again"
    );
    require_eq!(store.list(home()).await?, ["a"], "nothing else was written");
    Ok(())
}

async fn rejected_batch_leaves_no_trace(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let before = store.write("a", "1").await?;
    for round in 0..20 {
        let batch = WriteBatch::new()
            .expect(key("a"), Expect::Absent)
            .put(key(nth(round)), "x")
            .delete(key("a"));
        store.reject(batch).await?;
    }
    let entry = store.present("a").await?;
    require_eq!(
        entry.revision(),
        before,
        "rejected batches give no entry a new revision"
    );
    require_eq!(store.list(home()).await?, ["a"], "rejected batches write nothing");
    require!(store.write("a", "2").await? > before, "writing goes on");
    Ok(())
}

async fn batch_of_ten_thousand_keys(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let batch = (0..10_000).fold(WriteBatch::new(), |batch, number| {
        batch.put(key(nth(number)), number.to_string())
    });
    let revision = store.commit(batch).await?;
    require_eq!(
        store.count(&home()).await?,
        10_000,
        "a large batch is written whole"
    );
    let last = store.present(&nth(9_999)).await?;
    require_eq!(last.revision(), revision, "a large batch has one revision");
    let batch = (0..10_000).fold(WriteBatch::new(), |batch, number| batch.delete(key(nth(number))));
    store.commit(batch).await?;
    require_eq!(store.count(&home()).await?, 0, "a large batch deletes as well");
    Ok(())
}

async fn batch_over_partitions_is_one(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let (left, right) = (key_in("left", "k"), key_in("right", "k"));
    let batch = WriteBatch::new().put(left.clone(), "1").put(right.clone(), "1");
    let revision = store.commit(batch).await?;
    for key in [&left, &right] {
        let entry = store.get(key).await?;
        require_eq!(
            entry.map(|one| one.revision()),
            Some(revision),
            "both partitions have the batch's revision"
        );
    }
    let batch = WriteBatch::new()
        .expect(right.clone(), Expect::Absent)
        .put(left.clone(), "2")
        .put(key_in("third", "k"), "2");
    store.reject(batch).await?;
    let entry = store.get(&left).await?;
    require_eq!(
        entry.map(|one| one.revision()),
        Some(revision),
        "a condition elsewhere rejects the whole batch"
    );
    Ok(())
}

async fn readers_never_see_half_a_batch(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.commit(pair(0)).await?;
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for round in 1..=300 {
            writer.commit(pair(round)).await?;
            tokio::task::yield_now().await;
        }
        CaseResult::Ok(())
    });
    let keys = [key("left"), key("right")];
    while !writing.is_finished() {
        let found = store.get_many(&keys).await?;
        require!(
            found[0] == found[1],
            "keys that always change together differed in one read"
        );
        tokio::task::yield_now().await;
    }
    writing.await?
}

fn pair(round: usize) -> WriteBatch {
    let value = round.to_string();
    WriteBatch::new()
        .put(key("left"), value.clone())
        .put(key("right"), value)
}

async fn scans_never_see_half_a_batch(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for round in 0..200_usize {
            let batch = (0..10).fold(WriteBatch::new(), |batch, number| {
                let key = key(format!("row/{number}"));
                if round % 2 == 0 {
                    batch.put(key, "x")
                } else {
                    batch.delete(key)
                }
            });
            writer.commit(batch).await?;
            tokio::task::yield_now().await;
        }
        CaseResult::Ok(())
    });
    while !writing.is_finished() {
        let found = store.count(&prefix("row/")).await?;
        require!(
            found == 0 || found == 10,
            "a page of a scan saw {found} of 10 keys that come and go together"
        );
        tokio::task::yield_now().await;
    }
    writing.await?
}

async fn dropped_reply_still_commits_the_whole_batch(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 0..20 {
        let batch = WriteBatch::new()
            .put(key(format!("{round}/a")), "1")
            .put(key(format!("{round}/b")), "1");
        drop(store.apply(batch));
    }
    // Writes that nobody waits for may take their time, but none is half there and none is taken back.
    cx.eventually("batches handed over were committed", || async {
        let found = store.list(home()).await?;
        let half = (0..20)
            .find(|round| found.contains(&format!("{round}/a")) != found.contains(&format!("{round}/b")));
        require!(half.is_none(), "a batch is half there: {half:?}");
        Ok(found.len() == 40)
    })
    .await
}
