//! Those who read watches: many, slow, impatient.

use std::time::Duration;

use stead_core::{Change, ChangeKind, ChangeSet, Revision, WatchEvent, Watcher};

use crate::harness::{CaseResult, Context, Failure, cases, require, require_eq};
use crate::support::{Store, key, nth};

cases![
    events_in_revision_order: WATCH,
    event_wakes_a_waiting_reader: WATCH,
    cancelled_next_loses_nothing: WATCH,
    unpolled_next_loses_nothing: WATCH,
    several_watchers_see_the_same: WATCH,
    watcher_may_outlive_its_task: WATCH,
    concurrent_writers_all_seen_once: WATCH,
    event_is_readable_when_it_comes: WATCH,
    dropped_watcher_leaves_no_harm: WATCH,
    backlog_of_thousands_is_read: WATCH,
    read_up_to_a_revision_leaves_what_is_behind: WATCH,
];

async fn events_in_revision_order(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watcher = store.follow()?;
    let writers = writers(&store, 6, 40);
    let mut last = Revision::ZERO;
    for _ in 0..240 {
        let set = cx.next_set(&mut *watcher).await?;
        require!(set.revision > last, "revision {} came after {last}", set.revision);
        last = set.revision;
    }
    for writer in writers {
        writer.await??;
    }
    Ok(())
}

/// Starts `tasks` tasks that write `rounds` keys each, and gives the revisions.
fn writers(
    store: &Store,
    tasks: usize,
    rounds: usize,
) -> Vec<tokio::task::JoinHandle<CaseResult<Vec<Revision>>>> {
    let write = |task: usize| {
        let store = store.clone();
        async move {
            let mut revisions = Vec::new();
            for round in 0..rounds {
                revisions.push(store.write(&format!("{task}/{}", nth(round)), "x").await?);
                tokio::task::yield_now().await;
            }
            Ok(revisions)
        }
    };
    (0..tasks).map(|task| tokio::spawn(write(task))).collect()
}

async fn event_wakes_a_waiting_reader(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watcher = store.follow()?;
    for round in 0..20 {
        let writer = store.clone();
        let writing = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(3)).await;
            writer.write("a", "x").await
        });
        let set = cx.next_set(&mut *watcher).await?;
        require_eq!(
            set.revision,
            writing.await??,
            "round {round}: a reader that waits is woken by the commit"
        );
    }
    Ok(())
}

async fn cancelled_next_loses_nothing(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watcher = store.follow()?;
    let writing = writers(&store, 2, 100);
    let mut seen = Vec::new();
    let mut impatience = 0_u64;
    while seen.len() < 200 {
        impatience += 1;
        let patience = Duration::from_micros(impatience % 7 * 50);
        match tokio::time::timeout(patience, watcher.next()).await {
            Ok(event) => match event? {
                WatchEvent::Changes(set) => seen.push(set.revision),
                other => return Err(Failure::new(format!("the watch ended: {other:?}"))),
            },
            Err(_) => require!(impatience < 1_000_000, "only {} of 200 events came", seen.len()),
        }
    }
    require_eq!(
        seen,
        all_of(writing).await?,
        "a reader that gives up waiting again and again misses nothing"
    );
    Ok(())
}

/// The revisions that all writers got, in order.
async fn all_of(
    writers: Vec<tokio::task::JoinHandle<CaseResult<Vec<Revision>>>>,
) -> CaseResult<Vec<Revision>> {
    let mut revisions = Vec::new();
    for writer in writers {
        revisions.extend(writer.await??);
    }
    revisions.sort_unstable();
    Ok(revisions)
}

async fn unpolled_next_loses_nothing(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watcher = store.follow()?;
    for round in 0..10 {
        let revision = store.write("a", "x").await?;
        for _ in 0..3 {
            drop(watcher.next());
        }
        let set = cx.next_set(&mut *watcher).await?;
        require_eq!(
            set.revision,
            revision,
            "round {round}: a reply dropped unpolled, as by select!, took an event along"
        );
    }
    Ok(())
}

async fn several_watchers_see_the_same(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watchers: Vec<Box<dyn Watcher>> = Vec::new();
    for _ in 0..8 {
        watchers.push(store.follow()?);
    }
    let expected = all_of(writers(&store, 3, 20)).await?;
    for (number, watcher) in watchers.iter_mut().enumerate() {
        let mut seen = Vec::new();
        while seen.len() < expected.len() {
            seen.push(cx.next_set(&mut **watcher).await?.revision);
        }
        require_eq!(seen, expected, "watcher {number} sees every commit");
    }
    Ok(())
}

