//! What is found again, and who may open a store beside whom.

use futures_executor::block_on;
use stead_core::{
    Backend, BackendExt, Durability, ErrorKind, Expiry, KeyRange, ReadExt, Revision, Ttl, WriteBatch,
};

use crate::run::cases;
use crate::{Readers, TestedEngine, copy, entry, filled, key, open, open_read_only, refused};

cases![
    everything_is_found_again,
    second_handle_is_refused_and_the_lock_is_named,
    data_that_the_bare_engine_has_open_is_refused,
    copy_of_a_store_in_use_holds_every_durable_write,
];

fn everything_is_found_again<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new").join("store");
    let store = open::<E>(&path).unwrap();
    let lineage = store.lineage();
    let first = block_on(store.put(key("a"), "durable")).unwrap();
    let buffered = WriteBatch::new()
        .put(key("b"), "buffered")
        .durability(Durability::Buffered);
    let second = block_on(store.apply(buffered)).unwrap().committed().unwrap();
    let ttl = Expiry::After(Ttl::from_millis(3_600_000).unwrap());
    block_on(store.put_with(key("c"), vec![7; 1 << 20], ttl)).unwrap();
    let deadline = entry(&*store, &key("c")).unwrap().deadline();
    assert!(deadline.is_some());
    drop(store);

    let store = open::<E>(&path).unwrap();
    assert_eq!(store.lineage(), lineage);
    let find = |path: &str| entry(&*store, &key(path));
    assert_eq!(find("a").unwrap().revision(), first);
    assert_eq!(find("b").unwrap().revision(), second);
    assert_eq!(find("c").unwrap().deadline(), deadline);
    assert_eq!(find("c").unwrap().value(), vec![7; 1 << 20]);
    assert_eq!(find("d"), None);
    block_on(store.check(&|_| {})).unwrap();
    assert_eq!(block_on(store.put(key("d"), "")).unwrap(), Revision::new(4));
    assert!(block_on(store.stats()).unwrap().disk_bytes.unwrap() > 0);
}

fn second_handle_is_refused_and_the_lock_is_named<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open::<E>(&path).unwrap();
    let text = refused::<E>(&path, ErrorKind::Unavailable);
    assert!(text.contains("LOCK") && text.contains("open elsewhere"), "{text}");
    if E::READERS >= Readers::One {
        let error = open_read_only::<E>(&path).expect_err("must not open");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    block_on(store.put(key("k"), "v")).unwrap();
}

fn data_that_the_bare_engine_has_open_is_refused<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled::<E>(&path, 1);
    let bare = E::hold(&path.join(E::DATA));
    let text = refused::<E>(&path, ErrorKind::Unavailable);
    assert!(
        text.contains(E::DATA) && text.contains("open elsewhere"),
        "{text}"
    );
    drop(bare);
    assert_eq!(
        block_on(open::<E>(&path).unwrap().count(&KeyRange::all())).unwrap(),
        1
    );
}

fn copy_of_a_store_in_use_holds_every_durable_write<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open::<E>(&path).unwrap();
    let mut last = Revision::ZERO;
    for n in 0..20 {
        last = block_on(store.put(key(&format!("k{n}")), "v")).unwrap();
    }
    // As a kill would leave it: nothing was closed.
    let copied = dir.path().join("copy");
    copy(&path, &copied);
    let store = open::<E>(&copied).unwrap();
    assert_eq!(block_on(store.count(&KeyRange::all())).unwrap(), 20);
    block_on(store.check(&|_| {})).unwrap();
    let next = block_on(store.put(key("next"), "v")).unwrap();
    assert!(next > last.next(), "no revision comes twice: {next} after {last}");
}
