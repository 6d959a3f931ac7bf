//! What is left of a store that was closed.

use std::ops::ControlFlow;

use futures_executor::block_on;
use stead_core::{Backend, BackendExt, Direction, ErrorKind};
use stead_embedded::{Engine, EngineConfig, Keyspace, View, WriteSet};

use crate::run::cases;
use crate::{TestedEngine, entry, key, open};

cases![
    closed_path_can_be_opened_at_once_while_handles_and_snapshots_live,
    views_that_outlive_the_engine_give_no_wrong_answers,
];

fn closed_path_can_be_opened_at_once_while_handles_and_snapshots_live<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    for round in 0..5_u64 {
        let store = open::<E>(&path).unwrap();
        let snapshot = block_on(store.snapshot()).unwrap();
        assert_eq!(block_on(store.put(key("k"), "v")).unwrap().get(), round + 1);
        block_on(store.close()).unwrap();
        let again = open::<E>(&path).unwrap();
        assert!(entry(&*again, &key("k")).is_some());
        let error = block_on(snapshot.get(&key("k"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    }
}

fn views_that_outlive_the_engine_give_no_wrong_answers<E: TestedEngine>() {
    let dir = tempfile::tempdir().unwrap();
    let config = E::config(&dir.path().join("store"));
    let mut views = Vec::new();
    for _ in 0..5 {
        let engine = config.open_engine().unwrap();
        let mut writes = WriteSet::new();
        writes.put(Keyspace::Data, b"k".to_vec(), b"v".to_vec());
        engine.commit(&writes, true).unwrap();
        let view = engine.view().unwrap();
        assert!(view.get(Keyspace::Data, b"k", &mut |_| {}).unwrap());
        views.push(view);
        engine.close().unwrap();
        for view in &views {
            look_after_the_end::<E>(view);
        }
    }
}

fn look_after_the_end<E: TestedEngine>(view: &impl View) {
    let mut found = Vec::new();
    let got = view.get(Keyspace::Data, b"k", &mut |value| found.extend_from_slice(value));
    let mut visited = 0;
    let scanned = view.scan(Keyspace::Data, b"", None, Direction::Forward, &mut |_, _| {
        visited += 1;
        ControlFlow::Continue(())
    });
    if E::VIEWS_ANSWER_FROM_MEMORY && got.is_ok() && scanned.is_ok() {
        assert_eq!((found.as_slice(), visited), (&b"v"[..], 1));
        return;
    }
    assert_eq!(got.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(scanned.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(visited, 0);
}
