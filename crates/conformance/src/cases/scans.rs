//! Scans: byte order, ranges, pages.

use std::collections::BTreeSet;
use std::ops::Bound;

use stead_core::{Direction, Key, KeyRange, Random, ReadExt, Scan, SeededRandom, WriteBatch};

use crate::harness::{CaseResult, Context, cases, require, require_eq};
use crate::support::{Reading, between, home, key, nth, partition, paths, prefix};

cases![
    empty_store_scans_empty,
    order_is_of_bytes,
    binary_paths_in_order,
    reverse_is_the_mirror: REVERSE,
    reverse_and_range: REVERSE,
    range_bounds,
    empty_and_inverted_ranges,
    prefix_segment_boundary,
    prefix_of_highest_bytes,
    wildcards_are_literal,
    limit_stops_the_scan,
    keys_only_has_no_entries,
    items_carry_whole_entries,
    scan_equals_gets_on_random_data,
    short_scans_in_a_large_store,
    random_ranges_match_a_model,
];

fn reverse(range: KeyRange) -> Scan {
    Scan::new(range).direction(Direction::Reverse)
}

async fn empty_store_scans_empty(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    require!(store.list(home()).await?.is_empty(), "a new store is empty");
    require_eq!(store.count(&home()).await?, 0, "and counts nothing");
    Ok(())
}

async fn order_is_of_bytes(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let sorted = [
        "", " ", "!", "0", "1", "10", "2", "A", "Z", "a", "aa", "ab", "b", "z", "~", "ä", "東",
    ];
    for index in (0..sorted.len()).map(|index| (index * 7) % sorted.len()) {
        store.write(sorted[index], "x").await?;
    }
    require_eq!(
        store.list(home()).await?,
        sorted,
        "paths come in the order of their bytes"
    );
    Ok(())
}

async fn binary_paths_in_order(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let mut expected: Vec<Vec<u8>> = vec![
        vec![],
        vec![0],
        vec![0, 0],
        vec![0, 1],
        vec![0, 0xff],
        vec![1],
        vec![0x7f],
        vec![0x80],
        vec![0xfe, 0xff],
        vec![0xff],
        vec![0xff, 0],
        vec![0xff, 0xff],
        vec![0xff; 40],
    ];
    for path in expected.iter().rev() {
        store.commit(WriteBatch::new().put(key(path), "x")).await?;
    }
    expected.sort_unstable();
    let items = store.collect(&Scan::new(home()).page_size(2)).await?;
    let found: Vec<_> = items.iter().map(|item| item.key.path().to_vec()).collect();
    require_eq!(found, expected, "paths of 0x00 and 0xFF bytes are in order too");
    Ok(())
}

async fn reverse_is_the_mirror(cx: &Context) -> CaseResult {
    let store = cx.filled(700).await?;
    let mut forward = store.list(home()).await?;
    forward.reverse();
    require_eq!(
        store.list_by(reverse(home())).await?,
        forward,
        "a reverse scan gives all, backwards"
    );
    let found = store.list_by(reverse(home()).page_size(9)).await?;
    require_eq!(found, forward, "in small pages too");
    Ok(())
}

async fn reverse_and_range(cx: &Context) -> CaseResult {
    let store = cx.filled(30).await?;
    let found = store.list_by(reverse(between(&nth(10), &nth(14)))).await?;
    require_eq!(
        found,
        [nth(13), nth(12), nth(11), nth(10)],
        "the start is in the range, the end is not"
    );
    let found = store.list_by(reverse(prefix("k00002")).limit(2)).await?;
    require_eq!(
        found,
        [nth(29), nth(28)],
        "a reverse scan with a limit gives the highest"
    );
    let found = store.list_by(reverse(prefix("nothing"))).await?;
    require!(found.is_empty(), "an empty prefix is empty backwards");
    Ok(())
}

async fn range_bounds(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for path in ["a", "b", "b\0", "c", "d"] {
        store.write(path, "x").await?;
    }
    let list = |start, end| store.list(paths(start, end));
    use Bound::{Excluded, Included, Unbounded};
    require_eq!(
        list(Included("b"), Excluded("c")).await?,
        ["b", "b\0"],
        "start in, end out"
    );
    require_eq!(
        list(Excluded("b"), Included("c")).await?,
        ["b\0", "c"],
        "start out, end in"
    );
    require_eq!(list(Included("b"), Included("b")).await?, ["b"], "one key");
    require_eq!(list(Unbounded, Excluded("b")).await?, ["a"], "from the beginning");
    require_eq!(list(Excluded("b\0"), Unbounded).await?, ["c", "d"], "to the end");
    require_eq!(
        list(Included("bb"), Included("cc")).await?,
        ["c"],
        "bounds need not be keys"
    );
    Ok(())
}

async fn empty_and_inverted_ranges(cx: &Context) -> CaseResult {
    let store = cx.filled(20).await?;
    let (low, high) = (nth(5), nth(10));
    for range in [
        between(&high, &low),
        between(&low, &low),
        between("x", "y"),
        prefix("nothing"),
    ] {
        require!(
            store.list(range.clone()).await?.is_empty(),
            "nothing is in {range:?}"
        );
        require_eq!(store.count(&range).await?, 0, "and nothing is counted");
    }
    require!(
        store.list_by(Scan::new(home()).limit(0)).await?.is_empty(),
        "a limit of 0 gives nothing"
    );
    Ok(())
}

