//! Scans page by page, while others write.

use std::collections::BTreeSet;

use stead_core::{Cursor, Direction, KeyRange, ReadExt, Scan};

use crate::harness::{CaseResult, Context, cases, require, require_eq};
use crate::support::{Reading, home, nth, path_of};

cases![
    limit_over_pages,
    page_size_is_kept,
    page_size_one,
    over_1024_keys,
    large_values_in_pages,
    finished_scan_stays_finished,
    pages_complete_no_duplicates,
    delete_between_pages,
    insert_between_pages,
    delete_of_the_page_boundary,
    writes_between_reverse_pages: REVERSE,
    dropped_page_is_read_again,
];

fn reverse(range: KeyRange) -> Scan {
    Scan::new(range).direction(Direction::Reverse)
}

/// Reads one page and gives its paths.
async fn page(cursor: &mut (dyn Cursor + '_)) -> CaseResult<Vec<String>> {
    Ok(cursor.next_page().await?.iter().map(path_of).collect())
}

/// Reads what is left of a scan.
async fn rest(cursor: &mut (dyn Cursor + '_)) -> CaseResult<Vec<String>> {
    let mut found = Vec::new();
    loop {
        let paths = page(cursor).await?;
        if paths.is_empty() {
            return Ok(found);
        }
        found.extend(paths);
    }
}

async fn limit_over_pages(cx: &Context) -> CaseResult {
    let store = cx.filled(50).await?;
    for (limit, size) in [(10, 3), (9, 3), (3, 10), (10, 10), (11, 10), (1, 1)] {
        let found = store
            .list_by(Scan::new(home()).limit(limit).page_size(size))
            .await?;
        let expected: Vec<_> = (0..limit).map(nth).collect();
        require_eq!(found, expected, "a limit of {limit} holds over pages of {size}");
    }
    Ok(())
}

async fn page_size_is_kept(cx: &Context) -> CaseResult {
    let store = cx.filled(100).await?;
    for size in [1, 7, 50, 99, 100, 101] {
        let mut cursor = store.scan(&Scan::new(home()).page_size(size))?;
        let mut found = 0;
        loop {
            let items = cursor.next_page().await?.len();
            require!(items <= size, "a page of at most {size} holds {items}");
            found += items;
            if items == 0 {
                break;
            }
        }
        require_eq!(found, 100, "pages of {size} hold everything");
    }
    Ok(())
}

async fn page_size_one(cx: &Context) -> CaseResult {
    let store = cx.filled(20).await?;
    let mut cursor = store.scan(&Scan::new(home()).page_size(1))?;
    for number in 0..20 {
        require_eq!(
            page(&mut *cursor).await?,
            [nth(number)],
            "one key a page, each in its turn"
        );
    }
    require!(page(&mut *cursor).await?.is_empty(), "then the scan is over");
    Ok(())
}

async fn over_1024_keys(cx: &Context) -> CaseResult {
    let store = cx.filled(5_000).await?;
    let expected: Vec<_> = (0..5_000).map(nth).collect();
    for size in [256, 1_024, 1_000, 65_536] {
        let found = store.list_by(Scan::new(home()).page_size(size)).await?;
        require!(
            found == expected,
            "5,000 keys in pages of {size}: found {}",
            found.len()
        );
    }
    Ok(())
}

async fn large_values_in_pages(cx: &Context) -> CaseResult {
    let store = cx.open().await?;
    for number in 0..20_u8 {
        store.write(&nth(number.into()), vec![number; 200_000]).await?;
    }
    let items = store.collect(&Scan::new(home())).await?;
    require_eq!(items.len(), 20, "4 MB of values are scanned");
    for (number, item) in items.iter().enumerate() {
        let whole = item.entry.as_ref().is_some_and(|entry| {
            entry.value().len() == 200_000 && entry.value().iter().all(|byte| usize::from(*byte) == number)
        });
        require!(whole, "value {number} is whole");
    }
    Ok(())
}

async fn finished_scan_stays_finished(cx: &Context) -> CaseResult {
    let store = cx.filled(3).await?;
    let mut cursor = store.scan(&Scan::new(home()))?;
    require_eq!(rest(&mut *cursor).await?.len(), 3, "everything was read");
    store.write(&nth(4), "x").await?;
    for _ in 0..3 {
        require!(
            page(&mut *cursor).await?.is_empty(),
            "a scan that was over gives more"
        );
    }
    Ok(())
}

async fn pages_complete_no_duplicates(cx: &Context) -> CaseResult {
    let store = cx.filled(400).await?;
    let writer = store.clone();
    // Odd keys come and go all the time; even ones stay.
    let writing = tokio::spawn(async move {
        for round in 0..300_usize {
            let path = nth((round * 37 % 200) * 2 + 1);
            if round % 2 == 0 {
                writer.remove(&path).await?;
            } else {
                writer.write(&path, "again").await?;
            }
            tokio::task::yield_now().await;
        }
        CaseResult::Ok(())
    });
    let stay: BTreeSet<String> = (0..400).step_by(2).map(nth).collect();
    while !writing.is_finished() {
        let found = store.list_by(Scan::new(home()).page_size(16)).await?;
        require!(found.is_sorted(), "pages are in order while others write");
        let unique: BTreeSet<String> = found.iter().cloned().collect();
        require_eq!(unique.len(), found.len(), "no key is seen twice");
        require!(
            unique.is_superset(&stay),
            "no key that was there throughout is dropped"
        );
        tokio::task::yield_now().await;
    }
    writing.await?
}

async fn delete_between_pages(cx: &Context) -> CaseResult {
    let store = cx.filled(60).await?;
    let mut cursor = store.scan(&Scan::new(home()).page_size(10))?;
    let mut found = page(&mut *cursor).await?;
    // What was read already, and some of what is to come.
    for number in (0..10).chain(25..30) {
        store.remove(&nth(number)).await?;
    }
    found.extend(rest(&mut *cursor).await?);
    let stay: Vec<_> = (0..25).chain(30..60).map(nth).collect();
    found.retain(|path| !(25..30).any(|number| nth(number) == *path));
    require_eq!(
        found,
        stay,
        "deletes between pages neither drop nor repeat another key"
    );
    Ok(())
}

async fn insert_between_pages(cx: &Context) -> CaseResult {
    let store = cx.filled(30).await?;
    let mut cursor = store.scan(&Scan::new(home()).page_size(10))?;
    let mut found = page(&mut *cursor).await?;
    for number in 0..30 {
        store.write(&format!("{}/new", nth(number)), "x").await?;
    }
    found.extend(rest(&mut *cursor).await?);
    require!(found.is_sorted(), "the order holds");
    found.retain(|path| !path.ends_with("/new"));
    require_eq!(
        found,
        (0..30).map(nth).collect::<Vec<_>>(),
        "inserts between pages neither drop nor repeat a key"
    );
    Ok(())
}

async fn delete_of_the_page_boundary(cx: &Context) -> CaseResult {
    let store = cx.filled(40).await?;
    let mut cursor = store.scan(&Scan::new(home()).page_size(5))?;
    let mut found = Vec::new();
    loop {
        let paths = page(&mut *cursor).await?;
        let Some(last) = paths.last() else { break };
        // The very key from which the next page goes on.
        store.remove(last).await?;
        found.extend(paths);
    }
    require_eq!(
        found,
        (0..40).map(nth).collect::<Vec<_>>(),
        "a scan goes on from a key that is gone"
    );
    Ok(())
}

async fn writes_between_reverse_pages(cx: &Context) -> CaseResult {
    let store = cx.filled(40).await?;
    let mut cursor = store.scan(&reverse(home()).page_size(5))?;
    let mut found = Vec::new();
    loop {
        let paths = page(&mut *cursor).await?;
        let Some(last) = paths.last() else { break };
        store.remove(last).await?;
        store.write(&format!("{last}/new"), "x").await?;
        found.extend(paths);
    }
    let expected: Vec<_> = (0..40).rev().map(nth).collect();
    require_eq!(
        found,
        expected,
        "a reverse scan neither drops nor repeats a key, nor meets what lies behind it"
    );
    Ok(())
}

async fn dropped_page_is_read_again(cx: &Context) -> CaseResult {
    let store = cx.filled(20).await?;
    let mut cursor = store.scan(&Scan::new(home()).page_size(10))?;
    let mut found = page(&mut *cursor).await?;
    // A page that was asked for, and dropped while it was on its way. One that is here at once is taken.
    match cursor.next_page().try_take() {
        Ok(ready) => found.extend(ready?.iter().map(path_of)),
        Err(pending) => drop(pending),
    }
    found.extend(rest(&mut *cursor).await?);
    require_eq!(
        found,
        (0..20).map(nth).collect::<Vec<_>>(),
        "a page whose reply was dropped is read again"
    );
    Ok(())
}
