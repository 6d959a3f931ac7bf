//! Partitions and scopes do not see each other.

use stead_core::{BackendExt, Direction, KeyRange, ReadExt, Scan, WatchSpec, WriteBatch};

use crate::harness::{CaseResult, Context, cases, require, require_eq};
use crate::support::{Reading, Store, home, key, key_in, nth, partition, prefix, text};

cases![
    scopes_isolated,
    neighbouring_partitions_isolated,
    scan_of_a_partition_ends_with_it,
    delete_scope_removes_everything_of_it,
    sibling_scope_untouched,
    conditions_reach_no_other_partition,
    count_reaches_no_other_partition: COUNTS,
    scan_over_partitions_in_order: STORE_ORDER,
    reverse_scan_over_partitions: STORE_ORDER + REVERSE,
    partitions_are_listed,
    emptied_partition_is_not_listed,
    many_partitions,
    watch_of_a_partition_sees_no_other: WATCH,
];

const NEIGHBOURS: [&str; 8] = ["a", "a\u{1}", "a:", "a:1", "a:10", "aa", "b", "A"];

async fn neighbours(cx: &Context) -> CaseResult<Store> {
    let store = cx.open().await?;
    for name in NEIGHBOURS {
        for path in ["", "k", "\u{7f}"] {
            store.put(key_in(name, path), name).await?;
        }
    }
    Ok(store)
}

fn whole(name: &str) -> KeyRange {
    KeyRange::partition(&partition(name))
}

async fn scopes_isolated(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for name in ["one", "two"] {
        store.put(key_in(name, "k"), name).await?;
    }
    store.delete(key_in("one", "k")).await?;
    require!(
        store.get(&key_in("one", "k")).await?.is_none(),
        "the entry of one is gone"
    );
    let other = store.get(&key_in("two", "k")).await?;
    require_eq!(
        other.as_ref().map(text).as_deref(),
        Some("two"),
        "the same path elsewhere is another entry"
    );
    Ok(())
}

async fn neighbouring_partitions_isolated(cx: &Context) -> CaseResult {
    let store = neighbours(cx).await?;
    for name in NEIGHBOURS {
        let entry = store.get(&key_in(name, "k")).await?;
        require_eq!(
            entry.as_ref().map(text).as_deref(),
            Some(name),
            "partition {name:?} holds its own value"
        );
    }
    Ok(())
}

async fn scan_of_a_partition_ends_with_it(cx: &Context) -> CaseResult {
    let store = neighbours(cx).await?;
    for name in NEIGHBOURS {
        let items = store.collect(&Scan::new(whole(name))).await?;
        require_eq!(items.len(), 3, "partition {name:?} has three entries");
        require!(
            items
                .iter()
                .all(|item| item.key.partition_bytes() == name.as_bytes()),
            "a scan of {name:?} gives its own keys alone"
        );
    }
    Ok(())
}

async fn delete_scope_removes_everything_of_it(cx: &Context) -> CaseResult {
    let store = neighbours(cx).await?;
    require_eq!(store.clear(&whole("a")).await?, 3, "all of a partition goes");
    require_eq!(store.count(&whole("a")).await?, 0, "nothing of it is left");
    for name in &NEIGHBOURS[1..] {
        require_eq!(store.count(&whole(name)).await?, 3, "{name:?} has all it had");
    }
    Ok(())
}

async fn sibling_scope_untouched(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for path in [
        "session:1/a",
        "session:1/b",
        "session:10/a",
        "session:2/a",
        "session:1",
    ] {
        store.write(path, "x").await?;
    }
    require_eq!(
        store.clear(&prefix("session:1/")).await?,
        2,
        "the scope's two entries go"
    );
    let left = store.list(home()).await?;
    require_eq!(
        left,
        ["session:1", "session:10/a", "session:2/a"],
        "siblings and the parent stay"
    );
    Ok(())
}

async fn conditions_reach_no_other_partition(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    store.put(key_in("other", "k"), "x").await?;
    let batch = WriteBatch::new()
        .expect(key("k"), stead_core::Expect::Absent)
        .put(key("k"), "mine");
    store.commit(batch).await?;
    Ok(())
}

async fn count_reaches_no_other_partition(cx: &Context) -> CaseResult {
    let store = neighbours(cx).await?;
    for name in NEIGHBOURS {
        store
            .commit(WriteBatch::new().expect_count(whole(name), 3))
            .await?;
    }
    Ok(())
}

fn sorted() -> Vec<&'static str> {
    let mut names = NEIGHBOURS.to_vec();
    names.sort_unstable();
    names
}

async fn scan_over_partitions_in_order(cx: &Context) -> CaseResult {
    let store = neighbours(cx).await?;
    let items = store.collect(&Scan::new(KeyRange::all()).page_size(5)).await?;
    let found: Vec<_> = items.iter().map(|item| item.key.partition()).collect();
    let expected: Vec<_> = sorted()
        .into_iter()
        .flat_map(|name| vec![partition(name); 3])
        .collect();
    require_eq!(found, expected, "partition after partition, in byte order");
    Ok(())
}

async fn reverse_scan_over_partitions(cx: &Context) -> CaseResult {
    let store = neighbours(cx).await?;
    let scan = Scan::new(KeyRange::all()).page_size(4);
    let mut forward = store.collect(&scan).await?;
    forward.reverse();
    let backward = store.collect(&scan.direction(Direction::Reverse)).await?;
    require_eq!(backward, forward, "backwards over partitions");
    Ok(())
}

async fn partitions_are_listed(cx: &Context) -> CaseResult {
    let store = neighbours(cx).await?;
    let expected: Vec<_> = sorted().into_iter().map(partition).collect();
    require_eq!(
        store.partitions(&KeyRange::all(), 100).await?,
        expected,
        "each partition once, in order"
    );
    require_eq!(
        store.partitions(&KeyRange::all(), 3).await?,
        expected[..3],
        "with a limit, the first"
    );
    Ok(())
}

async fn emptied_partition_is_not_listed(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for name in ["p1", "p2", "p3"] {
        store.put(key_in(name, "k"), "x").await?;
    }
    store.delete(key_in("p2", "k")).await?;
    let found = store.partitions(&KeyRange::all(), 10).await?;
    require_eq!(
        found,
        [partition("p1"), partition("p3")],
        "a partition is there while it holds something"
    );
    Ok(())
}

async fn many_partitions(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..300 {
        store.put(key_in(nth(number), "k"), number.to_string()).await?;
    }
    for number in 0..300 {
        let entry = store.get(&key_in(nth(number), "k")).await?;
        require_eq!(
            entry.as_ref().map(text),
            Some(number.to_string()),
            "partition {number} has its own entry"
        );
        require_eq!(store.count(&whole(&nth(number))).await?, 1, "and no other");
    }
    Ok(())
}

async fn watch_of_a_partition_sees_no_other(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut watcher = store.watch(&WatchSpec::new(whole("a")))?;
    for name in NEIGHBOURS.iter().rev() {
        store.put(key_in(name, "k"), "x").await?;
    }
    let set = cx.next_set(&mut *watcher).await?;
    let keys: Vec<_> = set.changes.into_iter().map(|change| change.key).collect();
    require_eq!(
        keys,
        [key_in("a", "k")],
        "a watch of a partition tells its changes"
    );
    cx.silent(&mut *watcher).await
}
