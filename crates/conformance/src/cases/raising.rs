//! Revisions that are raised for data that comes from another store.

use stead_core::{Durability, ErrorKind, Expect, Outcome, RequestId, Revision, WatchEvent, WriteBatch};

use crate::harness::{CaseResult, Context, cases, require, require_eq, require_matches};
use crate::support::{Reading, key};

cases![
    commits_behind_the_raise,
    raise_behind_the_store_changes_nothing,
    rejected_raise_changes_nothing,
    raise_without_mutations_changes_nothing,
    raise_beyond_the_limit_is_refused,
    stale_revision_fails_after_raise,
    raised_store_checks,
    raise_takes_any_durability,
    raise_counts_as_body_of_a_request: REQUEST_IDS,
    watch_from_before_the_raise_is_told: WATCH,
    watch_under_way_is_told_of_a_raise: WATCH,
    watch_goes_on_behind_the_raise: WATCH,
    raise_behind_the_store_is_not_told: WATCH,
    oldest_revision_is_the_raise: WATCH + STORE_ORDER,
    raise_survives_restart: PERSISTENCE,
    log_behind_a_raise_survives_restart: PERSISTENCE + WATCH,
];

/// Far ahead of anything that a case commits or that a store keeps in reserve.
const FAR: u64 = 1 << 40;

fn ahead(of: Revision) -> Revision {
    Revision::new(of.get() + FAR)
}

fn raising(path: &str, revision: Revision) -> WriteBatch {
    WriteBatch::new().put(key(path), "raised").raise_to(revision)
}

async fn commits_behind_the_raise(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let far = ahead(store.write("a", "1").await?);
    let raised = store.commit(raising("b", far)).await?;
    require!(
        raised > far,
        "the batch commits behind the revision that it names"
    );
    require_eq!(
        store.present("b").await?.revision(),
        raised,
        "and its entries have that revision"
    );
    require_eq!(store.read("a").await?.as_deref(), Some("1"), "older entries stay");
    let next = store.write("c", "1").await?;
    require!(next > raised, "the store goes on from there");
    Ok(())
}

async fn raise_behind_the_store_changes_nothing(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let far = ahead(store.write("a", "1").await?);
    let raised = store.commit(raising("b", far)).await?;
    for low in [Revision::ZERO, Revision::new(1), far, raised] {
        let last = store.write("c", "1").await?;
        let next = store.commit(raising("d", low)).await?;
        require!(
            next > last && next.get() < last.get() + FAR,
            "a store that is further already goes on as ever, not at {next}"
        );
    }
    Ok(())
}

async fn rejected_raise_changes_nothing(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let first = store.write("a", "1").await?;
    let far = ahead(first);
    store
        .reject(raising("b", far).expect(key("a"), Expect::Absent))
        .await?;
    let next = store.write("c", "1").await?;
    require!(next > first && next < far, "a rejected batch raises nothing");
    require_eq!(store.read("b").await?, None, "and writes nothing");
    Ok(())
}

async fn raise_without_mutations_changes_nothing(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let first = store.write("a", "1").await?;
    let far = ahead(first);
    let check = WriteBatch::new().expect(key("a"), Expect::Present).raise_to(far);
    store.commit(check).await?;
    let next = store.write("c", "1").await?;
    require!(
        next > first && next < far,
        "a batch that only checks raises nothing"
    );
    Ok(())
}

async fn raise_beyond_the_limit_is_refused(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let first = store.write("a", "1").await?;
    for forged in [Revision::HIGHEST_RAISE.next(), Revision::MAX] {
        let error = store.refuse(raising("b", forged)).await?;
        require_eq!(error.kind(), ErrorKind::Invalid, "the number is forged: {error}");
    }
    let next = store.write("c", "1").await?;
    require!(next.get() < first.get() + FAR, "the store is as it was");
    require_eq!(store.read("b").await?, None, "and nothing was written");
    Ok(())
}

async fn stale_revision_fails_after_raise(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let first = store.write("a", "1").await?;
    let raised = store.commit(raising("a", ahead(first))).await?;
    let stale = store.cas("a", Expect::At(first), "2").await?;
    require_matches!(
        stale,
        Outcome::Rejected(_),
        "the old revision is of another entry"
    );
    let fresh = store.cas("a", Expect::At(raised), "2").await?;
    require_matches!(fresh, Outcome::Committed(_), "the new one is this entry's");
    Ok(())
}

async fn raised_store_checks(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..40 {
        store.write(&format!("k{number:02}"), "x").await?;
    }
    let far = ahead(store.write("a", "1").await?);
    store.commit(raising("b", far)).await?;
    store.write("c", "1").await?;
    let report = store.check(&|_| ()).await?;
    require_eq!(report.entries, 43, "every entry and index is in order");
    Ok(())
}

