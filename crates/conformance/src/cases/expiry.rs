//! Deadlines: what is past its own is not there, for anyone, at once.

use stead_core::{Clock, Expect, Expiry, Found, ReadExt, Scan, Timestamp, WriteBatch};

use crate::harness::{CaseResult, Context, cases, require, require_eq};
use crate::support::{Reading, after, home, key, later, nth, prefix};

cases![
    visible_until_the_last_millisecond: TTL,
    not_visible_after_deadline: TTL,
    expired_hidden_from_bulk_get: TTL,
    expired_hidden_from_scan_and_count: TTL,
    expired_hidden_from_reverse_scan: TTL + REVERSE,
    expired_does_not_use_up_a_limit: TTL,
    expired_hidden_from_partitions: TTL,
    expired_is_absent_to_conditions: TTL,
    cas_on_expired_is_missing: TTL,
    expired_hidden_from_count_condition: TTL + COUNTS,
    deadline_in_the_past_is_never_seen: TTL,
    deadlines_pass_in_their_own_order: TTL,
    entries_of_one_batch_expire_apart: TTL,
    recreated_after_expiry_has_a_new_revision: TTL,
    delete_of_expired_is_fine: TTL,
    clock_step_forth_hides_at_once: TTL,
    clock_step_back_safe: TTL,
    clock_at_the_end_of_time_is_safe: TTL,
];

async fn visible_until_the_last_millisecond(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write_with("a", "1", after(100)).await?;
    require!(store.exists(&key("a")).await?, "an entry is there at once");
    cx.clock().advance_millis(99);
    require!(
        store.exists(&key("a")).await?,
        "it is there up to 1 ms before its deadline"
    );
    cx.clock().advance_millis(1);
    require!(!store.exists(&key("a")).await?, "it is gone at its deadline");
    Ok(())
}

async fn not_visible_after_deadline(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 1..50 {
        store.write_with("a", "1", after(round)).await?;
        require!(store.exists(&key("a")).await?, "a new entry is visible");
        cx.clock().advance_millis(round);
        require_eq!(
            store.read("a").await?,
            None,
            "an entry of {round} ms is hidden {round} ms later"
        );
    }
    Ok(())
}

async fn expired_hidden_from_bulk_get(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write_with("a", "1", after(10)).await?;
    store.write_with("b", "1", after(20)).await?;
    store.write("c", "1").await?;
    cx.clock().advance_millis(10);
    let found = store.get_many(&[key("a"), key("b"), key("c")]).await?;
    let found: Vec<_> = found.iter().map(Option::is_some).collect();
    require_eq!(
        found,
        [false, true, true],
        "only what is past its deadline is hidden"
    );
    Ok(())
}

async fn expired_hidden_from_scan_and_count(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..600 {
        let expiry = if number % 2 == 0 { after(10) } else { Expiry::Never };
        store.write_with(&nth(number), "1", expiry).await?;
    }
    cx.clock().advance_millis(10);
    require_eq!(
        store.count(&home()).await?,
        300,
        "count leaves out what is past its deadline"
    );
    let expected: Vec<_> = (0..600).filter(|number| number % 2 == 1).map(nth).collect();
    require_eq!(store.list(home()).await?, expected, "so does a scan");
    let found = store.list_by(Scan::new(home()).page_size(7)).await?;
    require_eq!(
        found,
        expected,
        "and a scan in small pages is not cut short by hidden entries"
    );
    Ok(())
}

async fn expired_hidden_from_reverse_scan(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..40 {
        let expiry = if number < 20 { Expiry::Never } else { after(10) };
        store.write_with(&nth(number), "1", expiry).await?;
    }
    cx.clock().advance_millis(10);
    let scan = Scan::new(home())
        .direction(stead_core::Direction::Reverse)
        .limit(3)
        .page_size(2);
    require_eq!(
        store.list_by(scan).await?,
        [nth(19), nth(18), nth(17)],
        "hidden entries are passed over"
    );
    Ok(())
}

async fn expired_does_not_use_up_a_limit(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..1_000 {
        let expiry = if number < 990 { after(10) } else { Expiry::Never };
        store.write_with(&nth(number), "1", expiry).await?;
    }
    cx.clock().advance_millis(10);
    let found = store.list_by(Scan::new(home()).limit(5)).await?;
    let expected: Vec<_> = (990..995).map(nth).collect();
    require_eq!(found, expected, "a limit counts visible entries");
    Ok(())
}

async fn expired_hidden_from_partitions(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store
        .commit(WriteBatch::new().put(crate::support::key_in("p1", "a"), "1"))
        .await?;
    store
        .commit(WriteBatch::new().put_with(crate::support::key_in("p2", "a"), "1", after(10)))
        .await?;
    cx.clock().advance_millis(10);
    let found = store.partitions(&stead_core::KeyRange::all(), 10).await?;
    require_eq!(
        found,
        [crate::support::partition("p1")],
        "a partition of expired entries is not listed"
    );
    Ok(())
}

async fn expired_is_absent_to_conditions(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write_with("a", "1", after(10)).await?;
    require!(
        !store.cas("a", Expect::Absent, "2").await?.is_committed(),
        "before its deadline it is present"
    );
    cx.clock().advance_millis(10);
    require!(
        !store.cas("a", Expect::Present, "2").await?.is_committed(),
        "past it, it is not"
    );
    require!(
        store.cas("a", Expect::Absent, "2").await?.is_committed(),
        "but absent"
    );
    require_eq!(
        store.read("a").await?.as_deref(),
        Some("2"),
        "and can be created anew"
    );
    Ok(())
}

