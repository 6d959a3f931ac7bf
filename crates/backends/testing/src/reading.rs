//! Opening for reading only.

use futures_executor::block_on;
use stead_core::{Backend, BackendExt, ErrorKind, KeyRange, ReadExt, Scan};
use stead_embedded::{EmbeddedOptions, Engine, EngineConfig, WriteSet, open_store};

use crate::run::cases;
use crate::{Readers, TestedEngine, contents, copy, fill, filled, key, open, open_read_only};

const CANNOT: &str = "the engine cannot open a store for reading only";

cases![
    read_only_store_reads_and_leaves_every_byte if E::READERS >= Readers::One, else CANNOT,
    either_setting_opens_for_reading_only if E::READERS >= Readers::One, else CANNOT,
    engine_that_is_read_only_refuses_to_commit if E::READERS >= Readers::One, else CANNOT,
    store_that_was_not_closed_is_read_whole_or_wants_to_be_opened_for_writing if E::READERS >= Readers::One, else CANNOT,
    reading_only_is_unsupported_and_makes_nothing if E::READERS == Readers::None,
        else "the engine can open a store for reading only",
];

fn read_only_store_reads_and_leaves_every_byte<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let error = open_read_only::<E>(&path).expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(!path.exists(), "reading makes nothing");

    filled::<E>(&path, 50);
    E::age(&path);
    let store = open::<E>(&path).unwrap();
    fill(&*store, 50..100, 10);
    block_on(store.close()).unwrap();

    let before = contents(&path);
    let first = open_read_only::<E>(&path).unwrap();
    let mut readers = vec![&first];
    let second = open_read_only::<E>(&path);
    match &second {
        Ok(second) if E::READERS == Readers::Many => readers.push(second),
        Err(error) if E::READERS == Readers::One => assert_eq!(error.kind(), ErrorKind::Unavailable),
        _ => panic!("a second reader beside the first: {:?}", second.err()),
    }
    for store in readers {
        assert!(!store.capabilities().writable);
        let items = block_on(store.collect(&Scan::new(KeyRange::all()))).unwrap();
        assert_eq!(items.len(), 100);
        block_on(store.check(&|_| {})).unwrap();
        let error = block_on(store.put(key("k"), "v")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
    let error = open::<E>(&path).expect_err("readers hold the lock");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    block_on(first.close()).unwrap();
    drop(second);
    assert!(contents(&path) == before, "a byte has changed");
    drop(open::<E>(&path).unwrap());
}

fn either_setting_opens_for_reading_only<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled::<E>(&path, 1);
    let engine = E::config(&path).reading_only().unwrap();
    let plain = EmbeddedOptions::default;
    for (config, options) in [(engine, plain()), (E::config(&path), plain().read_only())] {
        let store = open_store(&config, options).unwrap();
        assert!(!store.capabilities().writable);
        block_on(store.close()).unwrap();
    }
    assert!(open::<E>(&path).unwrap().capabilities().writable);
}

fn engine_that_is_read_only_refuses_to_commit<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    filled::<E>(&path, 1);
    let engine = E::config(&path).reading_only().unwrap().open_engine().unwrap();
    let error = engine.commit(&WriteSet::new(), true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

fn store_that_was_not_closed_is_read_whole_or_wants_to_be_opened_for_writing<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open::<E>(&path).unwrap();
    fill(&*store, 0..20, 1);
    let copied = dir.path().join("copy");
    copy(&path, &copied);
    let before = contents(&copied);
    let opened = open_read_only::<E>(&copied);
    if E::READS_UNCLOSED {
        let store = opened.unwrap();
        assert_eq!(block_on(store.count(&KeyRange::all())).unwrap(), 20);
        block_on(store.close()).unwrap();
    } else {
        let error = opened.expect_err("was not closed");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains("for writing"), "{error}");
    }
    assert!(contents(&copied) == before, "a byte has changed");
    block_on(open::<E>(&copied).unwrap().close()).unwrap();
    let store = open_read_only::<E>(&copied).unwrap();
    assert_eq!(block_on(store.count(&KeyRange::all())).unwrap(), 20);
}

fn reading_only_is_unsupported_and_makes_nothing<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let error = open_read_only::<E>(&path).expect_err("must not open");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(!path.exists());
}
