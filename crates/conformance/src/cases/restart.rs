//! Durability as far as an orderly restart shows it. What survives a crash is shown by the crash laboratory.

use stead_core::{
    BackendExt, ChangeKind, Clock, Durability, Expect, Expiry, ReadExt, RequestId, Revision, WriteBatch,
};

use crate::harness::{CaseResult, Context, cases, require, require_eq};
use crate::support::{Reading, after, home, key, key_in, later, nth, partition};

cases![
    sync_is_accepted,
    durable_batch_is_accepted,
    buffered_batch_is_accepted,
    data_survives_restart: PERSISTENCE,
    buffered_data_survives_orderly_close: PERSISTENCE,
    deletes_survive_restart: PERSISTENCE,
    binary_data_survives_restart: PERSISTENCE,
    revisions_of_entries_survive_restart: PERSISTENCE,
    revisions_go_on_after_restart: PERSISTENCE,
    revisions_go_on_after_deletes_and_restart: PERSISTENCE,
    cas_works_over_restart: PERSISTENCE,
    ttl_survives_restart: PERSISTENCE + TTL,
    deadline_passed_while_closed: PERSISTENCE + TTL,
    sweeping_goes_on_after_restart: PERSISTENCE + TTL,
    expiry_while_closed_is_told: PERSISTENCE + TTL + WATCH,
    ttl_enabled_on_old_data: PERSISTENCE + TTL,
    request_ids_survive_restart: PERSISTENCE + REQUEST_IDS,
    watch_resumes_across_restart: PERSISTENCE + WATCH,
    watch_ahead_is_refused_after_restart: PERSISTENCE + WATCH,
    compaction_is_told_after_restart: PERSISTENCE + WATCH + SHORT_LOG,
    many_restarts: PERSISTENCE,
    restart_without_writes_changes_nothing: PERSISTENCE,
    partitions_survive_restart: PERSISTENCE,
    check_passes_after_restart: PERSISTENCE,
    places_are_apart,
];

async fn sync_is_accepted(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.sync().await?;
    store.write("a", "1").await?;
    store.sync().await?;
    store.sync().await?;
    require_eq!(
        store.read("a").await?.as_deref(),
        Some("1"),
        "a sync changes nothing that is read"
    );
    Ok(())
}

async fn durable_batch_is_accepted(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let first = store
        .commit(
            WriteBatch::new()
                .put(key("a"), "1")
                .durability(Durability::Durable),
        )
        .await?;
    let second = store
        .commit(
            WriteBatch::new()
                .put(key("b"), "1")
                .durability(Durability::Durable),
        )
        .await?;
    require!(second > first, "durable batches commit like any other");
    require_eq!(store.list(home()).await?, ["a", "b"], "and are read at once");
    Ok(())
}

async fn buffered_batch_is_accepted(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 0..20 {
        let wanted = if round % 2 == 0 {
            Durability::Buffered
        } else {
            Durability::Durable
        };
        let revision = store
            .commit(
                WriteBatch::new()
                    .put(key("a"), round.to_string())
                    .durability(wanted),
            )
            .await?;
        let entry = store.present("a").await?;
        require_eq!(
            entry.revision(),
            revision,
            "what is acknowledged is visible, however it is written"
        );
    }
    Ok(())
}

async fn data_survives_restart(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..200 {
        store.write(&nth(number), number.to_string()).await?;
    }
    let store = cx.reopen(store).await?;
    require_eq!(store.count(&home()).await?, 200, "every entry is there again");
    for number in 0..200 {
        require_eq!(
            store.read(&nth(number)).await?,
            Some(number.to_string()),
            "with its value"
        );
    }
    Ok(())
}

async fn buffered_data_survives_orderly_close(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..100 {
        let batch = WriteBatch::new()
            .put(key(nth(number)), "x")
            .durability(Durability::Buffered);
        store.commit(batch).await?;
    }
    let store = cx.reopen(store).await?;
    require_eq!(
        store.count(&home()).await?,
        100,
        "closing a store makes everything durable"
    );
    Ok(())
}

async fn deletes_survive_restart(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..100 {
        store.write(&nth(number), "x").await?;
    }
    let store = cx.reopen(store).await?;
    for number in (0..100).step_by(2) {
        store.remove(&nth(number)).await?;
    }
    let store = cx.reopen(store).await?;
    let expected: Vec<_> = (1..100).step_by(2).map(nth).collect();
    require_eq!(store.list(home()).await?, expected, "what was deleted stays so");
    Ok(())
}

async fn binary_data_survives_restart(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let paths: Vec<Vec<u8>> = vec![vec![], vec![0], vec![0, 0xff], vec![0xff; 1024], b"a\nb".to_vec()];
    for path in &paths {
        store.put(key(path), path.clone()).await?;
    }
    store.write("empty", "").await?;
    let store = cx.reopen(store).await?;
    for path in &paths {
        let entry = store.get(&key(path)).await?;
        require!(
            entry.is_some_and(|entry| entry.value() == path),
            "{} bytes of key and value",
            path.len()
        );
    }
    require_eq!(
        store.present("empty").await?.value().len(),
        0,
        "an empty value is a value"
    );
    Ok(())
}

