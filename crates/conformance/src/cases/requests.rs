//! Request ids: a retry happens once.

use std::collections::BTreeSet;

use stead_core::{Durability, ErrorKind, Expect, Outcome, ReadExt, RequestId, WriteBatch};

use crate::harness::{CaseResult, Context, cases, require, require_eq, require_matches};
use crate::support::{Reading, home, key, nth};

cases![
    retry_same_request_id_once: REQUEST_IDS,
    retry_after_other_writes: REQUEST_IDS,
    request_id_reuse_other_body_refused: REQUEST_IDS,
    every_part_of_the_body_counts: REQUEST_IDS,
    durability_is_not_part_of_the_body: REQUEST_IDS,
    rejected_outcome_is_remembered: REQUEST_IDS,
    failed_batch_does_not_use_up_the_id: REQUEST_IDS,
    ids_are_bytes: REQUEST_IDS,
    different_ids_are_different_requests: REQUEST_IDS,
    concurrent_same_id_commits_once: REQUEST_IDS,
    concurrent_same_id_with_other_bodies: REQUEST_IDS,
    retried_increment_adds_once: REQUEST_IDS,
    retry_gives_no_event: REQUEST_IDS + WATCH,
    request_id_on_a_check: REQUEST_IDS,
    many_ids_are_remembered: REQUEST_IDS,
];

fn id(bytes: impl AsRef<[u8]>) -> RequestId {
    RequestId::new(bytes).expect("cases name valid request ids")
}

async fn retry_same_request_id_once(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let batch = WriteBatch::new().put(key("a"), "1").request_id(id("r1"));
    let first = store.apply(batch.clone()).await?;
    for _ in 0..3 {
        require_eq!(
            store.apply(batch.clone()).await?,
            first,
            "a retry gives the first outcome"
        );
    }
    let revision = first.committed()?;
    require_eq!(
        store.present("a").await?.revision(),
        revision,
        "and does not write again"
    );
    Ok(())
}

async fn retry_after_other_writes(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let batch = WriteBatch::new().put(key("a"), "old").request_id(id("r1"));
    let first = store.commit(batch.clone()).await?;
    store.write("a", "new").await?;
    require_eq!(
        store.commit(batch.clone()).await?,
        first,
        "a late retry gives the first outcome"
    );
    require_eq!(
        store.read("a").await?.as_deref(),
        Some("new"),
        "and undoes nothing"
    );
    store.remove("a").await?;
    require_eq!(store.commit(batch).await?, first, "after a delete too");
    require_eq!(store.read("a").await?, None, "what was deleted stays so");
    Ok(())
}

async fn request_id_reuse_other_body_refused(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store
        .commit(WriteBatch::new().put(key("a"), "1").request_id(id("r1")))
        .await?;
    let error = store
        .refuse(WriteBatch::new().put(key("a"), "2").request_id(id("r1")))
        .await?;
    require_eq!(
        error.kind(),
        ErrorKind::Conflict,
        "the id belongs to another batch: {error}"
    );
    require_eq!(
        store.read("a").await?.as_deref(),
        Some("1"),
        "nothing was written"
    );
    Ok(())
}

async fn every_part_of_the_body_counts(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let first = || {
        WriteBatch::new()
            .put(key("a"), "1")
            .put(key("b"), "1")
            .request_id(id("r1"))
    };
    let outcome = store.apply(first()).await?;
    for other in [
        WriteBatch::new().put(key("b"), "1").put(key("a"), "1"),
        WriteBatch::new().put(key("a"), "1"),
        WriteBatch::new()
            .put(key("a"), "1")
            .put(key("b"), "1")
            .delete(key("c")),
        WriteBatch::new()
            .put(key("a"), "1")
            .put(key("b"), "1")
            .expect(key("a"), Expect::Present),
        WriteBatch::new().put(key("a"), "1").put(key("b"), ""),
        WriteBatch::new().put(key("a"), "1").delete(key("b")),
        WriteBatch::new(),
    ] {
        let error = store.refuse(other.request_id(id("r1"))).await?;
        require_eq!(
            error.kind(),
            ErrorKind::Conflict,
            "another batch under the same id: {error}"
        );
    }
    require_eq!(
        store.apply(first()).await?,
        outcome,
        "the first batch still has its outcome"
    );
    Ok(())
}

async fn durability_is_not_part_of_the_body(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let batch = || WriteBatch::new().put(key("a"), "1").request_id(id("r1"));
    let first = store.commit(batch().durability(Durability::Buffered)).await?;
    let again = store.commit(batch().durability(Durability::Durable)).await?;
    require_eq!(again, first, "a retry may ask for more durability");
    Ok(())
}

async fn rejected_outcome_is_remembered(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "1").await?;
    let batch = || {
        WriteBatch::new()
            .expect(key("a"), Expect::Absent)
            .put(key("a"), "2")
            .request_id(id("r1"))
    };
    let first = store.apply(batch()).await?;
    require_matches!(first, Outcome::Rejected(_), "the condition does not hold");
    store.remove("a").await?;
    require_eq!(
        store.apply(batch()).await?,
        first,
        "a retry is told the same, whatever would hold now"
    );
    require_eq!(store.read("a").await?, None, "and writes nothing");
    Ok(())
}

