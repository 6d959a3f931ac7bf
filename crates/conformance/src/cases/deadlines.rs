//! Which deadline an entry has, and who may change it.

use stead_core::{Clock, Expect, Expiry, ReadExt, Scan, Timestamp, WriteBatch};

use crate::harness::{CaseResult, Context, cases, require, require_eq};
use crate::support::{Reading, after, home, key, later};

cases![
    remaining_ttl_returned: TTL,
    bulk_returns_ttl: TTL,
    scan_returns_ttl: TTL,
    touch_extends: TTL,
    touch_shortens: TTL,
    touch_on_missing_or_expired_does_nothing: TTL,
    later_mutations_miss_what_was_written_expired: TTL,
    get_and_touch_atomic: TTL,
    persist_removes_ttl: TTL,
    overwrite_without_ttl_removes_it: TTL,
    overwrite_resets_the_deadline: TTL,
    keep_keeps_the_deadline: TTL,
    keep_on_new_or_expired_has_none: TTL,
    deadline_counts_from_the_commit: TTL,
    bad_ttl_rejected: TTL,
    ttl_beyond_the_end_of_time_writes_nothing: TTL,
    latest_deadline_is_accepted: TTL,
];

async fn remaining_ttl_returned(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let start = cx.clock().now();
    store.write_with("after", "1", after(1_500)).await?;
    store.write_with("at", "1", Expiry::At(later(start, 700))).await?;
    store.write("never", "1").await?;
    cx.clock().advance_millis(500);
    let deadline = store.present("after").await?.deadline();
    require_eq!(
        deadline,
        Some(later(start, 1_500)),
        "a lifetime counts from the write"
    );
    let left = deadline.map(|deadline| cx.clock().now().until(deadline).as_millis());
    require_eq!(left, Some(1_000), "what is left of it can be told");
    require_eq!(
        store.present("at").await?.deadline(),
        Some(later(start, 700)),
        "a deadline is kept as given"
    );
    require_eq!(
        store.present("never").await?.deadline(),
        None,
        "no deadline is told as none"
    );
    Ok(())
}

async fn bulk_returns_ttl(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let start = cx.clock().now();
    store.write_with("a", "1", after(10)).await?;
    store.write_with("b", "1", after(20)).await?;
    store.write("c", "1").await?;
    let found = store.get_many(&[key("a"), key("b"), key("c")]).await?;
    let found: Vec<_> = found.iter().flatten().map(stead_core::Entry::deadline).collect();
    require_eq!(
        found,
        [Some(later(start, 10)), Some(later(start, 20)), None],
        "each has its own deadline"
    );
    Ok(())
}

async fn scan_returns_ttl(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let start = cx.clock().now();
    store.write_with("a", "1", after(10)).await?;
    store.write("b", "1").await?;
    let items = store.collect(&Scan::new(home())).await?;
    let found: Vec<_> = items
        .iter()
        .filter_map(|item| item.entry.as_ref())
        .map(stead_core::Entry::deadline)
        .collect();
    require_eq!(found, [Some(later(start, 10)), None], "a scan tells deadlines");
    Ok(())
}

async fn touch_extends(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let written = store.write_with("a", "value", after(10)).await?;
    cx.clock().advance_millis(9);
    let touched = store.commit(WriteBatch::new().touch(key("a"), after(10))).await?;
    cx.clock().advance_millis(9);
    let entry = store.present("a").await?;
    require_eq!(entry.value(), b"value", "touch keeps the value");
    require!(
        entry.revision() == touched && touched > written,
        "touch gives a new revision"
    );
    cx.clock().advance_millis(1);
    require_eq!(store.read("a").await?, None, "the new deadline counts");
    Ok(())
}

async fn touch_shortens(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write_with("a", "1", after(1_000)).await?;
    store.write("b", "1").await?;
    let batch = WriteBatch::new()
        .touch(key("a"), after(10))
        .touch(key("b"), after(10));
    store.commit(batch).await?;
    cx.clock().advance_millis(10);
    require_eq!(
        store.count(&home()).await?,
        0,
        "a touch may bring the deadline nearer"
    );
    Ok(())
}

async fn touch_on_missing_or_expired_does_nothing(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store
        .commit(WriteBatch::new().touch(key("missing"), after(1_000)))
        .await?;
    require_eq!(store.read("missing").await?, None, "touch makes no entry");
    for expiry in [after(1_000), Expiry::Never, Expiry::Keep] {
        store.write_with("a", "1", after(10)).await?;
        cx.clock().advance_millis(10);
        store.commit(WriteBatch::new().touch(key("a"), expiry)).await?;
        require_eq!(
            store.read("a").await?,
            None,
            "touch does not bring back what has expired"
        );
    }
    Ok(())
}

async fn later_mutations_miss_what_was_written_expired(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let expired = || WriteBatch::new().put_with(key("a"), "1", Expiry::At(cx.clock().now()));
    store.commit(expired().touch(key("a"), Expiry::Never)).await?;
    require_eq!(
        store.read("a").await?,
        None,
        "a touch in the same batch finds nothing to renew"
    );
    store
        .commit(expired().put_with(key("a"), "2", Expiry::Keep))
        .await?;
    let entry = store.present("a").await?;
    require_eq!(entry.value(), b"2", "a put in the same batch writes anew");
    require_eq!(entry.deadline(), None, "and finds no deadline to keep");
    Ok(())
}

