//! What is refused, and leaves the target as it was.

use std::sync::Arc;

use stead_conformance::PassThrough;
use stead_conformance::reference::{Options, Reference};
use stead_copy::CopyOptions;
use stead_core::{BackendExt, ErrorKind, SystemClock};

use crate::support::{
    Failing, ORDERS, Order, Store, begin, content, copy, fill, key, merging, options, store,
};

async fn refusal(source: &Store, target: &Store, options: CopyOptions) -> stead_core::Error {
    begin(source, target, options).await.unwrap_err()
}

#[tokio::test]
async fn a_target_that_holds_something() {
    for (from, to) in ORDERS {
        let (source, target) = (store(from), store(to));
        fill(&source).await;
        target.put(key("zebra", "own"), "kept").await.unwrap();
        let before = content(&target).await;
        let error = refusal(&source, &target, options()).await;
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains("not empty"), "{error}");
        assert_eq!(content(&target).await, before);
    }
}

#[tokio::test]
async fn the_same_store_on_both_sides() {
    for order in [Order::Store, Order::Partition] {
        let source = store(order);
        fill(&source).await;
        let before = content(&source).await;
        // Seen by its address, and where that is hidden by what is written to the one and found in the other.
        let hidden: Store = Arc::new(PassThrough::new(Arc::clone(&source)));
        for target in [&source, &hidden] {
            let error = refusal(&source, target, merging()).await;
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.message().contains("same store"), "{error}");
            assert_eq!(content(&source).await, before);
        }
    }
}

#[tokio::test]
async fn an_unfinished_copy_that_is_another_one() {
    for (from, to) in ORDERS {
        let (source, target) = (store(from), store(to));
        fill(&source).await;
        drop(
            begin(&source, &target, CopyOptions::new("redb:./other"))
                .await
                .unwrap(),
        );
        let error = refusal(&source, &target, options()).await;
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("its_source=redb:./other"), "{error}");
        let error = refusal(
            &source,
            &target,
            CopyOptions::new("redb:./other").with_occupied(stead_copy::Occupied::Merge),
        );
        let error = error.await;
        assert!(error.message().contains("does not merge"), "{error}");
        // The target of an unfinished copy is no source.
        let error = refusal(&target, &store(to), options()).await;
        assert!(error.message().contains("unfinished copy"), "{error}");
        // Its own copy goes on.
        let report = copy(&source, &target, CopyOptions::new("redb:./other"))
            .await
            .unwrap();
        assert!(report.resumed);
    }
}

#[tokio::test]
async fn a_source_that_went_back() {
    let (source, target) = (store(Order::Store), store(Order::Store));
    fill(&source).await;
    drop(begin(&source, &target, options()).await.unwrap());
    let replaced = store(Order::Store);
    replaced.put(key("p", "k"), "x").await.unwrap();
    let error = refusal(&replaced, &target, options()).await;
    assert!(error.message().contains("stands behind"), "{error}");
}

#[tokio::test]
async fn stores_that_cannot() {
    let declaring = |change: fn(&mut stead_core::Capabilities)| -> Store {
        let options = Options::default().declaring(change);
        Arc::new(Reference::open(Arc::new(SystemClock), options))
    };
    let blind = declaring(|capabilities| capabilities.snapshots = false);
    let error = refusal(&blind, &store(Order::Store), options()).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let closed = declaring(|capabilities| capabilities.writable = false);
    let error = refusal(&store(Order::Store), &closed, options()).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    // Deadlines that cannot be kept are not dropped in silence.
    let source = store(Order::Store);
    let lives = stead_core::Ttl::from_millis(5_000).unwrap();
    source
        .put_with(key("p", "k"), "x", stead_core::Expiry::After(lives))
        .await
        .unwrap();
    let endless = declaring(|capabilities| capabilities.ttl = false);
    let error = copy(&source, &endless, options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_value_over_the_targets_limit() {
    let source = store(Order::Store);
    source.put(key("p", "k"), vec![0; 1_000]).await.unwrap();
    let small = Options::default().declaring(|capabilities| capabilities.limits.value_bytes = 999);
    let target: Store = Arc::new(Reference::open(Arc::new(SystemClock), small));
    let error = copy(&source, &target, options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("limit_bytes=999"), "{error}");
}

#[tokio::test]
async fn a_full_target_is_said_and_the_copy_goes_on_when_there_is_room() {
    let (source, target) = (store(Order::Store), store(Order::Store));
    fill(&source).await;
    let full = Failing::after(&target, 20);
    let error = copy(&source, &full, options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    let report = copy(&source, &target, options()).await.unwrap();
    assert!(report.resumed && report.copied < 1_200, "{report:?}");
    assert_eq!(content(&source).await, content(&target).await);
}
