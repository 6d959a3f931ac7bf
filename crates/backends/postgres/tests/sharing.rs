//! Several handles of one store, as in several processes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, reason = "each test target uses its own part of the support")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use stead_core::{
    Backend, BackendExt, Expect, Expiry, KeyRange, Outcome, Read, ReadExt, Revision, Scan, Ttl, WatchEvent,
    WatchSpec, WriteBatch,
};
use stead_postgres::{NetworkOptions, PostgresBackend};
use stead_servers::PgBouncer;
use support::{key, open, patient, put, quick, value};

/// Adds one to a counter until it has worked so many times.
async fn count_up(store: Arc<PostgresBackend>, times: usize) {
    for _ in 0..times {
        loop {
            let entry = store.get(&key("n")).await.unwrap().unwrap();
            let number: u64 = std::str::from_utf8(entry.value()).unwrap().parse().unwrap();
            let next = (number + 1).to_string();
            let outcome = store
                .compare_and_set(key("n"), Expect::At(entry.revision()), next)
                .await
                .unwrap();
            if outcome.is_committed() {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_of_all_handles_are_one_sequence_without_gaps_or_lost_updates() {
    let server = quick();
    let bouncer = PgBouncer::start(&server).unwrap();
    let mut handles = Vec::new();
    for url in [server.url(), server.url(), bouncer.url()] {
        handles.push(open(&url, patient()).await.unwrap());
    }
    put(&handles[0], "n", "0").await.unwrap();
    let mut watcher = handles[2]
        .watch(&WatchSpec::new(KeyRange::all()).after(Revision::ZERO))
        .unwrap();
    let mut tasks = Vec::new();
    for handle in &handles {
        for task in 0..3 {
            tasks.push(tokio::spawn(count_up(Arc::clone(handle), 20)));
            let other = Arc::clone(handle);
            tasks.push(tokio::spawn(async move {
                for round in 0..40 {
                    let batch = WriteBatch::new()
                        .put(key(&format!("{task}/{round}")), "x")
                        .delete(key("gone"));
                    let outcome = other.apply(batch).await.unwrap();
                    assert!(matches!(outcome, Outcome::Committed(_)));
                }
            }));
        }
    }
    let commits = 1 + 9 * 20 + 9 * 40;
    for expected in 1..=commits {
        match tokio::time::timeout(Duration::from_secs(60), watcher.next())
            .await
            .unwrap()
            .unwrap()
        {
            WatchEvent::Changes(set) => {
                assert_eq!(set.revision, Revision::new(expected), "a gap or a repetition");
            }
            other => panic!("the watch ended: {other:?}"),
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(
        value(&*handles[1], "n").await.unwrap().as_deref(),
        Some("180"),
        "no update was lost"
    );
    let stats = handles[0].stats().await.unwrap();
    assert_eq!(stats.revision, Revision::new(commits));
    assert_eq!(stats.entries, 1 + 3 * 40);
    assert_eq!(handles[1].check(&|_| ()).await.unwrap().entries, stats.entries);
}

#[tokio::test(flavor = "multi_thread")]
async fn sweepers_of_several_handles_remove_each_entry_once() {
    let server = quick();
    let options = || NetworkOptions {
        sweep_interval: Duration::from_millis(2),
        ..patient()
    };
    let mut handles = Vec::new();
    for _ in 0..3 {
        handles.push(open(&server.url(), options()).await.unwrap());
    }
    let soon = Expiry::After(Ttl::from_millis(1).unwrap());
    for round in 0..10 {
        let batch = (0..100).fold(WriteBatch::new(), |batch, number| {
            batch.put_with(key(&format!("{round}/{number}")), "x", soon)
        });
        let outcome = handles[round % 3].apply(batch).await.unwrap();
        assert!(outcome.is_committed());
    }
    let mut left = u64::MAX;
    while left > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        left = handles[0].stats().await.unwrap().entries;
    }
    let mut expired = 0;
    for handle in &handles {
        expired += handle.stats().await.unwrap().expired;
    }
    assert_eq!(expired, 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_values_come_in_small_pages_and_whole() {
    let server = quick();
    let store = open(&server.url(), patient()).await.unwrap();
    for number in 0..6 {
        let large = vec![number; 3 << 20];
        store.put(key(&format!("k{number}")), large).await.unwrap();
    }
    let mut cursor = store.scan(&Scan::new(KeyRange::all())).unwrap();
    let mut pages = Vec::new();
    loop {
        let page = cursor.next_page().await.unwrap();
        if page.is_empty() {
            break;
        }
        pages.push(page.len());
    }
    assert_eq!(pages, [3, 3], "a page ends behind eight mebibytes");
    let items = store.collect(&Scan::new(KeyRange::all())).await.unwrap();
    for (number, item) in items.iter().enumerate() {
        let entry = item.entry.as_ref().unwrap();
        assert!(
            entry.value().len() == 3 << 20 && entry.value().iter().all(|byte| usize::from(*byte) == number)
        );
    }
}

/// Puts until the handle expects to be alone, and tells the server so.
async fn settle(store: &PostgresBackend, path: &str) -> Revision {
    let mut last = Revision::ZERO;
    for _ in 0..6 {
        last = put(store, path, "settled").await.unwrap();
    }
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn handle_that_was_alone_notices_what_others_committed() {
    let server = quick();
    let short = NetworkOptions {
        change_retention: 1,
        ..patient()
    };
    let one = open(&server.url(), patient()).await.unwrap();
    let other = open(&server.url(), short).await.unwrap();
    let last = settle(&one, "a").await;
    assert_eq!(last, Revision::new(6));
    assert_eq!(put(&other, "b", "1").await.unwrap(), Revision::new(7));
    assert_eq!(put(&one, "a", "behind one").await.unwrap(), Revision::new(8));

    settle(&one, "a").await;
    // The log's old end is removed, and with it what the first handle would collide with.
    settle(&other, "b").await;
    let newest = settle(&other, "c").await;
    assert_eq!(
        put(&one, "a", "behind a cut").await.unwrap(),
        Revision::new(newest.get() + 1)
    );

    let last = settle(&one, "a").await;
    let raised = WriteBatch::new()
        .put(key("d"), "x")
        .raise_to(Revision::new(1_000));
    assert!(other.apply(raised).await.unwrap().is_committed());
    assert!(last < Revision::new(1_000));
    assert_eq!(
        put(&one, "a", "behind a raise").await.unwrap(),
        Revision::new(1_002)
    );
    settle(&one, "a").await;
    other.delete(key("d")).await.unwrap();
    put(&one, "d", "again").await.unwrap();
    let stats = one.stats().await.unwrap();
    assert_eq!(stats.entries, 4);
    assert_eq!(one.check(&|_| ()).await.unwrap().entries, 4);
}

/// The server looks at the store when a statement begins. One that is held up meanwhile must not go by what it saw.
#[tokio::test(flavor = "multi_thread")]
async fn put_that_was_held_up_while_revisions_were_raised_goes_on_behind_them() {
    let server = quick();
    let store = open(&server.url(), patient()).await.unwrap();
    settle(&store, "a").await;
    let url = server.url();
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    // Without the store's lock: the put gets that, and is left to what it reads behind it.
    client
        .batch_execute(
            "BEGIN; UPDATE stead.meta SET floor = 9999;
            INSERT INTO stead.changes SELECT 10000, entries, bytes, '{}' FROM stead.changes WHERE revision = 6;
            DELETE FROM stead.changes WHERE revision <= 9999",
        )
        .await
        .unwrap();
    let waiting = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { put(&store, "b", "held up").await })
    };
    while !waiting.is_finished()
        && server
        .sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'stead'")
        .unwrap()
        == "0"
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), Revision::new(10_001));
    assert_eq!(store.check(&|_| ()).await.unwrap().entries, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn single_puts_of_several_handles_keep_one_sequence_and_the_totals() {
    let server = quick();
    let mut handles = Vec::new();
    for _ in 0..3 {
        handles.push(open(&server.url(), patient()).await.unwrap());
    }
    let mut watcher = handles[0]
        .watch(&WatchSpec::new(KeyRange::all()).after(Revision::ZERO))
        .unwrap();
    let tasks = handles.iter().enumerate().map(|(number, handle)| {
        let handle = Arc::clone(handle);
        tokio::spawn(async move {
            for round in 0..150 {
                let value = "x".repeat(round % 17);
                put(&handle, &format!("{}", (number + round) % 5), &value)
                    .await
                    .unwrap();
                if round % 40 == 39 {
                    // Others are alone for a while.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    for expected in 1..=450 {
        match watcher.next().await.unwrap() {
            WatchEvent::Changes(set) => assert_eq!(set.revision, Revision::new(expected)),
            other => panic!("the watch ended: {other:?}"),
        }
    }
    assert_eq!(handles[1].check(&|_| ()).await.unwrap().entries, 5);
}