async fn get_and_touch_atomic(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let stale = store.write_with("session", "1", after(10)).await?;
    let current = store.write_with("session", "2", after(10)).await?;
    let touch = |revision| {
        WriteBatch::new()
            .expect(key("session"), Expect::At(revision))
            .touch(key("session"), after(1_000))
    };
    store.reject(touch(stale)).await?;
    store.commit(touch(current)).await?;
    cx.clock().advance_millis(500);
    require_eq!(
        store.read("session").await?.as_deref(),
        Some("2"),
        "what was read is what was renewed"
    );
    Ok(())
}

async fn persist_removes_ttl(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write_with("a", "1", after(10)).await?;
    store
        .commit(WriteBatch::new().touch(key("a"), Expiry::Never))
        .await?;
    cx.clock().advance_millis(1_000_000);
    let entry = store.present("a").await?;
    require_eq!(entry.deadline(), None, "no deadline is left");
    require_eq!(entry.value(), b"1", "the value stays");
    Ok(())
}

async fn overwrite_without_ttl_removes_it(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write_with("a", "1", after(10)).await?;
    store.write("a", "2").await?;
    cx.clock().advance_millis(1_000_000);
    require_eq!(
        store.read("a").await?.as_deref(),
        Some("2"),
        "an overwrite without a deadline lives on"
    );
    Ok(())
}

async fn overwrite_resets_the_deadline(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write_with("longer", "1", after(10)).await?;
    store.write_with("shorter", "1", after(1_000)).await?;
    store.write_with("longer", "2", after(1_000)).await?;
    store.write_with("shorter", "2", after(10)).await?;
    cx.clock().advance_millis(10);
    require_eq!(
        store.list(home()).await?,
        ["longer"],
        "the deadline of the last write counts"
    );
    cx.clock().advance_millis(990);
    require_eq!(store.count(&home()).await?, 0, "and no other");
    Ok(())
}

async fn keep_keeps_the_deadline(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let deadline = later(cx.clock().now(), 10);
    store.write_with("a", "1", after(10)).await?;
    cx.clock().advance_millis(5);
    store.write_with("a", "2", Expiry::Keep).await?;
    require_eq!(
        store.present("a").await?.deadline(),
        Some(deadline),
        "a put may keep the deadline"
    );
    store
        .commit(WriteBatch::new().touch(key("a"), Expiry::Keep))
        .await?;
    require_eq!(
        store.present("a").await?.deadline(),
        Some(deadline),
        "so may a touch"
    );
    cx.clock().advance_millis(5);
    require_eq!(store.read("a").await?, None, "it passes as it would have");
    Ok(())
}

async fn keep_on_new_or_expired_has_none(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write_with("new", "1", Expiry::Keep).await?;
    store.write_with("old", "1", after(10)).await?;
    cx.clock().advance_millis(10);
    store.write_with("old", "2", Expiry::Keep).await?;
    for path in ["new", "old"] {
        require_eq!(
            store.present(path).await?.deadline(),
            None,
            "{path}: there was no deadline to keep"
        );
    }
    Ok(())
}

async fn deadline_counts_from_the_commit(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let batch = WriteBatch::new().put_with(key("a"), "1", after(10));
    cx.clock().advance_millis(1_000);
    store.commit(batch).await?;
    let deadline = store.present("a").await?.deadline();
    require_eq!(
        deadline,
        Some(later(cx.clock().now(), 10)),
        "a lifetime begins with the commit"
    );
    Ok(())
}

async fn bad_ttl_rejected(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "1").await?;
    for batch in [
        WriteBatch::new().put_with(key("a"), "2", after(u64::MAX)),
        WriteBatch::new().put_with(key("a"), "2", after(u64::MAX - cx.clock().now().as_millis())),
        WriteBatch::new().put_with(key("a"), "2", Expiry::At(Timestamp::MAX)),
        WriteBatch::new().touch(key("a"), Expiry::At(Timestamp::MAX)),
        WriteBatch::new().touch(key("a"), after(u64::MAX)),
    ] {
        let error = store.refuse(batch).await?;
        require_eq!(
            error.kind(),
            stead_core::ErrorKind::Invalid,
            "no deadline beyond the end of time: {error}"
        );
    }
    require_eq!(
        store.read("a").await?.as_deref(),
        Some("1"),
        "nothing was written"
    );
    Ok(())
}

async fn ttl_beyond_the_end_of_time_writes_nothing(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let before = store.write("a", "1").await?;
    let batch =
        WriteBatch::new()
            .put(key("b"), "2")
            .delete(key("a"))
            .put_with(key("c"), "2", after(u64::MAX));
    store.refuse(batch).await?;
    require_eq!(
        store.list(home()).await?,
        ["a"],
        "what came before the mistake was not written either"
    );
    require_eq!(
        store.present("a").await?.revision(),
        before,
        "what was there is as it was"
    );
    Ok(())
}

async fn latest_deadline_is_accepted(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let latest = Timestamp::from_millis(u64::MAX - 1);
    store.write_with("at", "1", Expiry::At(latest)).await?;
    store
        .write_with(
            "after",
            "1",
            after(latest.as_millis() - cx.clock().now().as_millis()),
        )
        .await?;
    for path in ["at", "after"] {
        require_eq!(
            store.present(path).await?.deadline(),
            Some(latest),
            "the last millisecond but one is a deadline"
        );
    }
    Ok(())
}
