//! Preconditions and what must never slip past them.

use stead_core::{BackendExt, Expect, Expiry, Found, KeyRange, Outcome, Revision, WriteBatch};

use crate::harness::{CaseResult, Context, cases, require, require_eq, require_matches};
use crate::support::{Reading, Store, between, home, key, key_in, nth, partition, prefix};

cases![
    create_only_once,
    present_on_missing_is_rejected,
    present_on_any_revision_commits,
    cas_at_current_revision_commits,
    stale_cas_fails_unchanged,
    create_after_delete_ok,
    stale_cas_after_delete_and_recreate_fails,
    cas_delete_stale_fails,
    cas_delete_current_removes,
    conflict_returns_current_revision,
    conflict_names_the_first_failed_precondition,
    cas_at_zero_or_future_never_holds,
    cas_after_touch_is_stale,
    condition_on_another_key,
    conditions_are_judged_before_mutations,
    contradiction_never_commits,
    many_conditions_hold_together,
    count_holds_exactly: COUNTS,
    count_conflict_tells_what_was_found: COUNTS,
    count_of_empty_range_is_zero: COUNTS,
    count_sees_only_its_range: COUNTS,
    count_is_judged_before_mutations: COUNTS,
    count_in_a_batch_with_key_conditions: COUNTS,
];

async fn create_only_once(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    require!(
        store.cas("a", Expect::Absent, "1").await?.is_committed(),
        "what is absent can be created"
    );
    require!(
        !store.cas("a", Expect::Absent, "2").await?.is_committed(),
        "it cannot be created twice"
    );
    require_eq!(
        store.read("a").await?.as_deref(),
        Some("1"),
        "the first creation stays"
    );
    Ok(())
}

async fn present_on_missing_is_rejected(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let conflict = store.cas("a", Expect::Present, "1").await?.rejected();
    require_eq!(
        conflict.map(|one| one.found),
        Some(Found::Missing),
        "the conflict says that nothing was there"
    );
    require_eq!(store.read("a").await?, None, "nothing was written");
    Ok(())
}

async fn present_on_any_revision_commits(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 0..3 {
        store.write("a", round.to_string()).await?;
        require!(
            store.cas("a", Expect::Present, "x").await?.is_committed(),
            "whichever revision will do"
        );
    }
    Ok(())
}

async fn cas_at_current_revision_commits(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut current = store.write("a", "0").await?;
    for round in 1..20 {
        let outcome = store.cas("a", Expect::At(current), round.to_string()).await?;
        require_matches!(outcome, Outcome::Committed(next) if *next > current, "each step builds on the last");
        current = store.present("a").await?.revision();
    }
    require_eq!(
        store.read("a").await?.as_deref(),
        Some("19"),
        "every step was written"
    );
    Ok(())
}

async fn stale_cas_fails_unchanged(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let stale = store.write("a", "1").await?;
    let current = store.write("a", "2").await?;
    require!(
        !store.cas("a", Expect::At(stale), "3").await?.is_committed(),
        "a stale revision does not hold"
    );
    let entry = store.present("a").await?;
    require_eq!(entry.revision(), current, "the entry keeps its revision");
    require_eq!(entry.value(), b"2", "the entry keeps its value");
    Ok(())
}

async fn create_after_delete_ok(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let first = store.write("a", "1").await?;
    store.remove("a").await?;
    let outcome = store.cas("a", Expect::Absent, "2").await?;
    require_matches!(outcome, Outcome::Committed(second) if *second > first, "a deleted key can be created");
    Ok(())
}

async fn stale_cas_after_delete_and_recreate_fails(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for _ in 0..20 {
        let old = store.write("a", "same").await?;
        store.remove("a").await?;
        let new = store.write("a", "same").await?;
        require!(new > old, "a key that was written anew has a new revision");
        let outcome = store.cas("a", Expect::At(old), "lost").await?;
        require!(
            !outcome.is_committed(),
            "an equal value at another revision is not the same entry (ABA)"
        );
    }
    // In one batch as well.
    let old = store.write("a", "same").await?;
    store
        .commit(WriteBatch::new().delete(key("a")).put(key("a"), "same"))
        .await?;
    require!(
        !store.cas("a", Expect::At(old), "lost").await?.is_committed(),
        "nor within one batch"
    );
    Ok(())
}