async fn revisions_of_entries_survive_restart(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let a = store.write("a", "1").await?;
    let b = store
        .commit(WriteBatch::new().put(key("b"), "1").put(key("c"), "1"))
        .await?;
    let store = cx.reopen(store).await?;
    for (path, revision) in [("a", a), ("b", b), ("c", b)] {
        require_eq!(
            store.present(path).await?.revision(),
            revision,
            "an entry keeps its revision"
        );
    }
    Ok(())
}

async fn revisions_go_on_after_restart(cx: &Context) -> CaseResult {
    let mut store = cx.open().await?;
    let mut last = Revision::ZERO;
    for round in 0..5 {
        for _ in 0..5 {
            let revision = store.write("a", "x").await?;
            require!(revision > last, "round {round}: revision {revision} after {last}");
            last = revision;
        }
        store = cx.reopen(store).await?;
        require!(
            store.stats().await?.revision >= last,
            "the newest revision is known after opening"
        );
    }
    Ok(())
}

async fn revisions_go_on_after_deletes_and_restart(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let written = store.write("a", "1").await?;
    let deleted = store.remove("a").await?;
    let idle = store.remove("missing").await?;
    require!(
        written < deleted && deleted < idle,
        "each commit has its own revision"
    );
    let store = cx.reopen(store).await?;
    let next = store.write("a", "1").await?;
    require!(
        next > idle,
        "an empty store remembers its revisions: {next} after {idle}"
    );
    require!(
        !store.cas("a", Expect::At(written), "2").await?.is_committed(),
        "ABA does not pass by a restart"
    );
    Ok(())
}

async fn cas_works_over_restart(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let revision = store.write("a", "1").await?;
    let store = cx.reopen(store).await?;
    require!(
        store.cas("a", Expect::At(revision), "2").await?.is_committed(),
        "an unchanged entry is unchanged"
    );
    let store = cx.reopen(store).await?;
    require!(
        !store.cas("a", Expect::At(revision), "3").await?.is_committed(),
        "a changed one is not"
    );
    Ok(())
}

async fn ttl_survives_restart(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let start = cx.clock().now();
    store.write_with("a", "1", after(1_000)).await?;
    store
        .write_with("b", "1", Expiry::At(later(start, 2_000)))
        .await?;
    cx.clock().advance_millis(400);
    let store = cx.reopen(store).await?;
    require_eq!(
        store.present("a").await?.deadline(),
        Some(later(start, 1_000)),
        "a deadline is kept as it was"
    );
    cx.clock().advance_millis(599);
    require!(store.exists(&key("a")).await?, "it does not come early");
    cx.clock().advance_millis(1);
    require_eq!(store.list(home()).await?, ["b"], "nor late");
    Ok(())
}

async fn deadline_passed_while_closed(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write_with("a", "1", after(10)).await?;
    store.write("b", "1").await?;
    store.close().await?;
    drop(store);
    cx.clock().advance_millis(10);
    let store = cx.open().await?;
    require_eq!(
        store.list(home()).await?,
        ["b"],
        "it is hidden from the first read on"
    );
    require!(
        store.cas("a", Expect::Absent, "2").await?.is_committed(),
        "and absent to conditions"
    );
    Ok(())
}

async fn sweeping_goes_on_after_restart(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let batch = (0..300).fold(WriteBatch::new(), |batch, number| {
        batch.put_with(key(nth(number)), "1", after(10))
    });
    store.commit(batch).await?;
    store.write_with("later", "1", after(1_000)).await?;
    let store = cx.reopen(store).await?;
    cx.clock().advance_millis(10);
    cx.swept(&store, 1).await?;
    require_eq!(
        store.list(home()).await?,
        ["later"],
        "the deadlines of a former opening are known to the sweeper"
    );
    Ok(())
}

async fn expiry_while_closed_is_told(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let written = store.write_with("a", "1", after(10)).await?;
    store.close().await?;
    drop(store);
    cx.clock().advance_millis(10);
    let store = cx.open().await?;
    let mut watcher = store.follow_after(written)?;
    store.read("a").await?;
    let set = cx.next_set(&mut *watcher).await?;
    require_eq!(set.changes.len(), 1, "one entry expired");
    require_eq!(
        set.changes[0].kind,
        ChangeKind::Expired,
        "what expired while nobody looked is told as well"
    );
    cx.silent(&mut *watcher).await
}

async fn ttl_enabled_on_old_data(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "1").await?;
    let store = cx.reopen(store).await?;
    store.touch(key("a"), after(10)).await?.committed()?;
    let store = cx.reopen(store).await?;
    cx.clock().advance_millis(10);
    require_eq!(
        store.read("a").await?,
        None,
        "an entry written without a deadline may get one later"
    );
    Ok(())
}

