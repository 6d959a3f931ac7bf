//! Many tasks at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use stead_core::{BackendExt, Expect, Outcome, Revision, WriteBatch};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::harness::{CaseResult, Context, Failure, cases, require, require_eq};
use crate::support::{Reading, Store, home, key, nth};

cases![
    n_concurrent_cas_one_winner,
    n_concurrent_creates_one_winner,
    n_concurrent_deletes_one_winner,
    counter_n_tasks_exact,
    counters_on_many_keys_exact,
    disjoint_writers_all_commit,
    revisions_are_unique_over_tasks,
    last_revision_has_the_last_word,
    reads_of_a_key_never_go_back,
    transfers_keep_the_sum,
    lock_has_one_owner_at_a_time,
    queue_gives_each_item_once,
];

/// Starts `tasks` tasks at the same instant and gathers what they give.
async fn at_once<T, F, Fut>(tasks: usize, work: F) -> CaseResult<Vec<T>>
where
    T: Send + 'static,
    F: Fn(usize) -> Fut,
    Fut: Future<Output = CaseResult<T>> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(tasks));
    let mut set = JoinSet::new();
    for number in 0..tasks {
        let barrier = Arc::clone(&barrier);
        let work = work(number);
        set.spawn(async move {
            barrier.wait().await;
            work.await
        });
    }
    let mut results = Vec::with_capacity(tasks);
    while let Some(result) = set.join_next().await {
        results.push(result??);
    }
    Ok(results)
}

fn winners(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| outcome.is_committed()).count()
}

async fn n_concurrent_cas_one_winner(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 0..30 {
        let current = store.write("a", "start").await?;
        let outcomes = at_once(8, |number| {
            let store = store.clone();
            async move { Ok(store.cas("a", Expect::At(current), number.to_string()).await?) }
        })
        .await?;
        require_eq!(
            winners(&outcomes),
            1,
            "round {round}: just one of 8 writers at one revision wins"
        );
        let won = outcomes.into_iter().find_map(|outcome| outcome.committed().ok());
        require_eq!(
            Some(store.present("a").await?.revision()),
            won,
            "the entry is the winner's"
        );
    }
    Ok(())
}

async fn n_concurrent_creates_one_winner(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 0..30 {
        let path = nth(round);
        let outcomes = at_once(8, |number| {
            let (store, path) = (store.clone(), path.clone());
            async move { Ok(store.cas(&path, Expect::Absent, number.to_string()).await?) }
        })
        .await?;
        require_eq!(
            winners(&outcomes),
            1,
            "round {round}: just one of 8 creators wins"
        );
    }
    Ok(())
}

async fn n_concurrent_deletes_one_winner(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 0..30 {
        let current = store.write("a", "x").await?;
        let outcomes = at_once(8, |_| {
            let store = store.clone();
            async move { Ok(store.compare_and_delete(key("a"), current).await?) }
        })
        .await?;
        require_eq!(
            winners(&outcomes),
            1,
            "round {round}: just one of 8 deleters wins"
        );
    }
    Ok(())
}