async fn cas_delete_stale_fails(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let stale = store.write("a", "1").await?;
    store.write("a", "2").await?;
    let outcome = store.compare_and_delete(key("a"), stale).await?;
    require!(!outcome.is_committed(), "a stale delete is rejected");
    require_eq!(
        store.read("a").await?.as_deref(),
        Some("2"),
        "nothing was deleted"
    );
    Ok(())
}

async fn cas_delete_current_removes(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let current = store.write("a", "1").await?;
    require!(
        store.compare_and_delete(key("a"), current).await?.is_committed(),
        "a current delete commits"
    );
    require_eq!(store.read("a").await?, None, "the entry is gone");
    let again = store.compare_and_delete(key("a"), current).await?.rejected();
    require_eq!(
        again.map(|one| one.found),
        Some(Found::Missing),
        "it cannot be deleted twice"
    );
    Ok(())
}

async fn conflict_returns_current_revision(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let stale = store.write("a", "1").await?;
    let current = store.write("a", "2").await?;
    for expect in [Expect::At(stale), Expect::Absent] {
        let conflict = store
            .reject(WriteBatch::new().expect(key("a"), expect).put(key("a"), "3"))
            .await?;
        require_eq!(
            conflict.found,
            Found::Revision(current),
            "the conflict tells the revision to try again with"
        );
        require_eq!(conflict.key, Some(key("a")), "the conflict tells the key");
    }
    Ok(())
}

async fn conflict_names_the_first_failed_precondition(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "1").await?;
    let batch = WriteBatch::new()
        .expect(key("a"), Expect::Present)
        .expect(key("x"), Expect::Absent)
        .expect(key("b"), Expect::Present)
        .expect(key("a"), Expect::Absent)
        .put(key("c"), "1");
    let conflict = store.reject(batch).await?;
    require_eq!(
        conflict.precondition,
        2,
        "the first condition that fails is named"
    );
    require_eq!(conflict.key, Some(key("b")), "with its key");
    Ok(())
}

async fn cas_at_zero_or_future_never_holds(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let current = store.write("a", "1").await?;
    for revision in [Revision::ZERO, current.next(), Revision::MAX] {
        for path in ["a", "missing"] {
            let outcome = store.cas(path, Expect::At(revision), "2").await?;
            require!(
                !outcome.is_committed(),
                "nothing at {path:?} has revision {revision}"
            );
        }
    }
    Ok(())
}

async fn cas_after_touch_is_stale(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let old = store.write("a", "1").await?;
    let touched = store
        .commit(WriteBatch::new().touch(key("a"), Expiry::Keep))
        .await?;
    require!(
        !store.cas("a", Expect::At(old), "2").await?.is_committed(),
        "a touch is a write like any other"
    );
    require!(
        store.cas("a", Expect::At(touched), "2").await?.is_committed(),
        "its revision is the current one"
    );
    Ok(())
}

async fn condition_on_another_key(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let lock = store.write("lock", "mine").await?;
    let batch = |value: &'static str| {
        WriteBatch::new()
            .expect(key("lock"), Expect::At(lock))
            .put(key("data"), value)
    };
    store.commit(batch("1")).await?;
    store.write("lock", "yours").await?;
    store.reject(batch("2")).await?;
    require_eq!(
        store.read("data").await?.as_deref(),
        Some("1"),
        "a write that lost its lock changes nothing"
    );
    Ok(())
}

async fn conditions_are_judged_before_mutations(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store
        .commit(
            WriteBatch::new()
                .put(key("a"), "1")
                .expect(key("a"), Expect::Absent),
        )
        .await?;
    store
        .commit(
            WriteBatch::new()
                .delete(key("a"))
                .expect(key("a"), Expect::Present),
        )
        .await?;
    store
        .reject(
            WriteBatch::new()
                .put(key("a"), "1")
                .expect(key("a"), Expect::Present),
        )
        .await?;
    Ok(())
}

async fn contradiction_never_commits(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let batch = || {
        WriteBatch::new()
            .expect(key("a"), Expect::Absent)
            .expect(key("a"), Expect::Present)
            .put(key("b"), "1")
    };
    require_eq!(
        store.reject(batch()).await?.precondition,
        1,
        "nothing is there: the second fails"
    );
    store.write("a", "1").await?;
    require_eq!(
        store.reject(batch()).await?.precondition,
        0,
        "something is there: the first fails"
    );
    require_eq!(store.read("b").await?, None, "nothing was written either way");
    Ok(())
}