async fn request_ids_survive_restart(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let committed = WriteBatch::new()
        .put(key("a"), "1")
        .request_id(RequestId::new("r1")?);
    let rejected = WriteBatch::new()
        .expect(key("a"), Expect::Absent)
        .request_id(RequestId::new("r2")?);
    let first = store.apply(committed.clone()).await?;
    let second = store.apply(rejected.clone()).await?;
    store.remove("a").await?;
    let store = cx.reopen(store).await?;
    require_eq!(
        store.apply(committed).await?,
        first,
        "a retry after a restart gives the first outcome"
    );
    require_eq!(store.read("a").await?, None, "and writes nothing");
    require_eq!(store.apply(rejected).await?, second, "a rejected one too");
    let other = WriteBatch::new()
        .put(key("a"), "2")
        .request_id(RequestId::new("r1")?);
    let error = store.refuse(other).await?;
    require_eq!(
        error.kind(),
        stead_core::ErrorKind::Conflict,
        "another batch under the id is refused: {error}"
    );
    Ok(())
}

async fn watch_resumes_across_restart(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut expected = Vec::new();
    for number in 0..10 {
        expected.push(store.write(&nth(number), "x").await?);
    }
    let mut watcher = store.follow_after(Revision::ZERO)?;
    for revision in &expected[..4] {
        require_eq!(
            cx.next_set(&mut *watcher).await?.revision,
            *revision,
            "the first four are read"
        );
    }
    let position = expected[3];
    drop(watcher);
    let store = cx.reopen(store).await?;
    expected.push(store.write("after", "x").await?);
    let mut watcher = store.follow_after(position)?;
    for revision in &expected[4..] {
        require_eq!(
            cx.next_set(&mut *watcher).await?.revision,
            *revision,
            "the rest follows without gap or repeat"
        );
    }
    cx.silent(&mut *watcher).await
}

async fn watch_ahead_is_refused_after_restart(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let newest = store.write("a", "1").await?;
    let store = cx.reopen(store).await?;
    store.follow_after(newest)?;
    let far = Revision::new(newest.get() + 1_000_000);
    require!(
        store.follow_after(far).is_err(),
        "a revision that was never given belongs to another store"
    );
    Ok(())
}

async fn compaction_is_told_after_restart(cx: &Context) -> CaseResult {
    let store = cx.open_with_short_log().await?;
    let first = store.write("a", "1").await?;
    let mut written = 0;
    while store.stats().await?.oldest_revision <= first {
        store.write(&nth(written % 10), "x").await?;
        written += 1;
        require!(written < 20_000, "a log of 64 change sets is never cut");
    }
    let mut options = cx.options();
    options.change_retention = 64;
    let store = cx.reopen_with(store, &options).await?;
    let mut watcher = store.follow_after(first)?;
    let event = cx.next(&mut *watcher).await?;
    crate::harness::require_matches!(
        event,
        stead_core::WatchEvent::Compacted { .. },
        "what was cut before the restart is still missing"
    );
    Ok(())
}

async fn many_restarts(cx: &Context) -> CaseResult {
    let mut store = cx.open().await?;
    for round in 0..12 {
        store.write(&nth(round), round.to_string()).await?;
        store.write("same", round.to_string()).await?;
        store = cx.reopen(store).await?;
        require_eq!(
            store.count(&home()).await?,
            round as u64 + 2,
            "restart {round}: nothing is lost or made up"
        );
        require_eq!(
            store.read("same").await?,
            Some(round.to_string()),
            "restart {round}: the last write counts"
        );
    }
    Ok(())
}

async fn restart_without_writes_changes_nothing(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let revision = store.write("a", "1").await?;
    let mut store = cx.reopen(store).await?;
    for _ in 0..3 {
        store = cx.reopen(store).await?;
    }
    let stats = store.stats().await?;
    require_eq!(stats.revision, revision, "opening and closing is no commit");
    require_eq!(stats.entries, 1, "nor does it make entries");
    Ok(())
}

async fn partitions_survive_restart(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for name in ["b", "a", "c"] {
        store.put(key_in(name, "k"), name).await?;
    }
    let store = cx.reopen(store).await?;
    let found = store.partitions(&stead_core::KeyRange::all(), 10).await?;
    require_eq!(
        found,
        ["a", "b", "c"].map(partition),
        "partitions are found again"
    );
    Ok(())
}

async fn check_passes_after_restart(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..100 {
        store.write(&nth(number), "x").await?;
    }
    for number in 0..50 {
        store.remove(&nth(number)).await?;
    }
    let store = cx.reopen(store).await?;
    let report = store.check(&|_| ()).await?;
    require_eq!(
        report.entries,
        50,
        "a check reads every entry of a reopened store"
    );
    Ok(())
}

async fn places_are_apart(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    require_eq!(
        store.count(&home()).await?,
        0,
        "a new place holds nothing of other cases"
    );
    require_eq!(store.stats().await?.entries, 0, "nothing at all");
    Ok(())
}
