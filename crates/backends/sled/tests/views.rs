//! Views stay what they are: against maps, forward and reverse, while commits go on.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use stead_core::Direction::{self, Forward, Reverse};
use stead_embedded::{Engine, Keyspace, View, WriteSet};
use stead_sled::{SledConfig, SledEngine, SledView};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;
type Maps = [Map; Keyspace::ALL.len()];

fn open(path: &Path) -> SledEngine {
    SledEngine::open(&SledConfig::new(path).with_cache_capacity(1 << 20)).unwrap()
}

fn pairs(
    view: &SledView,
    space: Keyspace,
    start: &[u8],
    end: Option<&[u8]>,
    direction: Direction,
    limit: usize,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs = Vec::new();
    view.scan(space, start, end, direction, &mut |key, value| {
        pairs.push((key.to_vec(), value.to_vec()));
        if pairs.len() == limit {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
    .unwrap();
    pairs
}

fn expected(
    map: &Map,
    start: &[u8],
    end: Option<&[u8]>,
    direction: Direction,
    limit: usize,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let within = map
        .iter()
        .filter(|(key, _)| key.as_slice() >= start && end.is_none_or(|end| key.as_slice() < end))
        .map(|(key, value)| (key.clone(), value.clone()));
    match direction {
        Forward => within.take(limit).collect(),
        Reverse => within.collect::<Vec<_>>().into_iter().rev().take(limit).collect(),
    }
}

fn get(view: &SledView, space: Keyspace, key: &[u8]) -> Option<Vec<u8>> {
    let mut found = None;
    let is_there = view
        .get(space, key, &mut |value| found = Some(value.to_vec()))
        .unwrap();
    assert_eq!(is_there, found.is_some());
    found
}

fn assert_shows(view: &SledView, maps: &Maps) {
    for (space, map) in Keyspace::ALL.into_iter().zip(maps) {
        for direction in [Forward, Reverse] {
            let all = pairs(view, space, b"", None, direction, usize::MAX);
            assert_eq!(all, expected(map, b"", None, direction, usize::MAX), "{space}");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(usize, Vec<u8>, Option<usize>)>, bool),
    View,
    End(usize),
    Get(usize, usize, Vec<u8>),
    Scan(usize, usize, Vec<u8>, Option<Vec<u8>>, bool, usize),
    Reopen,
}

/// Few keys, so that they meet; some are prefixes of others.
fn a_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(prop_oneof![Just(0_u8), Just(b'a'), Just(255)], 0..3),
        (0..60_u8).prop_map(|n| vec![b'k', n]),
    ]
}

/// Some fill several parts.
fn a_length() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 0..40_usize, 1 => 16_380..16_390_usize, 1 => 32_000..50_000_usize]
}

fn a_step() -> impl Strategy<Value = Step> {
    let writes = vec(
        (
            0..Keyspace::ALL.len(),
            a_key(),
            proptest::option::weighted(0.7, a_length()),
        ),
        0..12,
    );
    prop_oneof![
        6 => (writes, any::<bool>()).prop_map(|(writes, sync)| Step::Commit(writes, sync)),
        3 => Just(Step::View),
        3 => any::<usize>().prop_map(Step::End),
        4 => (any::<usize>(), 0..Keyspace::ALL.len(), a_key())
            .prop_map(|(view, space, key)| Step::Get(view, space, key)),
        4 => (any::<usize>(), 0..Keyspace::ALL.len(), a_key(), proptest::option::of(a_key()), any::<bool>(), 1..80_usize)
            .prop_map(|(view, space, start, end, reverse, limit)| {
                Step::Scan(view, space, start, end, reverse, limit)
            }),
        1 => Just(Step::Reopen),
    ]
}

struct Run<'a> {
    path: &'a Path,
    engine: Option<SledEngine>,
    now: Maps,
    views: Vec<(SledView, Maps)>,
    written: u8,
}

