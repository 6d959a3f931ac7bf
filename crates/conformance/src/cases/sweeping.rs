//! The physical removal of what is past its deadline.

use stead_core::{BackendExt, ChangeKind, Clock, Expiry, ReadExt, Timestamp, WriteBatch};

use crate::harness::{CaseResult, Context, cases, require, require_eq};
use crate::support::{Reading, after, home, key, later, nth};

cases![
    expired_is_swept: TTL,
    written_past_its_deadline_is_swept: TTL,
    sweeper_leaves_the_living: TTL,
    many_deadlines_are_swept: TTL,
    write_racing_sweeper_survives: TTL,
    touch_racing_sweeper_survives_or_does_nothing: TTL,
    expiry_event_once: TTL + WATCH,
    expiry_event_has_its_own_revision: TTL + WATCH,
    overwritten_expired_gives_no_event: TTL + WATCH,
    deleted_expired_gives_one_expired_event: TTL + WATCH,
    renewed_entry_gives_no_event: TTL + WATCH,
    sweep_goes_on_after_clock_steps: TTL,
    swept_counts_as_expired: TTL,
];

async fn expired_is_swept(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write_with("a", "1", after(10)).await?;
    store.write("b", "1").await?;
    cx.clock().advance_millis(10);
    cx.swept(&store, 1).await?;
    // What is gone for good does not come back with the clock.
    cx.clock()
        .set(Timestamp::from_millis(cx.clock().now().as_millis() - 10));
    require_eq!(store.list(home()).await?, ["b"], "what was swept is gone");
    Ok(())
}

async fn written_past_its_deadline_is_swept(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for deadline in [Timestamp::EPOCH, cx.clock().now()] {
        store.write_with("a", "1", Expiry::At(deadline)).await?;
        cx.swept(&store, 0).await?;
        store.write("b", "1").await?;
        let batch = WriteBatch::new().touch(key("b"), Expiry::At(deadline));
        store.commit(batch).await?;
        cx.swept(&store, 0).await?;
    }
    cx.expired(&store, 4).await?;
    let stats = store.stats().await?;
    require_eq!(
        stats.expired,
        4,
        "what nobody ever saw takes no room and has expired"
    );
    Ok(())
}

async fn sweeper_leaves_the_living(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..300 {
        let expiry = match number % 3 {
            0 => after(10),
            1 => after(11),
            _ => Expiry::Never,
        };
        store.write_with(&nth(number), "1", expiry).await?;
    }
    cx.clock().advance_millis(10);
    cx.swept(&store, 200).await?;
    require_eq!(
        store.count(&home()).await?,
        200,
        "only what is past its deadline is removed"
    );
    let stats = store.stats().await?;
    require_eq!(stats.entries, 200, "and nothing besides");
    Ok(())
}

async fn many_deadlines_are_swept(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for chunk in 0..10 {
        let batch = (0..500).fold(WriteBatch::new(), |batch, number| {
            let number = chunk * 500 + number;
            batch.put_with(key(nth(number)), "1", after(1 + (number as u64 % 97)))
        });
        store.commit(batch).await?;
    }
    cx.clock().advance_millis(97);
    require_eq!(store.count(&home()).await?, 0, "5,000 entries are hidden at once");
    cx.swept(&store, 0).await
}

async fn write_racing_sweeper_survives(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 0..10 {
        let batch = (0..100).fold(WriteBatch::new(), |batch, number| {
            batch.put_with(key(nth(number)), "old", after(10))
        });
        store
            .commit(batch.put_with(key("sentinel"), "old", after(10)))
            .await?;
        cx.clock().advance_millis(10);
        for number in 0..100 {
            store.write(&nth(number), "new").await?;
        }
        cx.swept(&store, 100).await?;
        for number in 0..100 {
            let value = store.read(&nth(number)).await?;
            require_eq!(
                value.as_deref(),
                Some("new"),
                "round {round}: the sweeper took a newer write"
            );
        }
    }
    Ok(())
}

async fn touch_racing_sweeper_survives_or_does_nothing(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 0..20 {
        store.write_with("a", "1", after(10)).await?;
        store.write_with("sentinel", "1", after(10)).await?;
        cx.clock().advance_millis(9);
        let clock = std::sync::Arc::clone(cx.clock());
        let mover = tokio::spawn(async move { clock.advance_millis(1) });
        let touched = store.touch(key("a"), Expiry::Never).await?.is_committed();
        mover.await?;
        cx.swept(&store, u64::from(touched)).await?;
        let visible = store.exists(&key("a")).await?;
        require_eq!(
            visible,
            touched,
            "round {round}: a touch that committed holds, one that came late does nothing"
        );
        store.remove("a").await?;
    }
    Ok(())
}