/// Adds 1 by compare-and-set until it works.
async fn increment(store: &Store, path: &str) -> CaseResult {
    loop {
        let (number, expect) = store.number(path).await?;
        if store
            .cas(path, expect, (number + 1).to_string())
            .await?
            .is_committed()
        {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

async fn counter_n_tasks_exact(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    at_once(8, |_| {
        let store = store.clone();
        async move {
            for _ in 0..50 {
                increment(&store, "counter").await?;
            }
            Ok(())
        }
    })
    .await?;
    require_eq!(
        store.number("counter").await?.0,
        400,
        "8 tasks that add 50 times each make 400"
    );
    Ok(())
}

async fn counters_on_many_keys_exact(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    at_once(6, |task| {
        let store = store.clone();
        async move {
            for round in 0..70 {
                increment(&store, &nth((task + round) % 7)).await?;
            }
            Ok(())
        }
    })
    .await?;
    for number in 0..7 {
        require_eq!(
            store.number(&nth(number)).await?.0,
            60,
            "counter {number} of 7 has its share"
        );
    }
    Ok(())
}

async fn disjoint_writers_all_commit(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    at_once(16, |task| {
        let store = store.clone();
        async move {
            for round in 0..20 {
                let path = format!("{task:02}/{round:02}");
                let outcome = store.cas(&path, Expect::Absent, "x").await?;
                require!(
                    outcome.is_committed(),
                    "nobody else writes {path:?}, and yet it was lost"
                );
            }
            Ok(())
        }
    })
    .await?;
    require_eq!(
        store.list(home()).await?.len(),
        320,
        "every writer's keys are there"
    );
    Ok(())
}

async fn revisions_are_unique_over_tasks(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let revisions = at_once(8, |task| {
        let store = store.clone();
        async move {
            let mut revisions = Vec::new();
            for _ in 0..40 {
                revisions.push(store.write(&nth(task), "x").await?);
            }
            require!(revisions.is_sorted(), "one task's commits are in order");
            Ok(revisions)
        }
    })
    .await?;
    let unique: BTreeSet<Revision> = revisions.iter().flatten().copied().collect();
    require_eq!(unique.len(), 320, "no two commits share a revision");
    Ok(())
}

async fn last_revision_has_the_last_word(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for _ in 0..20 {
        let written = at_once(8, |task| {
            let store = store.clone();
            async move { Ok((store.write("a", task.to_string()).await?, task.to_string())) }
        })
        .await?;
        let last = written
            .into_iter()
            .max()
            .ok_or_else(|| Failure::new("nothing was written"))?;
        let entry = store.present("a").await?;
        require_eq!(
            entry.revision(),
            last.0,
            "the entry has the highest revision of all writes"
        );
        require_eq!(
            entry.value(),
            last.1.as_bytes(),
            "and the value that was written with it"
        );
    }
    Ok(())
}

async fn reads_of_a_key_never_go_back(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.write("a", "0").await?;
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for round in 1..=400 {
            writer.write("a", round.to_string()).await?;
            tokio::task::yield_now().await;
        }
        CaseResult::Ok(())
    });
    let mut last = Revision::ZERO;
    while !writing.is_finished() {
        let entry = store.present("a").await?;
        require!(
            entry.revision() >= last,
            "a reader saw revision {} after {last}",
            entry.revision()
        );
        last = entry.revision();
        tokio::task::yield_now().await;
    }
    writing.await?
}

async fn transfers_keep_the_sum(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let accounts = (0..5).fold(WriteBatch::new(), |batch, number| {
        batch.put(key(nth(number)), "100")
    });
    store.commit(accounts).await?;
    let keys: Vec<_> = (0..5).map(|number| key(nth(number))).collect();
    let reader = store.clone();
    let reading = tokio::spawn(async move {
        for _ in 0..200 {
            let found = reader.get_many(&keys).await?;
            let sum: i64 = found
                .iter()
                .flatten()
                .map(|entry| crate::support::text(entry).parse().unwrap_or(0))
                .sum();
            require_eq!(sum, 500, "a reader never sees money on its way");
            tokio::task::yield_now().await;
        }
        CaseResult::Ok(())
    });
    at_once(4, |task| {
        let store = store.clone();
        async move {
            for round in 0..25 {
                transfer(&store, &nth((task + round) % 5), &nth((task + 2 * round + 1) % 5)).await?;
            }
            Ok(())
        }
    })
    .await?;
    reading.await??;
    let mut sum = 0;
    for number in 0..5 {
        sum += store.number(&nth(number)).await?.0;
    }
    require_eq!(sum, 500, "no money was made or lost");
    Ok(())
}

/// Moves 1, if the two are not the same.
async fn transfer(store: &Store, from: &str, to: &str) -> CaseResult {
    if from == to {
        return Ok(());
    }
    loop {
        let (giver, giver_was) = store.number(from).await?;
        let (taker, taker_was) = store.number(to).await?;
        let batch = WriteBatch::new()
            .expect(key(from), giver_was)
            .expect(key(to), taker_was)
            .put(key(from), (giver - 1).to_string())
            .put(key(to), (taker + 1).to_string());
        if store.apply(batch).await?.is_committed() {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

async fn lock_has_one_owner_at_a_time(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let inside = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    at_once(6, |task| {
        let (store, inside) = (store.clone(), Arc::clone(&inside));
        async move {
            let mut held = 0;
            while held < 10 {
                let Outcome::Committed(mine) = store.cas("lock", Expect::Absent, task.to_string()).await?
                else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let others = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                require_eq!(others, 0, "two tasks hold the lock at the same time");
                tokio::task::yield_now().await;
                inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                let released = store.compare_and_delete(key("lock"), mine).await?;
                require!(released.is_committed(), "the lock was taken from its owner");
                held += 1;
            }
            Ok(())
        }
    })
    .await?;
    Ok(())
}

async fn queue_gives_each_item_once(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let items = (0..60).fold(WriteBatch::new(), |batch, number| {
        batch.put(key(nth(number)), "job")
    });
    store.commit(items).await?;
    let taken = at_once(5, |_| {
        let store = store.clone();
        async move {
            let mut mine = Vec::new();
            while let Some(path) = store.list_by(stead_core::Scan::new(home()).limit(1)).await?.pop() {
                let batch = WriteBatch::new()
                    .expect(key(&path), Expect::Present)
                    .delete(key(&path));
                if store.apply(batch).await?.is_committed() {
                    mine.push(path);
                }
            }
            Ok(mine)
        }
    })
    .await?;
    let mut taken: Vec<String> = taken.into_iter().flatten().collect();
    taken.sort_unstable();
    let expected: Vec<String> = (0..60).map(nth).collect();
    require_eq!(
        taken,
        expected,
        "each item of the queue is taken by just one task"
    );
    Ok(())
}