async fn prefix_segment_boundary(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for path in [
        "agent:1",
        "agent:1/a",
        "agent:1/b",
        "agent:10/a",
        "agent:1.",
        "agent:0/z",
        "agent:2",
    ] {
        store.write(path, "x").await?;
    }
    require_eq!(
        store.list(prefix("agent:1/")).await?,
        ["agent:1/a", "agent:1/b"],
        "a closed prefix has its own alone"
    );
    let all = ["agent:1", "agent:1.", "agent:1/a", "agent:1/b", "agent:10/a"];
    require_eq!(
        store.list(prefix("agent:1")).await?,
        all,
        "an open prefix is bytes and nothing else"
    );
    require_eq!(
        store.list(prefix("")).await?.len(),
        7,
        "the empty prefix is everything"
    );
    Ok(())
}

async fn prefix_of_highest_bytes(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for path in [
        &[0xfe_u8, 0xff][..],
        &[0xff],
        &[0xff, 0xff],
        &[0xff, 0xff, 0xff],
        &[0xff, 0xfe],
    ] {
        store.commit(WriteBatch::new().put(key(path), "x")).await?;
    }
    let outside = crate::support::key_in("case\u{1}", "x");
    store.commit(WriteBatch::new().put(outside, "x")).await?;
    for (start, expected) in [
        (&[0xff_u8][..], 4),
        (&[0xff, 0xff], 2),
        (&[0xff, 0xff, 0xff], 1),
        (&[0xfe], 1),
    ] {
        require_eq!(
            store.count(&prefix(start)).await?,
            expected,
            "a prefix of {start:?} ends where it should"
        );
    }
    Ok(())
}

async fn wildcards_are_literal(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for path in ["a*", "a%", "a_", "a?", "ab", "a[b]", "a\\", "a.", "a"] {
        store.write(path, "x").await?;
    }
    for pattern in ["a*", "a%", "a_", "a?", "a[", "a\\", "a."] {
        require_eq!(
            store.count(&prefix(pattern)).await?,
            1,
            "{pattern:?} stands for itself"
        );
    }
    Ok(())
}

async fn limit_stops_the_scan(cx: &Context) -> CaseResult {
    let store = cx.filled(50).await?;
    for limit in [1, 2, 49, 50, 51, usize::MAX] {
        let found = store.list_by(Scan::new(home()).limit(limit)).await?;
        let expected: Vec<_> = (0..50.min(limit)).map(nth).collect();
        require_eq!(found, expected, "a limit of {limit} gives the first {limit}");
    }
    Ok(())
}

async fn keys_only_has_no_entries(cx: &Context) -> CaseResult {
    let store = cx.filled(5).await?;
    let items = store.collect(&Scan::new(home()).keys_only()).await?;
    require_eq!(items.len(), 5, "every key is there");
    require!(
        items.iter().all(|item| item.entry.is_none()),
        "a scan for keys gives no entries"
    );
    Ok(())
}

async fn items_carry_whole_entries(cx: &Context) -> CaseResult {
    let store = cx.filled(5).await?;
    for item in store.collect(&Scan::new(home())).await? {
        require_eq!(
            item.entry,
            store.get(&item.key).await?,
            "a scan gives the entry that get gives"
        );
    }
    Ok(())
}

async fn scan_equals_gets_on_random_data(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let random = SeededRandom::new(3);
    for round in 0..600 {
        let path = nth(usize::try_from(random.next_u64() % 100).unwrap_or(0));
        if random.next_u64().is_multiple_of(3) {
            store.remove(&path).await?;
        } else {
            store.write(&path, round.to_string()).await?;
        }
    }
    let keys: Vec<Key> = (0..100).map(|number| key(nth(number))).collect();
    let by_get: Vec<_> = store.get_many(&keys).await?.into_iter().flatten().collect();
    let by_scan: Vec<_> = store
        .collect(&Scan::new(home()))
        .await?
        .into_iter()
        .filter_map(|item| item.entry)
        .collect();
    require_eq!(by_scan, by_get, "a scan and point reads see the same entries");
    Ok(())
}

async fn short_scans_in_a_large_store(cx: &Context) -> CaseResult {
    let store = cx.filled(3_000).await?;
    for number in (0..2_990).step_by(130) {
        let start = nth(number);
        let scan = Scan::new(paths(Bound::Included(&start), Bound::Unbounded)).limit(2);
        require_eq!(
            store.list_by(scan).await?,
            [start, nth(number + 1)],
            "two keys from the middle of many"
        );
    }
    Ok(())
}

async fn random_ranges_match_a_model(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    let random = SeededRandom::new(5);
    let below = |most: u64| random.next_u64() % most;
    let path = || -> Vec<u8> {
        (0..below(4))
            .map(|_| [0, 1, b'a', 0xfe, 0xff][usize::try_from(below(5)).unwrap_or(0)])
            .collect()
    };
    let mut model = BTreeSet::new();
    for _ in 0..150 {
        let path = path();
        store.commit(WriteBatch::new().put(key(&path), "x")).await?;
        model.insert(path);
    }
    for _ in 0..200 {
        let (start, end) = (path(), path());
        let range = KeyRange::paths(&partition("case"), Bound::Included(&start), Bound::Excluded(&end))?;
        let expected: Vec<_> = model
            .iter()
            .filter(|path| **path >= start && **path < end)
            .cloned()
            .collect();
        let items = store
            .collect(&Scan::new(range).page_size(1 + usize::try_from(below(5)).unwrap_or(0)))
            .await?;
        let found: Vec<_> = items.iter().map(|item| item.key.path().to_vec()).collect();
        require_eq!(found, expected, "the keys from {start:?} to {end:?}");
    }
    Ok(())
}
