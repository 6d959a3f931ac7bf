//! Copies that end at any point and are begun again.

use stead_copy::CopyOptions;
use stead_core::{BackendExt, ErrorKind, Key};

use crate::support::{Failing, ORDERS, Store, begin, content, copy, fill, key, merging, options, store};

/// Changes something of every kind: before, at and behind where the copy may have come to.
async fn change(source: &Store, round: u64) {
    let at = |number: u64| {
        key(
            &format!("agent:{:02}", number % 40),
            &format!("k{:02}", number % 30),
        )
    };
    source
        .put(at(round * 7), format!("changed {round}"))
        .await
        .unwrap();
    source.delete(at(round * 11 + 3)).await.unwrap();
    let new: Key = key(&format!("new:{:02}", round % 50), "k");
    source.put(new.clone(), "new").await.unwrap();
    if round.is_multiple_of(3) {
        source.delete(new).await.unwrap();
    }
    let first = key(&format!("agent:{:02}", round % 40), "");
    source.put(first, "first").await.unwrap();
}

/// Ends the copy at a write of the target that comes a little later each time, and changes the source in between.
async fn interrupt_everywhere(source: &Store, target: &Store, options: &CopyOptions) -> u64 {
    for run in (1..10_000).step_by(3) {
        let failing = Failing::after(target, run);
        match copy(source, &failing, options.clone()).await {
            Ok(report) => {
                assert!(report.resumed);
                return run;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Full, "{error}"),
        }
        change(source, run).await;
    }
    panic!("it never ends");
}

#[tokio::test]
async fn the_stores_are_equal_in_the_end() {
    for (from, to) in ORDERS {
        let (source, target) = (store(from), store(to));
        fill(&source).await;
        let runs = interrupt_everywhere(&source, &target, &options()).await;
        assert!(runs > 5, "{from:?} to {to:?}: {runs}");
        assert_eq!(
            content(&source).await,
            content(&target).await,
            "{from:?} to {to:?}"
        );
    }
}

#[tokio::test]
async fn merging_keeps_what_was_there() {
    for (from, to) in ORDERS {
        let (source, target) = (store(from), store(to));
        fill(&source).await;
        target.put(key("agent:03", "own"), "kept").await.unwrap();
        interrupt_everywhere(&source, &target, &merging()).await;
        let mut copied = content(&target).await;
        let own = copied.remove(key("agent:03", "own").as_bytes()).unwrap();
        assert_eq!(own.0, b"kept");
        let wanted = content(&source).await;
        for (key, entry) in &wanted {
            assert_eq!(
                copied.get(key),
                Some(entry),
                "{from:?} to {to:?}: {}",
                key.escape_ascii()
            );
        }
    }
}

#[tokio::test]
async fn what_was_copied_is_not_copied_again() {
    for (from, to) in ORDERS {
        let (source, target) = (store(from), store(to));
        fill(&source).await;
        let mut copier = begin(&source, &target, options()).await.unwrap();
        copier.bulk().await.unwrap();
        drop(copier);
        let report = copy(&source, &target, options()).await.unwrap();
        assert!(report.resumed);
        assert_eq!((report.copied, report.caught_up), (0, 0), "{from:?} to {to:?}");
        assert_eq!(content(&source).await, content(&target).await);
    }
}
