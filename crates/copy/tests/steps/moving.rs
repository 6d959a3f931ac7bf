//! A copy of a source that is written to.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stead_core::{
    BackendExt, ErrorKind, Expiry, Key, KeyRange, Partition, Revision, Timestamp, Ttl, WatchEvent, WatchSpec,
};

use crate::support::{
    ORDERS, Order, Store, begin, clock, content, copy, fill, key, options, store, store_with,
};

#[tokio::test]
async fn what_changed_meanwhile_arrives() {
    for (from, to) in ORDERS {
        let (source, target) = (store(from), store(to));
        fill(&source).await;
        let mut copier = begin(&source, &target, options()).await.unwrap();
        copier.bulk().await.unwrap();
        source.put(key("agent:01", "k01"), "newer").await.unwrap();
        source.delete(key("agent:02", "k02")).await.unwrap();
        source.put(key("agent:99", "k"), "new partition").await.unwrap();
        source
            .clear(&KeyRange::partition(&Partition::new("agent:05").unwrap()))
            .await
            .unwrap();
        let lives = Expiry::At(Timestamp::from_millis(9_000_000));
        source
            .touch(key("agent:06", "k06"), lives)
            .await
            .unwrap()
            .committed()
            .unwrap();
        let round = copier.settle().await.unwrap();
        // A partition that is new has no position to go on from where revisions are ordered within partitions.
        assert_eq!(round.compared, from == Order::Partition, "{from:?} to {to:?}");
        assert_eq!(round.changed, 34, "nothing else was written");
        copier.verify().await.unwrap();
        copier.finish().await.unwrap();
        assert_eq!(
            content(&source).await,
            content(&target).await,
            "{from:?} to {to:?}"
        );
    }
}

#[tokio::test]
async fn a_source_that_forgot_its_changes_is_compared() {
    for (from, to) in ORDERS {
        let clock = clock();
        let (source, target) = (store_with(from, &clock, 8), store_with(to, &clock, 1024));
        fill(&source).await;
        let mut copier = begin(&source, &target, options()).await.unwrap();
        copier.bulk().await.unwrap();
        for round in 0..100 {
            source
                .put(key("agent:01", &format!("new {round}")), "x")
                .await
                .unwrap();
        }
        source.delete(key("agent:01", "k01")).await.unwrap();
        let round = copier.catch_up().await.unwrap();
        assert!(round.compared, "{from:?} to {to:?}");
        assert_eq!(round.changed, 101);
        let round = copier.catch_up().await.unwrap();
        assert_eq!((round.changed, round.compared), (0, false));
        copier.verify().await.unwrap();
        copier.finish().await.unwrap();
        assert_eq!(content(&source).await, content(&target).await);
    }
}

#[tokio::test]
async fn a_source_without_watches_is_compared() {
    let source: Store = {
        let options = stead_conformance::reference::Options::default();
        let options = options.declaring(|capabilities| capabilities.watch = false);
        Arc::new(stead_conformance::reference::Reference::open(clock(), options))
    };
    let target = store(Order::Store);
    fill(&source).await;
    let mut copier = begin(&source, &target, options()).await.unwrap();
    copier.bulk().await.unwrap();
    source.delete(key("agent:02", "k02")).await.unwrap();
    assert!(copier.settle().await.unwrap().compared);
    copier.verify().await.unwrap();
    copier.finish().await.unwrap();
    assert_eq!(content(&source).await, content(&target).await);
}

#[tokio::test]
async fn what_expires_meanwhile_is_no_difference() {
    for (from, to) in ORDERS {
        let clock = clock();
        let (source, target) = (store_with(from, &clock, 1024), store_with(to, &clock, 1024));
        fill(&source).await;
        let lives = Expiry::After(Ttl::from_millis(50).unwrap());
        for path in ["a", "b", "c"] {
            source.put_with(key("passing", path), "x", lives).await.unwrap();
        }
        let mut copier = begin(&source, &target, options()).await.unwrap();
        copier.bulk().await.unwrap();
        copier.settle().await.unwrap();
        clock.advance_millis(100);
        let verified = copier.verify().await.unwrap();
        assert_eq!((verified.entries, verified.partitions), (1_200, 40));
        copier.finish().await.unwrap();
        assert_eq!(content(&source).await, content(&target).await);
    }
}

#[tokio::test]
async fn a_target_that_others_wrote_to_is_told_and_mended() {
    let spoil: [(&str, Option<&str>); 3] = [("k05", Some("other")), ("k05", None), ("foreign", Some("x"))];
    for (from, to) in ORDERS {
        for (path, value) in spoil {
            let (source, target) = (store(from), store(to));
            fill(&source).await;
            let mut copier = begin(&source, &target, options()).await.unwrap();
            copier.bulk().await.unwrap();
            copier.settle().await.unwrap();
            match value {
                Some(value) => target.put(key("agent:07", path), value).await.unwrap(),
                None => target.delete(key("agent:07", path)).await.unwrap(),
            };
            let error = copier.verify().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.to_string().contains("partition=agent:07"), "{error}");
            drop(copier);
            let report = copy(&source, &target, options()).await.unwrap();
            assert_eq!(report.caught_up, 1, "only what differs is written");
            assert_eq!(content(&source).await, content(&target).await);
        }
    }
}

