//! A copy of a source that stands still.

use std::sync::{Arc, Mutex};

use stead_copy::{CopyOptions, Phase};
use stead_core::{BackendExt, Expiry, KeyRange, ReadExt, Scan, Ttl};

use crate::support::{
    NOW, ORDERS, Order, clock, content, copy, fill, key, merging, options, store, store_with,
};

#[tokio::test]
async fn everything_arrives() {
    for (from, to) in ORDERS {
        let (source, target) = (store(from), store(to));
        fill(&source).await;
        let report = copy(&source, &target, options()).await.unwrap();
        assert_eq!(report.verified.entries, 1_200);
        assert_eq!(report.verified.partitions, 40);
        assert_eq!(
            (report.copied, report.caught_up, report.resumed),
            (1_200, 0, false)
        );
        assert_eq!(
            content(&source).await,
            content(&target).await,
            "{from:?} to {to:?}"
        );
    }
}

#[tokio::test]
async fn nothing_arrives_from_an_empty_store() {
    for (from, to) in ORDERS {
        let (source, target) = (store(from), store(to));
        let report = copy(&source, &target, options()).await.unwrap();
        assert_eq!(report.verified.entries, 0);
        assert!(content(&target).await.is_empty());
    }
}

#[tokio::test]
async fn deadlines_are_kept_and_what_is_past_them_stays_behind() {
    for (from, to) in ORDERS {
        let clock = clock();
        let (source, target) = (store_with(from, &clock, 1024), store_with(to, &clock, 1024));
        let lives = Ttl::from_millis(5_000).unwrap();
        let passing = Ttl::from_millis(10).unwrap();
        source
            .put_with(key("p", "lives"), "x", Expiry::After(lives))
            .await
            .unwrap();
        source
            .put_with(key("p", "passed"), "x", Expiry::After(passing))
            .await
            .unwrap();
        clock.advance_millis(20);
        copy(&source, &target, options()).await.unwrap();
        let entry = target.get(&key("p", "lives")).await.unwrap().unwrap();
        assert_eq!(entry.deadline(), NOW.checked_add(lives));
        assert!(!target.exists(&key("p", "passed")).await.unwrap());
        assert_eq!(
            target.stats().await.unwrap().entries,
            1,
            "it was not even written"
        );
        clock.advance_millis(10_000);
        assert!(content(&target).await.is_empty());
    }
}

#[tokio::test]
async fn revisions_go_on() {
    for (from, to) in ORDERS {
        let (source, target) = (store(from), store(to));
        fill(&source).await;
        for round in 0..2_000 {
            source
                .put(key("agent:07", "busy"), format!("{round}"))
                .await
                .unwrap();
        }
        copy(&source, &target, options().with_batch_bytes(1 << 20))
            .await
            .unwrap();
        let partitions = source.partitions(&KeyRange::all(), usize::MAX).await.unwrap();
        let view = source.snapshot().await.unwrap();
        let copied = target.snapshot().await.unwrap();
        for partition in partitions {
            assert!(
                copied.revision(&partition) > view.revision(&partition),
                "{from:?} to {to:?}: {partition}"
            );
        }
        let next = target.put(key("agent:07", "busy"), "next").await.unwrap();
        let last = source
            .get(&key("agent:07", "busy"))
            .await
            .unwrap()
            .unwrap()
            .revision();
        assert!(next > last);
    }
}

#[tokio::test]
async fn merging_overwrites_the_same_keys_and_keeps_the_others() {
    for (from, to) in ORDERS {
        let (source, target) = (store(from), store(to));
        fill(&source).await;
        target.put(key("agent:03", "k05"), "older").await.unwrap();
        target.put(key("agent:03", "own"), "kept").await.unwrap();
        target.put(key("zebra", "own"), "kept").await.unwrap();
        let report = copy(&source, &target, merging()).await.unwrap();
        assert_eq!(report.verified.entries, 1_200);
        let mut wanted = content(&source).await;
        for own in [key("agent:03", "own"), key("zebra", "own")] {
            wanted.insert(own.as_bytes().to_vec(), (b"kept".to_vec(), None));
        }
        assert_eq!(content(&target).await, wanted);
    }
}

#[tokio::test]
async fn the_same_content_has_the_same_hash() {
    let mut hashes = Vec::new();
    for (from, to) in ORDERS {
        let (source, target) = (store(from), store(to));
        fill(&source).await;
        hashes.push(copy(&source, &target, options()).await.unwrap().verified.content);
    }
    let (source, target) = (store(Order::Store), store(Order::Store));
    fill(&source).await;
    source.put(key("agent:03", "k05"), "other").await.unwrap();
    let other = copy(&source, &target, options()).await.unwrap().verified.content;
    assert!(hashes.iter().all(|hash| *hash == hashes[0] && *hash != other));
}

#[tokio::test]
async fn values_of_any_size_arrive() {
    let (source, target) = (store(Order::Store), store(Order::Partition));
    for (number, size) in [0, 1, 100, 10_000, 3 << 20].into_iter().enumerate() {
        let value = vec![b'x'; size];
        source
            .put(key("sizes", &number.to_string()), value)
            .await
            .unwrap();
    }
    copy(&source, &target, options()).await.unwrap();
    assert_eq!(content(&source).await, content(&target).await);
}

#[tokio::test]
async fn an_observer_is_told_of_each_phase() {
    let (source, target) = (store(Order::Store), store(Order::Store));
    fill(&source).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&told);
    let options: CopyOptions = options().with_observer(move |progress| list.lock().unwrap().push(*progress));
    copy(&source, &target, options).await.unwrap();
    let told = told.lock().unwrap();
    let last = |phase| told.iter().rfind(|progress| progress.phase == phase).copied();
    let copied = last(Phase::Copying).unwrap();
    assert_eq!((copied.entries, copied.total), (1_200, 1_200));
    assert_eq!(last(Phase::Verifying).unwrap().entries, 1_024);
}

#[tokio::test]
async fn the_mark_is_in_no_scan_when_it_is_done() {
    let (source, target) = (store(Order::Store), store(Order::Store));
    fill(&source).await;
    copy(&source, &target, options()).await.unwrap();
    let items = target
        .collect(&Scan::new(KeyRange::all()).keys_only())
        .await
        .unwrap();
    assert_eq!(items.len(), 1_200);
    assert_eq!(target.stats().await.unwrap().entries, 1_200);
}