async fn many_conditions_hold_together(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let batch = (0..500).fold(WriteBatch::new(), |batch, number| {
        batch.put(key(nth(number)), "1")
    });
    let revision = store.commit(batch).await?;
    let conditions = || {
        (0..500).fold(WriteBatch::new(), |batch, number| {
            batch.expect(key(nth(number)), Expect::At(revision))
        })
    };
    store.commit(conditions().put(key("done"), "1")).await?;
    store.write(&nth(499), "2").await?;
    let conflict = store.reject(conditions().put(key("done"), "2")).await?;
    require_eq!(
        conflict.precondition,
        499,
        "one of 500 conditions that fails is found"
    );
    Ok(())
}

/// Five entries under `row/`, and one on each side of them.
async fn rows(cx: &Context) -> CaseResult<Store> {
    let store = cx.open().await?;
    for path in ["row", "row/1", "row/2", "row/3", "row/4", "row/5", "row0"] {
        store.write(path, "x").await?;
    }
    store.put(key_in("elsewhere", "row/6"), "x").await?;
    Ok(store)
}

async fn count_holds_exactly(cx: &Context) -> CaseResult {
    let store = rows(cx).await?;
    let batch = |entries| {
        WriteBatch::new()
            .expect_count(prefix("row/"), entries)
            .put(key("done"), "1")
    };
    for wrong in [0, 1, 4, 6, u64::MAX] {
        store.reject(batch(wrong)).await?;
        require_eq!(
            store.read("done").await?,
            None,
            "nothing was written when {wrong} were expected"
        );
    }
    store.commit(batch(5)).await?;
    Ok(())
}

async fn count_conflict_tells_what_was_found(cx: &Context) -> CaseResult {
    let store = rows(cx).await?;
    let conflict = store
        .reject(
            WriteBatch::new()
                .expect_count(prefix("row/"), 7)
                .put(key("done"), "1"),
        )
        .await?;
    require_eq!(
        conflict.found,
        Found::Count(5),
        "too few: the true number is told"
    );
    require_eq!(conflict.key, None, "a count is about no single key");
    let conflict = store
        .reject(
            WriteBatch::new()
                .expect_count(prefix("row/"), 2)
                .put(key("done"), "1"),
        )
        .await?;
    require_matches!(
        conflict.found,
        Found::Count(3 | 5),
        "too many: the true number is told, or the first that is too many"
    );
    Ok(())
}

async fn count_of_empty_range_is_zero(cx: &Context) -> CaseResult {
    let store = rows(cx).await?;
    for range in [
        between("x", "a"),
        between("a", "a"),
        prefix("nothing"),
        KeyRange::partition(&partition("no such")),
    ] {
        // A batch over partitions is another capability: each range is asked about alone.
        store
            .commit(WriteBatch::new().expect_count(range.clone(), 0))
            .await?;
        store.reject(WriteBatch::new().expect_count(range, 1)).await?;
    }
    Ok(())
}

async fn count_sees_only_its_range(cx: &Context) -> CaseResult {
    let store = rows(cx).await?;
    store
        .commit(WriteBatch::new().expect_count(home(), 7).put(key("row/a"), "1"))
        .await?;
    store
        .commit(WriteBatch::new().expect_count(between("row/2", "row/4"), 2))
        .await?;
    store
        .commit(
            WriteBatch::new()
                .expect_count(prefix("row/"), 6)
                .delete(key("row/a")),
        )
        .await?;
    store
        .commit(WriteBatch::new().expect_count(prefix("row/"), 5))
        .await?;
    Ok(())
}

async fn count_is_judged_before_mutations(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let batch = || {
        WriteBatch::new()
            .put(key("row/1"), "1")
            .expect_count(prefix("row/"), 0)
    };
    store.commit(batch()).await?;
    store.reject(batch()).await?;
    Ok(())
}

async fn count_in_a_batch_with_key_conditions(cx: &Context) -> CaseResult {
    let store = rows(cx).await?;
    let revision = store.present("row/1").await?.revision();
    let batch = |entries, expect| {
        WriteBatch::new()
            .expect_count(prefix("row/"), entries)
            .expect(key("row/1"), expect)
            .put(key("row/1"), "2")
    };
    require_eq!(
        store.reject(batch(5, Expect::Absent)).await?.precondition,
        1,
        "the count holds, the key fails"
    );
    require_eq!(
        store.reject(batch(4, Expect::Absent)).await?.precondition,
        0,
        "the count fails first"
    );
    store.commit(batch(5, Expect::At(revision))).await?;
    Ok(())
}