/// The keys that a watch of `store` gives in the partition after a revision; `None` if it is told to begin anew.
async fn seen(store: &Store, partition: &Partition, after: Revision) -> Option<BTreeSet<Key>> {
    let spec = WatchSpec::new(KeyRange::partition(partition)).after(after);
    let mut watcher = store.watch(&spec).unwrap();
    let newest = store.snapshot().await.unwrap().revision(partition);
    let mut keys = BTreeSet::new();
    while let Some(event) = watcher.next_up_to(newest).await.unwrap() {
        match event {
            WatchEvent::Changes(set) => keys.extend(set.changes.into_iter().map(|change| change.key)),
            _ => return None,
        }
    }
    Some(keys)
}

#[tokio::test]
async fn a_watch_goes_on_at_the_target_or_is_told() {
    for (from, to) in ORDERS {
        let (source, target) = (store(from), store(to));
        fill(&source).await;
        let partition = Partition::new("agent:07").unwrap();
        let mut revisions = vec![Revision::ZERO];
        let mut write = async |number: u64| {
            let at = key("agent:07", &format!("w{number}"));
            revisions.push(source.put(at, "x").await.unwrap());
        };
        for number in 0..5 {
            write(number).await;
        }
        let mut copier = begin(&source, &target, options()).await.unwrap();
        for number in 5..10 {
            write(number).await;
        }
        copier.bulk().await.unwrap();
        for number in 10..15 {
            write(number).await;
        }
        copier.settle().await.unwrap();
        for number in 15..20 {
            write(number).await;
        }
        copier.settle().await.unwrap();
        copier.verify().await.unwrap();
        copier.finish().await.unwrap();
        let mut resumed = 0;
        for position in revisions {
            let wanted = seen(&source, &partition, position).await.unwrap();
            let Some(got) = seen(&target, &partition, position).await else {
                continue;
            };
            resumed += 1;
            assert!(
                got.is_superset(&wanted),
                "{from:?} to {to:?}, position {position}"
            );
        }
        assert!(resumed > 0, "the newest position goes on");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_go_on_while_it_is_copied() {
    for (from, to) in ORDERS {
        let (source, target) = (store(from), store(to));
        fill(&source).await;
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..3_u64)
            .map(|writer| {
                let (source, stop) = (Arc::clone(&source), Arc::clone(&stop));
                tokio::spawn(async move {
                    let mut round = writer;
                    while !stop.load(Ordering::SeqCst) {
                        round = round.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        let random = round >> 33;
                        let at = key(
                            &format!("agent:{:02}", random % 45),
                            &format!("k{:02}", random % 37),
                        );
                        if random.is_multiple_of(3) {
                            source.delete(at).await.unwrap();
                        } else {
                            source.put(at, format!("{round}")).await.unwrap();
                        }
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        let mut copier = begin(&source, &target, options()).await.unwrap();
        copier.bulk().await.unwrap();
        copier.settle().await.unwrap();
        // The target is the source at one revision, whatever is written meanwhile.
        copier.verify().await.unwrap();
        stop.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.await.unwrap();
        }
        copier.settle().await.unwrap();
        copier.verify().await.unwrap();
        copier.finish().await.unwrap();
        assert_eq!(
            content(&source).await,
            content(&target).await,
            "{from:?} to {to:?}"
        );
    }
}

#[tokio::test]
async fn a_change_ends_the_wait_for_one() {
    let (source, target) = (store(Order::Store), store(Order::Store));
    fill(&source).await;
    let mut copier = begin(&source, &target, options()).await.unwrap();
    copier.bulk().await.unwrap();
    copier.settle().await.unwrap();
    let mut waiting = Box::pin(copier.changed());
    let early = tokio::time::timeout(std::time::Duration::from_millis(20), &mut waiting).await;
    assert!(early.is_err(), "nothing has changed");
    source.put(key("p", "k"), "x").await.unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(30), waiting)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn revisions_go_on_where_nothing_was_left_to_write() {
    for (from, to) in ORDERS {
        let (source, target) = (store(from), store(to));
        fill(&source).await;
        let mut copier = begin(&source, &target, options().with_batch_bytes(1 << 20))
            .await
            .unwrap();
        copier.bulk().await.unwrap();
        copier.settle().await.unwrap();
        for round in 0..500 {
            let passing = key("agent:07", &format!("passing {round}"));
            source.put(passing.clone(), "x").await.unwrap();
            source.delete(passing).await.unwrap();
        }
        copier.settle().await.unwrap();
        copier.verify().await.unwrap();
        copier.finish().await.unwrap();
        let partition = Partition::new("agent:07").unwrap();
        let left = source.snapshot().await.unwrap().revision(&partition);
        let stands = target.snapshot().await.unwrap().revision(&partition);
        assert!(stands > left, "{from:?} to {to:?}: {stands} is not behind {left}");
        assert!(seen(&target, &partition, left).await.is_some());
    }
}