async fn failed_batch_does_not_use_up_the_id(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let too_large = vec![0; store.capabilities().limits.value_bytes + 1];
    store
        .refuse(WriteBatch::new().put(key("a"), too_large).request_id(id("r1")))
        .await?;
    store
        .commit(WriteBatch::new().put(key("a"), "1").request_id(id("r1")))
        .await?;
    Ok(())
}

async fn ids_are_bytes(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let ids = [
        vec![0],
        vec![0, 0],
        vec![0xff; 64],
        vec![0xff; 63],
        b"a".to_vec(),
        b"A".to_vec(),
        b"a\0".to_vec(),
    ];
    for (number, bytes) in ids.iter().enumerate() {
        let batch = WriteBatch::new().put(key(nth(number)), "1").request_id(id(bytes));
        store.commit(batch).await?;
    }
    require_eq!(
        store.count(&home()).await?,
        ids.len() as u64,
        "ids that differ in a byte are different"
    );
    for (number, bytes) in ids.iter().enumerate() {
        let revision = store.present(&nth(number)).await?.revision();
        let batch = WriteBatch::new().put(key(nth(number)), "1").request_id(id(bytes));
        require_eq!(
            store.commit(batch).await?,
            revision,
            "each is remembered with its own batch"
        );
    }
    Ok(())
}

async fn different_ids_are_different_requests(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let batch = |name: &str| WriteBatch::new().put(key("a"), "1").request_id(id(name));
    let first = store.commit(batch("r1")).await?;
    let second = store.commit(batch("r2")).await?;
    require!(second > first, "the same batch under two ids is written twice");
    let third = store.write("a", "1").await?;
    require!(third > second, "and without an id each time");
    Ok(())
}

async fn concurrent_same_id_commits_once(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 0..30 {
        let before = store.write("counter", "0").await?;
        let request = id(format!("round {round}"));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let batch = WriteBatch::new()
                    .expect(key("counter"), Expect::At(before))
                    .put(key("counter"), "1")
                    .request_id(request.clone());
                let store = store.clone();
                tokio::spawn(async move { store.apply(batch).await })
            })
            .collect();
        let mut revisions = BTreeSet::new();
        for task in tasks {
            revisions.insert(task.await??.committed()?);
        }
        require_eq!(
            revisions.len(),
            1,
            "round {round}: eight tries of one request are one commit"
        );
        let entry = store.present("counter").await?;
        require!(
            revisions.contains(&entry.revision()),
            "round {round}: of the revision that is there"
        );
    }
    Ok(())
}

async fn concurrent_same_id_with_other_bodies(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 0..30 {
        let request = id(format!("round {round}"));
        let tasks: Vec<_> = (0..4)
            .map(|task| {
                let path = format!("{round}/{task}");
                let batch = WriteBatch::new().put(key(path), "1").request_id(request.clone());
                let store = store.clone();
                tokio::spawn(async move { store.apply(batch).await })
            })
            .collect();
        let mut committed = 0;
        for task in tasks {
            match task.await? {
                Ok(outcome) => committed += usize::from(outcome.is_committed()),
                Err(error) => require_eq!(error.kind(), ErrorKind::Conflict, "the id is taken: {error}"),
            }
        }
        require_eq!(committed, 1, "round {round}: one of four batches has the id");
        let written = store.count(&crate::support::prefix(format!("{round}/"))).await?;
        require_eq!(written, 1, "round {round}: and only that one was written");
    }
    Ok(())
}

async fn retried_increment_adds_once(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 0..50 {
        let (number, expect) = store.number("n").await?;
        let batch = WriteBatch::new()
            .expect(key("n"), expect)
            .put(key("n"), (number + 1).to_string())
            .request_id(id(round.to_string()));
        let first = store.apply(batch.clone()).await?;
        // As a client does that did not hear the answer.
        require_eq!(
            store.apply(batch).await?,
            first,
            "the retry is told that it was done"
        );
    }
    require_eq!(
        store.number("n").await?.0,
        50,
        "50 increments, each tried twice, make 50"
    );
    Ok(())
}

async fn retry_gives_no_event(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watcher = store.follow()?;
    let batch = WriteBatch::new().put(key("a"), "1").request_id(id("r1"));
    store.commit(batch.clone()).await?;
    cx.next_set(&mut *watcher).await?;
    store.commit(batch).await?;
    cx.silent(&mut *watcher).await
}

async fn request_id_on_a_check(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let written = store.write("a", "1").await?;
    let batch = || {
        WriteBatch::new()
            .expect(key("a"), Expect::At(written))
            .request_id(id("r1"))
    };
    let first = store.apply(batch()).await?;
    require_matches!(first, Outcome::Committed(_), "the condition holds");
    store.write("a", "2").await?;
    require_eq!(
        store.apply(batch()).await?,
        first,
        "a batch that only checks is remembered as well"
    );
    Ok(())
}

async fn many_ids_are_remembered(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let batch = |number: usize| {
        WriteBatch::new()
            .put(key(nth(number)), "1")
            .request_id(id(nth(number)))
    };
    let mut first = Vec::new();
    for number in 0..500 {
        first.push(store.commit(batch(number)).await?);
    }
    for (number, revision) in first.iter().enumerate() {
        require_eq!(
            store.commit(batch(number)).await?,
            *revision,
            "request {number} of 500 is remembered"
        );
    }
    Ok(())
}
