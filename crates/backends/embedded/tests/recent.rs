//! What the writer remembers of recent entries says what reading them would have said.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_executor::block_on;
use proptest::prelude::*;
use stead_core::{
    Backend, ErrorKind, Expect, Expiry, ManualClock, Outcome, Read, Revision, Ttl, WatchEvent, WatchSpec,
    WriteBatch,
};
use stead_embedded::{Embedded, Keyspace};
use support::*;

/// Room for eight keys.
const FEW: usize = 336;

fn ttl(millis: u64) -> Expiry {
    Expiry::After(Ttl::from_millis(millis).unwrap())
}

fn sweeping(disk: &Arc<Disk>, recent_bytes: usize) -> (Arc<Embedded<Fake>>, Arc<ManualClock>) {
    let clock = clock();
    let options = quiet(&clock)
        .with_sweep_interval(Duration::from_millis(2))
        .with_recent_bytes(recent_bytes);
    (open_with(disk, options), clock)
}

fn is_committed(store: &Embedded<Fake>, batch: WriteBatch) -> bool {
    block_on(store.apply(buffered(batch))).unwrap().is_committed()
}

#[test]
fn precondition_is_judged_by_the_newest_write_of_the_key() {
    let disk = Disk::new();
    let store = open(&disk);
    let first = commit(&store, put("k", "1"));
    let second = commit(&store, put("k", "22"));
    let at = |revision| put("k", "333").expect(key("k"), Expect::At(revision));
    assert!(!is_committed(&store, at(first)));
    assert!(is_committed(&store, at(second)));
    commit(&store, WriteBatch::new().delete(key("k")));
    assert!(!is_committed(
        &store,
        put("k", "4").expect(key("k"), Expect::Present)
    ));
    assert!(is_committed(
        &store,
        put("k", "4").expect(key("k"), Expect::Absent)
    ));
    assert_eq!(
        block_on(store.stats()).unwrap().bytes,
        3 + 1,
        "p, a zero, k and 4"
    );
    check(&store);
}

#[test]
fn entry_that_was_swept_counts_no_longer() {
    let disk = Disk::new();
    let (store, clock) = sweeping(&disk, FEW);
    let mut watcher = store.watch(&WatchSpec::new(stead_core::KeyRange::all())).unwrap();
    commit(&store, WriteBatch::new().put_with(key("k"), "value", ttl(100)));
    assert!(matches!(
        block_on(watcher.next()).unwrap(),
        WatchEvent::Changes(_)
    ));
    clock.advance_millis(100);
    assert!(
        matches!(block_on(watcher.next()).unwrap(), WatchEvent::Changes(_)),
        "swept"
    );
    assert!(is_committed(
        &store,
        put("k", "new").expect(key("k"), Expect::Absent)
    ));
    let stats = block_on(store.stats()).unwrap();
    assert_eq!((stats.entries, stats.expired), (1, 1));
    check(&store);
}

#[test]
fn failed_commit_leaves_nothing_that_the_next_open_goes_by() {
    for fault in [Fault::Before(ErrorKind::Unavailable), Fault::After, Fault::Panic] {
        let disk = Disk::new();
        let store = open(&disk);
        commit(&store, put("k", "old"));
        disk.fail_next_commit(fault);
        // On the store's own thread, which also meets the panic.
        block_on(store.apply(put("k", "much longer"))).unwrap_err();
        drop(store);
        disk.lose_unsynced();
        let store = open(&disk);
        let found = block_on(store.get(&key("k"))).unwrap().unwrap().revision();
        assert!(is_committed(
            &store,
            put("k", "new").expect(key("k"), Expect::At(found))
        ));
        check(&store);
    }
}

#[test]
fn what_is_remembered_is_not_read_and_what_is_not_is() {
    let of = |recent_bytes| {
        let disk = Disk::new();
        let store = open_with(&disk, quiet(&clock()).with_recent_bytes(recent_bytes));
        commit(&store, put("k", "old"));
        disk.edit(|maps| {
            let record = maps[Keyspace::Data.index()].get_mut(key("k").as_bytes()).unwrap();
            record[0] ^= 0xFF;
        });
        // The next view shows the damage.
        commit(&store, put("other", "1"));
        block_on(store.apply(put("k", "new")))
    };
    assert!(of(8 << 20).unwrap().is_committed(), "it replaces the damage");
    assert_eq!(of(0).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Put(u8),
    PutFor(u64),
    PutKeeping,
    Delete,
    Touch,
    IfAbsent,
    IfPresent,
    /// At the revision of the key that the store gave last.
    IfUnchanged,
    Twice,
    Advance(u64),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<(Step, u8)>> {
    let step = prop_oneof![
        4 => (0u8..4).prop_map(Step::Put),
        2 => (1u64..50).prop_map(Step::PutFor),
        1 => Just(Step::PutKeeping),
        2 => Just(Step::Delete),
        1 => Just(Step::Touch),
        2 => Just(Step::IfAbsent),
        1 => Just(Step::IfPresent),
        3 => Just(Step::IfUnchanged),
        1 => Just(Step::Twice),
        2 => (1u64..60).prop_map(Step::Advance),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec((step, 0u8..20), 1..120)
}

/// Does the steps, and says which batches were committed.
fn committed(steps: &[(Step, u8)], recent_bytes: usize) -> Vec<bool> {
    let disk = Disk::new();
    let (mut store, mut clock) = sweeping(&disk, recent_bytes);
    let mut given: BTreeMap<u8, Revision> = BTreeMap::new();
    let mut committed = Vec::new();
    for &(step, number) in steps {
        let key = key(&format!("k{number}"));
        let put = |value: &'static str| WriteBatch::new().put(key.clone(), value);
        let batch = match step {
            Step::Put(length) => put(&"vvvv"[..usize::from(length)]),
            Step::PutFor(millis) => WriteBatch::new().put_with(key.clone(), "for a while", ttl(millis)),
            Step::PutKeeping => WriteBatch::new().put_with(key.clone(), "kept", Expiry::Keep),
            Step::Delete => WriteBatch::new().delete(key.clone()),
            Step::Touch => WriteBatch::new().touch(key.clone(), ttl(30)),
            Step::IfAbsent => put("absent").expect(key.clone(), Expect::Absent),
            Step::IfPresent => put("present").expect(key.clone(), Expect::Present),
            Step::IfUnchanged => {
                let revision = given.get(&number).copied().unwrap_or(Revision::new(1));
                put("unchanged").expect(key.clone(), Expect::At(revision))
            }
            Step::Twice => put("once").delete(key.clone()).put(key.clone(), "twice"),
            Step::Advance(millis) => {
                clock.advance_millis(millis);
                continue;
            }
            Step::Reopen => {
                let now = stead_core::Clock::now(&*clock);
                block_on(store.close()).unwrap();
                (store, clock) = sweeping(&disk, recent_bytes);
                clock.advance_millis(now.as_millis() - START);
                continue;
            }
        };
        match block_on(store.apply(buffered(batch))).unwrap() {
            Outcome::Committed(revision) => {
                given.insert(number, revision);
                committed.push(true);
            }
            Outcome::Rejected(_) => committed.push(false),
        }
    }
    check(&store);
    committed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_size_of_memory_judges_alike(steps in steps()) {
        let without = committed(&steps, 0);
        prop_assert_eq!(&committed(&steps, FEW), &without);
        prop_assert_eq!(&committed(&steps, 8 << 20), &without);
    }
}