async fn watcher_may_outlive_its_task(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let starter = store.clone();
    let mut watcher = tokio::spawn(async move { starter.follow() }).await??;
    let revision = store.write("a", "1").await?;
    let (set, mut watcher) = tokio::spawn(async move {
        let event = watcher.next().await;
        (event, watcher)
    })
    .await?;
    let expected = WatchEvent::Changes(ChangeSet {
        revision,
        changes: vec![Change {
            key: key("a"),
            kind: ChangeKind::Put,
        }],
    });
    require_eq!(set?, expected, "a watcher moves between tasks");
    cx.silent(&mut *watcher).await
}

async fn concurrent_writers_all_seen_once(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watcher = store.follow()?;
    let writing = writers(&store, 8, 50);
    let mut seen = Vec::new();
    while seen.len() < 400 {
        seen.push(cx.next_set(&mut *watcher).await?.revision);
    }
    require_eq!(seen, all_of(writing).await?, "no commit is missed or told twice");
    cx.silent(&mut *watcher).await
}

async fn event_is_readable_when_it_comes(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watcher = store.follow()?;
    let writing = writers(&store, 2, 60);
    for _ in 0..120 {
        let set = cx.next_set(&mut *watcher).await?;
        let entry = store.get(&set.changes[0].key).await?;
        let revision = entry.map(|entry| entry.revision());
        require!(
            revision >= Some(set.revision),
            "an event came before its write could be read"
        );
    }
    all_of(writing).await?;
    Ok(())
}

async fn dropped_watcher_leaves_no_harm(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for round in 0..50 {
        let mut watcher = store.follow()?;
        if round % 2 == 0 {
            // In the middle of a wait.
            let waited = tokio::time::timeout(Duration::from_micros(10), watcher.next()).await;
            require!(waited.is_err(), "nothing was written");
        }
        drop(watcher);
    }
    store.write("a", "1").await?;
    let mut watcher = store.follow()?;
    let revision = store.write("a", "2").await?;
    require_eq!(
        cx.next_set(&mut *watcher).await?.revision,
        revision,
        "writing and watching go on"
    );
    Ok(())
}

async fn backlog_of_thousands_is_read(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watcher = store.follow()?;
    let mut expected = Vec::new();
    for number in 0..2_000 {
        expected.push(store.write(&nth(number % 50), "x").await?);
    }
    for revision in expected {
        let set = cx.next_set(&mut *watcher).await?;
        require_eq!(
            set.revision,
            revision,
            "a reader that comes late reads what it missed, in order"
        );
    }
    cx.silent(&mut *watcher).await
}

async fn read_up_to_a_revision_leaves_what_is_behind(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let first = store.write("a", "1").await?;
    let second = store.write("b", "1").await?;
    let middle = store.write("c", "1").await?;
    let behind = store.write("d", "1").await?;
    let mut watcher = store.follow_after(first)?;
    for due in [second, middle] {
        let event = watcher.next_up_to(middle).await?;
        let revision = match &event {
            Some(WatchEvent::Changes(set)) => set.revision,
            _ => Revision::ZERO,
        };
        require_eq!(revision, due, "each commit up to there comes, but {event:?} did");
    }
    for _ in 0..2 {
        require_eq!(watcher.next_up_to(middle).await?, None, "then nothing more");
        require!(watcher.position() >= middle, "and that is known to be all");
    }
    require_eq!(
        cx.next_set(&mut *watcher).await?.revision,
        behind,
        "what was committed behind is still to come"
    );
    require_eq!(watcher.next_up_to(behind).await?, None, "nothing is waited for");
    require!(watcher.position() >= behind, "all was delivered");

    let mut watcher = store.follow_after(first)?;
    let mut read = Vec::new();
    loop {
        let page = watcher.page_up_to(middle).await?;
        if page.is_empty() {
            break;
        }
        read.extend(page.iter().map(|event| match event {
            WatchEvent::Changes(set) => set.revision,
            _ => Revision::ZERO,
        }));
    }
    require_eq!(read, [second, middle], "pages hold the same");
    require!(watcher.position() >= middle, "and that is known to be all");
    require_eq!(
        cx.next_set(&mut *watcher).await?.revision,
        behind,
        "what was committed behind the last page is still to come"
    );
    Ok(())
}
