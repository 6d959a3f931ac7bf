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