async fn cas_on_expired_is_missing(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let revision = store.write_with("a", "1", after(10)).await?;
    cx.clock().advance_millis(10);
    let conflict = store.cas("a", Expect::At(revision), "2").await?.rejected();
    require_eq!(
        conflict.map(|one| one.found),
        Some(Found::Missing),
        "an expired entry is found missing"
    );
    Ok(())
}

async fn expired_hidden_from_count_condition(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..10 {
        let expiry = if number < 4 { after(10) } else { Expiry::Never };
        store.write_with(&nth(number), "1", expiry).await?;
    }
    store
        .commit(WriteBatch::new().expect_count(prefix("k"), 10))
        .await?;
    cx.clock().advance_millis(10);
    store
        .commit(WriteBatch::new().expect_count(prefix("k"), 6))
        .await?;
    store
        .reject(WriteBatch::new().expect_count(prefix("k"), 10))
        .await?;
    Ok(())
}

async fn deadline_in_the_past_is_never_seen(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for (path, deadline) in [("epoch", Timestamp::EPOCH), ("now", cx.clock().now())] {
        store.write_with(path, "1", Expiry::At(deadline)).await?;
        require_eq!(store.read(path).await?, None, "a deadline of {path} has passed");
    }
    store.write("a", "1").await?;
    store
        .commit(WriteBatch::new().touch(key("a"), Expiry::At(Timestamp::EPOCH)))
        .await?;
    require_eq!(
        store.count(&home()).await?,
        0,
        "a touch into the past hides as well"
    );
    Ok(())
}

async fn deadlines_pass_in_their_own_order(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    // Written in another order than they pass.
    for number in (0..500_usize).map(|number| (number * 277) % 500) {
        store
            .write_with(&nth(number), "1", after(1 + number as u64))
            .await?;
    }
    for passed in [1, 2, 50, 51, 250, 499, 500] {
        let now = cx.clock().now().as_millis();
        let start = now - (now % 1_000);
        cx.clock().set(Timestamp::from_millis(start + passed));
        require_eq!(
            store.count(&home()).await?,
            500 - passed,
            "after {passed} ms, {passed} of 500 are past"
        );
    }
    Ok(())
}

async fn entries_of_one_batch_expire_apart(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let batch = WriteBatch::new()
        .put_with(key("a"), "1", after(10))
        .put_with(key("b"), "1", after(20))
        .put(key("c"), "1");
    store.commit(batch).await?;
    cx.clock().advance_millis(10);
    require_eq!(
        store.list(home()).await?,
        ["b", "c"],
        "each entry has its own deadline"
    );
    cx.clock().advance_millis(10);
    require_eq!(
        store.list(home()).await?,
        ["c"],
        "each entry has its own deadline"
    );
    Ok(())
}

async fn recreated_after_expiry_has_a_new_revision(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let old = store.write_with("a", "1", after(10)).await?;
    cx.clock().advance_millis(10);
    let new = store.write_with("a", "1", after(10)).await?;
    require!(new > old, "a revision is never used again");
    require!(
        !store.cas("a", Expect::At(old), "2").await?.is_committed(),
        "ABA does not pass by expiry"
    );
    Ok(())
}

async fn delete_of_expired_is_fine(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write_with("a", "1", after(10)).await?;
    cx.clock().advance_millis(10);
    store.remove("a").await?;
    store.write("a", "2").await?;
    require_eq!(
        store.read("a").await?.as_deref(),
        Some("2"),
        "the key is free for another entry"
    );
    Ok(())
}

async fn clock_step_forth_hides_at_once(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write_with("a", "1", after(1_000)).await?;
    store.write_with("b", "1", after(100_000_000_000)).await?;
    cx.clock().advance_millis(90_000_000_000);
    require_eq!(
        store.list(home()).await?,
        ["b"],
        "a clock that leaps hides what it leapt over"
    );
    Ok(())
}

async fn clock_step_back_safe(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let start = cx.clock().now();
    store.write_with("long", "1", after(100_000)).await?;
    cx.clock().set(Timestamp::from_millis(start.as_millis() - 50_000));
    require_eq!(
        store.read("long").await?.as_deref(),
        Some("1"),
        "a clock set back hides nothing"
    );
    let last = store.write_with("new", "2", after(10)).await?;
    let deadline = store.present("new").await?.deadline();
    require_eq!(
        deadline,
        Some(later(cx.clock().now(), 10)),
        "new deadlines count from the clock as it is"
    );
    cx.clock().set(start);
    require_eq!(
        store.list(home()).await?,
        ["long"],
        "when it goes on, deadlines pass as ever"
    );
    require!(
        store.write("after", "3").await? > last,
        "revisions do not follow the clock"
    );
    Ok(())
}

async fn clock_at_the_end_of_time_is_safe(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("stays", "1").await?;
    store
        .write_with("goes", "1", Expiry::At(Timestamp::from_millis(u64::MAX - 1)))
        .await?;
    cx.clock().set(Timestamp::MAX);
    require_eq!(
        store.list(home()).await?,
        ["stays"],
        "only what has no deadline outlives all clocks"
    );
    store
        .refuse(WriteBatch::new().put_with(key("a"), "1", after(1)))
        .await?;
    store.write("a", "1").await?;
    cx.clock().set(Timestamp::EPOCH);
    require_eq!(
        store.read("a").await?.as_deref(),
        Some("1"),
        "and it is no harm to come back from there"
    );
    Ok(())
}