async fn expiry_event_once(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let batch = (0..50).fold(WriteBatch::new(), |batch, number| {
        batch.put_with(key(nth(number)), "1", after(10))
    });
    let written = store.commit(batch).await?;
    let mut watcher = store.follow_after(written)?;
    cx.clock().advance_millis(10);
    let mut expired = Vec::new();
    while expired.len() < 50 {
        // Some stores sweep on access.
        store.count(&home()).await?;
        let set = cx.next_set(&mut *watcher).await?;
        require!(
            set.changes
                .iter()
                .all(|change| change.kind == ChangeKind::Expired),
            "entries whose deadline passed are reported as expired"
        );
        expired.extend(set.changes.into_iter().map(|change| change.key));
    }
    expired.sort_unstable();
    let expected: Vec<_> = (0..50).map(|number| key(nth(number))).collect();
    require_eq!(expired, expected, "each expired entry is reported just once");
    cx.silent(&mut *watcher).await
}

async fn expiry_event_has_its_own_revision(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let written = store.write_with("a", "1", after(10)).await?;
    let mut watcher = store.follow_after(written)?;
    cx.clock().advance_millis(10);
    store.read("a").await?;
    let set = cx.next_set(&mut *watcher).await?;
    require!(set.revision > written, "the removal is a commit of its own");
    require!(
        store.write("b", "1").await? > set.revision,
        "and its revision is not used again"
    );
    Ok(())
}

async fn overwritten_expired_gives_no_event(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 0..10 {
        let from = store.write_with("a", "1", after(10)).await?;
        let mut watcher = store.follow_after(from)?;
        cx.clock().advance_millis(10);
        let overwritten = store.write("a", "2").await?;
        let mut last = cx.next_set(&mut *watcher).await?;
        if last.revision < overwritten {
            // The sweeper was quicker, which is no fault.
            require_eq!(
                last.changes[0].kind,
                ChangeKind::Expired,
                "round {round}: only the sweeper came between"
            );
            last = cx.next_set(&mut *watcher).await?;
        }
        require_eq!(
            last.revision,
            overwritten,
            "round {round}: the overwrite is reported"
        );
        require_eq!(last.changes.len(), 1, "a key is reported once for a batch");
        require_eq!(last.changes[0].kind, ChangeKind::Put, "with its last state");
        cx.silent(&mut *watcher).await?;
    }
    Ok(())
}

async fn deleted_expired_gives_one_expired_event(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 0..10 {
        let from = store.write_with("a", "1", after(10)).await?;
        let mut watcher = store.follow_after(from)?;
        cx.clock().advance_millis(10);
        store.remove("a").await?;
        let set = cx.next_set(&mut *watcher).await?;
        require_eq!(set.changes.len(), 1, "round {round}: one change");
        require_eq!(
            set.changes[0].kind,
            ChangeKind::Expired,
            "round {round}: it had expired before it was deleted"
        );
        cx.silent(&mut *watcher).await?;
    }
    Ok(())
}

async fn renewed_entry_gives_no_event(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write_with("kept", "1", after(10)).await?;
    store.write_with("sentinel", "1", after(10)).await?;
    let renewed = store.write_with("kept", "2", after(1_000)).await?;
    let mut watcher = store.follow_after(renewed)?;
    cx.clock().advance_millis(10);
    cx.swept(&store, 1).await?;
    let set = cx.next_set(&mut *watcher).await?;
    let keys: Vec<_> = set.changes.into_iter().map(|change| change.key).collect();
    require_eq!(
        keys,
        [key("sentinel")],
        "an entry whose deadline was moved does not expire at the old one"
    );
    require_eq!(
        store.read("kept").await?.as_deref(),
        Some("2"),
        "it is still there"
    );
    Ok(())
}

async fn sweep_goes_on_after_clock_steps(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let start = cx.clock().now();
    for back in [1_000_000, 10, 500_000_000] {
        cx.clock().set(later(start, 600_000_000));
        store.write_with("before", "1", after(10)).await?;
        cx.clock().set(later(start, 600_000_000 - back));
        store.write_with("after", "1", after(10)).await?;
        cx.clock().advance_millis(10);
        require!(
            !store.exists(&key("after")).await?,
            "deadlines count by the clock as it is"
        );
        store.remove("before").await?;
        cx.swept(&store, 0).await?;
    }
    Ok(())
}

async fn swept_counts_as_expired(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..5 {
        store.write_with(&nth(number), "1", after(10)).await?;
    }
    cx.clock().advance_millis(10);
    cx.swept(&store, 0).await?;
    cx.expired(&store, 5).await?;
    let stats = store.stats().await?;
    require_eq!(stats.expired, 5, "each entry removed for its deadline is counted");
    require_eq!(stats.bytes, 0, "its bytes are given back");
    Ok(())
}