async fn raise_takes_any_durability(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut last = store.write("a", "1").await?;
    for wanted in [Durability::Buffered, Durability::Durable, Durability::Buffered] {
        let far = ahead(last);
        let raised = store.commit(raising("b", far).durability(wanted)).await?;
        require!(raised > far, "a raise may be buffered or durable");
        last = raised;
    }
    Ok(())
}

async fn raise_counts_as_body_of_a_request(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let id = RequestId::new("r1").expect("a valid id");
    let far = ahead(store.write("a", "1").await?);
    let batch = raising("b", far).request_id(id.clone());
    let first = store.commit(batch.clone()).await?;
    require_eq!(
        store.commit(batch).await?,
        first,
        "a retry gives the first outcome"
    );
    let other = WriteBatch::new().put(key("b"), "raised").request_id(id);
    let error = store.refuse(other).await?;
    require_eq!(
        error.kind(),
        ErrorKind::Conflict,
        "the batch without the raise is another one: {error}"
    );
    Ok(())
}

async fn watch_from_before_the_raise_is_told(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let first = store.write("a", "1").await?;
    let far = ahead(first);
    store.commit(raising("b", far)).await?;
    for from in [Revision::ZERO, first, Revision::new(far.get() - 1)] {
        let mut watcher = store.follow_after(from)?;
        require_matches!(
            cx.next(&mut *watcher).await?,
            WatchEvent::Compacted { .. },
            "what came between {from} and the raise was never in this log"
        );
    }
    Ok(())
}

async fn watch_under_way_is_told_of_a_raise(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watcher = store.follow()?;
    let first = store.write("a", "1").await?;
    require_eq!(
        cx.next_set(&mut *watcher).await?.revision,
        first,
        "it is under way"
    );
    store.commit(raising("b", ahead(first))).await?;
    require_matches!(
        cx.next(&mut *watcher).await?,
        WatchEvent::Lagged { .. },
        "a watch under way is told to begin anew"
    );
    Ok(())
}

async fn watch_goes_on_behind_the_raise(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let far = ahead(store.write("a", "1").await?);
    let raised = store.commit(raising("b", far)).await?;
    let next = store.write("c", "1").await?;
    let mut watcher = store.follow_after(far)?;
    require_eq!(
        cx.next_set(&mut *watcher).await?.revision,
        raised,
        "the raising batch is the first of the new log"
    );
    require_eq!(
        cx.next_set(&mut *watcher).await?.revision,
        next,
        "and more follow"
    );
    let mut watcher = store.follow_after(raised)?;
    require_eq!(
        cx.next_set(&mut *watcher).await?.revision,
        next,
        "a watch resumes exactly behind it"
    );
    Ok(())
}

async fn raise_behind_the_store_is_not_told(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let first = store.write("a", "1").await?;
    let mut under_way = store.follow()?;
    let second = store.commit(raising("b", first)).await?;
    require_eq!(
        cx.next_set(&mut *under_way).await?.revision,
        second,
        "nothing lies between"
    );
    let mut resumed = store.follow_after(first)?;
    require_eq!(
        cx.next_set(&mut *resumed).await?.revision,
        second,
        "and the log is whole"
    );
    Ok(())
}

async fn oldest_revision_is_the_raise(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let far = ahead(store.write("a", "1").await?);
    let raised = store.commit(raising("b", far)).await?;
    let stats = store.stats().await?;
    require_eq!(stats.revision, raised, "the store stands at the raised commit");
    require_eq!(stats.oldest_revision, far, "and its log begins at the raise");
    Ok(())
}

async fn raise_survives_restart(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let far = ahead(store.write("a", "1").await?);
    let raised = store.commit(raising("b", far)).await?;
    let store = cx.reopen(store).await?;
    require_eq!(
        store.present("b").await?.revision(),
        raised,
        "the entry keeps its revision"
    );
    let next = store.write("c", "1").await?;
    require!(next > raised, "and the store goes on behind it");
    Ok(())
}

async fn log_behind_a_raise_survives_restart(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let first = store.write("a", "1").await?;
    let far = ahead(first);
    let raised = store.commit(raising("b", far)).await?;
    let store = cx.reopen(store).await?;
    let mut watcher = store.follow_after(first)?;
    require_matches!(
        cx.next(&mut *watcher).await?,
        WatchEvent::Compacted { .. },
        "the gap is remembered"
    );
    let mut watcher = store.follow_after(far)?;
    require_eq!(
        cx.next_set(&mut *watcher).await?.revision,
        raised,
        "and so is what came behind it"
    );
    Ok(())
}