impl Run<'_> {
    fn step(&mut self, step: &Step) {
        let engine = self.engine.as_ref().unwrap();
        match step {
            Step::Commit(writes, sync) => {
                let mut set = WriteSet::new();
                for (space, key, length) in writes {
                    self.written = self.written.wrapping_add(1);
                    match length {
                        Some(length) => {
                            let value = vec![self.written; *length];
                            set.put(Keyspace::ALL[*space], key.clone(), value.clone());
                            self.now[*space].insert(key.clone(), value);
                        }
                        None => {
                            set.delete(Keyspace::ALL[*space], key.clone());
                            self.now[*space].remove(key);
                        }
                    }
                }
                engine.commit(&set, *sync).unwrap();
            }
            Step::View => self.views.push((engine.view().unwrap(), self.now.clone())),
            Step::End(which) if !self.views.is_empty() => {
                drop(self.views.swap_remove(which % self.views.len()));
            }
            Step::Get(which, space, key) if !self.views.is_empty() => {
                let (view, maps) = &self.views[which % self.views.len()];
                assert_eq!(
                    get(view, Keyspace::ALL[*space], key).as_ref(),
                    maps[*space].get(key)
                );
            }
            Step::Scan(which, space, start, end, reverse, limit) if !self.views.is_empty() => {
                let (view, maps) = &self.views[which % self.views.len()];
                let direction = if *reverse { Reverse } else { Forward };
                let end = end.as_deref();
                let found = pairs(view, Keyspace::ALL[*space], start, end, direction, *limit);
                assert_eq!(found, expected(&maps[*space], start, end, direction, *limit));
            }
            Step::Reopen => {
                self.views.clear();
                self.engine.take().unwrap().close().unwrap();
                self.engine = Some(open(self.path));
            }
            Step::End(_) | Step::Get(..) | Step::Scan(..) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn views_agree_with_maps(steps in vec(a_step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let mut run = Run {
            path: &path,
            engine: Some(open(&path)),
            now: Maps::default(),
            views: Vec::new(),
            written: 0,
        };
        for step in &steps {
            run.step(step);
        }
        for (view, maps) in &run.views {
            assert_shows(view, maps);
        }
        let engine = run.engine.take().unwrap();
        engine.check().unwrap();
        let view = engine.view().unwrap();
        assert_shows(&view, &run.now);
        // Nothing is kept for views that have ended.
        run.views.clear();
        assert_shows(&view, &run.now);
    }
}

fn number(view: &SledView, key: &[u8]) -> u64 {
    let value = get(view, Keyspace::Data, key).unwrap();
    u64::from_be_bytes(value.try_into().unwrap())
}

/// Every commit writes its number under many keys. A view that shows two numbers is torn.
#[test]
fn views_are_never_torn_while_commits_go_on() {
    const KEYS: u8 = 200;
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&dir.path().join("store"));
    let write = |n: u64| {
        let mut set = WriteSet::new();
        for key in 0..KEYS {
            // Some keys come and go, and their number shifts with it.
            if key % 4 == 3 && n % 3 == u64::from(key) % 3 {
                set.delete(Keyspace::Data, vec![key]);
            } else {
                set.put(Keyspace::Data, vec![key], n.to_be_bytes().to_vec());
            }
        }
        engine.commit(&set, n.is_multiple_of(64)).unwrap();
    };
    write(0);
    let over = AtomicBool::new(false);
    let looks = AtomicU64::new(0);
    thread::scope(|scope| {
        let reader = |direction: Direction| {
            let (engine, over, looks) = (&engine, &over, &looks);
            move || {
                let mut old: Option<(SledView, u64)> = None;
                while !over.load(Ordering::Relaxed) {
                    let view = engine.view().unwrap();
                    let n = number(&view, &[0]);
                    let all = pairs(&view, Keyspace::Data, b"", None, direction, usize::MAX);
                    assert!(all.iter().all(|(_, value)| **value == n.to_be_bytes()));
                    let gone = (0..KEYS).filter(|key| key % 4 == 3 && n % 3 == u64::from(*key) % 3);
                    assert_eq!(all.len(), usize::from(KEYS) - gone.count());
                    assert_eq!(number(&view, &[KEYS - 2]), n);
                    if let Some((view, n)) = &old {
                        let first = pairs(view, Keyspace::Data, &[4], None, direction, 40);
                        assert!(first.iter().all(|(_, value)| **value == n.to_be_bytes()));
                    }
                    if looks.fetch_add(1, Ordering::Relaxed).is_multiple_of(5) {
                        old = Some((view, n));
                    }
                }
            }
        };
        let readers = [scope.spawn(reader(Forward)), scope.spawn(reader(Reverse))];
        let mut n = 0;
        while (n < 400 || looks.load(Ordering::Relaxed) < 200)
            && readers.iter().all(|reader| !reader.is_finished())
        {
            n += 1;
            write(n);
        }
        over.store(true, Ordering::Relaxed);
    });
    engine.check().unwrap();
}

/// What comes and goes ahead of a scan, at its end and around every record, is not seen by it.
#[test]
fn commits_in_the_middle_of_a_scan_are_not_seen() {
    for direction in [Forward, Reverse] {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(&dir.path().join("store"));
        let mut set = WriteSet::new();
        for key in (0..250_u8).step_by(3) {
            set.put(Keyspace::Data, vec![key], b"old".to_vec());
        }
        engine.commit(&set, false).unwrap();
        let view = engine.view().unwrap();
        let mut seen = Vec::new();
        view.scan(Keyspace::Data, b"", None, direction, &mut |key, value| {
            assert_eq!(value, b"old");
            seen.push(key[0]);
            let mut set = WriteSet::new();
            for near in 0..=255_u8 {
                if (usize::from(near) + seen.len()).is_multiple_of(4) {
                    set.delete(Keyspace::Data, vec![near]);
                } else if !(usize::from(near) * seen.len()).is_multiple_of(7) {
                    set.put(Keyspace::Data, vec![near], b"new".to_vec());
                }
            }
            engine.commit(&set, false).unwrap();
            ControlFlow::Continue(())
        })
        .unwrap();
        let mut expected: Vec<u8> = (0..250).step_by(3).collect();
        if direction == Reverse {
            expected.reverse();
        }
        assert_eq!(seen, expected);
        engine.check().unwrap();
    }
}

/// The scan holds the last page as it was when the keys behind its end come.
#[test]
fn keys_that_come_behind_the_end_of_a_scan_are_not_seen() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&dir.path().join("store"));
    for entries in 17..40_u8 {
        for direction in [Forward, Reverse] {
            let mut set = WriteSet::new();
            for key in 0..=255 {
                set.delete(Keyspace::Data, vec![key]);
            }
            for key in 100..100 + entries {
                set.put(Keyspace::Data, vec![key], b"old".to_vec());
            }
            engine.commit(&set, false).unwrap();
            let view = engine.view().unwrap();
            let mut seen = 0;
            view.scan(Keyspace::Data, b"", None, direction, &mut |_, value| {
                assert_eq!(value, b"old", "{seen} of {entries}");
                seen += 1;
                let mut set = WriteSet::new();
                for key in [0..10, 200..210].into_iter().flatten() {
                    set.put(Keyspace::Data, vec![key], b"new".to_vec());
                }
                engine.commit(&set, false).unwrap();
                ControlFlow::Continue(())
            })
            .unwrap();
            assert_eq!(seen, entries);
        }
    }
}

#[test]
fn view_of_a_closed_engine_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let engine = open(&path);
    let view = engine.view().unwrap();
    engine.close().unwrap();
    let again = open(&path);
    let error = view.get(Keyspace::Data, b"k", &mut |_| {}).unwrap_err();
    assert_eq!(error.kind(), stead_core::ErrorKind::Closed);
    let error = view
        .scan(Keyspace::Data, b"", None, Forward, &mut |_, _| {
            ControlFlow::Continue(())
        })
        .unwrap_err();
    assert_eq!(error.kind(), stead_core::ErrorKind::Closed);
    drop(view);
    again.close().unwrap();
}
