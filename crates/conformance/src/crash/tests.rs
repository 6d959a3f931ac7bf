//! The verification passes what is right, and catches each thing that it is there for.

use std::sync::Arc;
use std::time::Duration;

use futures_executor::block_on;
use stead_core::{
    Backend, BackendExt, Durability, ErrorKind, Expiry, Key, ManualClock, Mutation, Read, Revision, Strength,
    WriteBatch,
};

use super::model::Model;
use super::write::{probe_key, value};
use super::*;
use crate::reference::{Data, Fault, Options, Reference};

const SEED: u64 = 11;

/// A store whose buffered writes are gone with the process.
fn options() -> Options {
    Options::default()
        .with_log_sets(1 << 20)
        .declaring(|capabilities| capabilities.durable = Strength::PowerLoss)
}

/// What a writer said, and the data that it left.
struct Written {
    load: Load,
    events: Vec<Event>,
}

impl Written {
    fn by(load: Load, count: u64) -> Self {
        let clock = Arc::new(ManualClock::default());
        let store = Reference::open(clock.clone(), options());
        let work = work(load, 1, count);
        let mut events = Vec::new();
        block_on(run(&store, &clock, &work, &mut |event| events.push(event))).unwrap();
        Written { load, events }
    }

    fn journal(&self) -> Journal {
        let mut journal = Journal::new(SEED);
        journal.begin(self.load);
        for event in &self.events {
            journal.note(event).unwrap();
        }
        journal
    }

    fn verify(&self, data: &Arc<Data>, options: Options) -> Result<Report, Failure> {
        let clock = Arc::new(ManualClock::default());
        let store = Reference::reopen(data, clock.clone(), options);
        let mut journal = self.journal();
        block_on(verify(
            &store,
            &clock,
            &mut journal,
            &Demands::after(Crash::Process),
        ))
    }

    fn fails(&self, data: &Arc<Data>, kind: FailureKind) {
        let found = self.verify(data, options()).map_err(|failure| failure.kind);
        assert_eq!(found, Err(kind), "{:?}", self.verify(data, options()));
    }
}

fn work(load: Load, from: u64, count: u64) -> Work {
    Work {
        load,
        seed: SEED,
        from,
        count,
        window: 8,
    }
}

/// The data of a store that was written as `load` says, but for what `edit` makes of each write.
fn edited(load: Load, count: u64, edit: impl Fn(&Write, WriteBatch) -> Option<WriteBatch>) -> Arc<Data> {
    let clock = Arc::new(ManualClock::default());
    let store = Reference::open(clock.clone(), options());
    for number in 1..=count {
        clock.set(time_of(number));
        let write = Write::of(load, SEED, number);
        let current = block_on(store.get(write.ops[0].key())).unwrap();
        if let Some(batch) = edit(&write, write.batch(current.map(|entry| entry.revision()))) {
            let _ = block_on(store.apply(batch)).unwrap();
        }
    }
    Arc::clone(store.data())
}

/// The last durable write that fits.
fn last(load: Load, count: u64, fits: impl Fn(&Write) -> bool) -> u64 {
    (1..=count)
        .rev()
        .find(|number| {
            let write = Write::of(load, SEED, *number);
            write.durability == Durability::Durable && write.guard != Guard::Wrong && fits(&write)
        })
        .unwrap()
}

#[test]
fn what_survives_whole_passes_under_every_load() {
    for load in Load::ALL {
        let written = Written::by(load, 600);
        let data = edited(load, 600, |_, batch| Some(batch));
        let report = written.verify(&data, options()).unwrap();
        assert_eq!((report.unacknowledged, report.gone), (0, 0), "{load}: {report:?}");
        assert!(report.change_sets > 300, "{load}: {report:?}");
    }
}

#[test]
fn a_store_is_verified_again_and_again_as_it_grows() {
    let clock = Arc::new(ManualClock::default());
    let options = options()
        .with_log_sets(64)
        .with_sweep_interval(Duration::from_millis(1));
    let mut store = Reference::open(clock.clone(), options.clone());
    let mut journal = Journal::new(SEED);
    for round in 0..24 {
        let load = Load::ALL[round % Load::ALL.len()];
        journal.begin(load);
        let work = work(load, journal.next(), 40 + 10 * round as u64);
        let mut events = Vec::new();
        block_on(run(&store, &clock, &work, &mut |event| events.push(event))).unwrap();
        for event in &events {
            journal.note(&event.to_string().parse().unwrap()).unwrap();
        }
        store = Reference::reopen(store.data(), clock.clone(), options.clone());
        let demands = Demands::after(Crash::Process).with_retention(64);
        let report = block_on(verify(&store, &clock, &mut journal, &demands)).unwrap();
        assert!(report.survived > 0, "{report:?}");
    }
}

#[test]
fn a_lost_acknowledged_write_is_caught() {
    let written = Written::by(Load::Put, 200);
    let number = last(Load::Put, 200, |_| true);
    let data = edited(Load::Put, number - 1, |_, batch| Some(batch));
    written.fails(&data, FailureKind::Lost);
}

#[test]
fn a_lost_value_behind_a_whole_log_is_caught() {
    let written = Written::by(Load::Put, 200);
    let number = last(Load::Put, 200, |write| matches!(write.ops[..], [Op::Put { .. }]));
    let data = edited(Load::Put, 200, |write, batch| {
        let key = write.ops[0].key().clone();
        Some(if write.number == number {
            WriteBatch::new().put(key.clone(), value(SEED, number - 1, &key))
        } else {
            batch
        })
    });
    written.fails(&data, FailureKind::Lost);
}

#[test]
fn buffered_writes_may_go_but_only_from_the_end() {
    let written = Written::by(Load::Trim, 200);
    let number = last(Load::Trim, 200, |_| true);
    assert!(number < 200, "the last write must be buffered");
    let data = edited(Load::Trim, number, |_, batch| Some(batch));
    // The revisions that were handed out for what is gone must not come again.
    written.fails(&data, FailureKind::Reused);
    let data = edited(Load::Trim, 200, |write, batch| {
        (write.number != number + 1).then_some(batch)
    });
    let failure = written.verify(&data, options()).unwrap_err();
    assert!(
        matches!(
            failure.kind,
            FailureKind::Lost | FailureKind::Invented | FailureKind::Watch | FailureKind::Reused
        ),
        "{failure}"
    );
}

#[test]
fn a_half_batch_is_caught() {
    let several = |write: &Write| write.ops.iter().filter(|op| matches!(op, Op::Put { .. })).count() > 2;
    let number = last(Load::Batch, 200, several);
    let written = Written::by(Load::Batch, number);
    let half = |write: &Write, batch: WriteBatch| {
        if write.number != number {
            return Some(batch);
        }
        let [preconditions @ .., _] = batch.mutations() else {
            return None;
        };
        let mutations = preconditions.iter().cloned();
        Some(mutations.fold(WriteBatch::new(), WriteBatch::mutation))
    };
    written.fails(&edited(Load::Batch, number, half), FailureKind::Half);
}

#[test]
fn half_the_values_of_a_batch_are_caught_behind_a_whole_log() {
    let several = |write: &Write| write.ops.iter().filter(|op| matches!(op, Op::Put { .. })).count() > 2;
    let number = last(Load::Batch, 200, several);
    let written = Written::by(Load::Batch, number);
    let half = |write: &Write, mut batch: WriteBatch| {
        if write.number == number
            && let [Mutation::Put { key, value: old, .. }, ..] = batch.mutations_mut()
        {
            *old = value(SEED, 0, key).into();
        }
        Some(batch)
    };
    written.fails(&edited(Load::Batch, number, half), FailureKind::Half);
}

#[test]
fn a_reused_revision_is_caught() {
    let written = Written::by(Load::Put, 100);
    let data = edited(Load::Put, 100, |_, batch| Some(batch));
    // Nothing was written behind the writer's last revision, so only the store's own number can tell.
    let clock = Arc::new(ManualClock::default());
    let store = Reference::reopen(&data, clock.clone(), options());
    let mut journal = written.journal();
    journal.highest = Revision::new(journal.highest.get() + 1);
    let failure = block_on(verify(
        &store,
        &clock,
        &mut journal,
        &Demands::after(Crash::Process),
    ));
    assert_eq!(failure.unwrap_err().kind, FailureKind::Reused);
    // A writer that is given a revision again says so.
    let mut journal = written.journal();
    let again = Ack {
        number: journal.next(),
        revision: Some(journal.highest),
        durability: Durability::Durable,
    };
    journal.note(&Event::Started(again.number)).unwrap();
    let failure = journal.note(&Event::Acknowledged(again)).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Reused);
}

#[test]
fn a_skipped_change_is_caught() {
    let written = Written::by(Load::Mixed, 200);
    let faults = [
        (Fault::WatchSkipsChanges, FailureKind::Watch),
        (Fault::WatchResumesTooLate, FailureKind::Watch),
        (Fault::WatchReorders, FailureKind::Watch),
        (Fault::WatchSplitsBatch, FailureKind::Watch),
        (Fault::ExpiredVisibleToScan, FailureKind::Lost),
        (Fault::ExpiredVisibleToGet, FailureKind::Lost),
        (Fault::DeadlineLostAtReopen, FailureKind::Expiry),
        (Fault::LogLostAtReopen, FailureKind::Lost),
    ];
    for (fault, kind) in faults {
        let data = edited(Load::Mixed, 200, |_, batch| Some(batch));
        let found = written.verify(&data, options().with_fault(fault));
        assert_eq!(
            found.clone().map_err(|failure| failure.kind),
            Err(kind),
            "{fault}: {found:?}"
        );
    }
}

/// The number of a write of [`Load::Put`] that deletes something.
fn deleting() -> u64 {
    let mut model = Model::default();
    let mut deletes = |number: &u64| {
        let write = Write::of(Load::Put, SEED, *number);
        let hits = matches!(&write.ops[..], [Op::Delete { key }] if model.entries.contains_key(key));
        model.apply(&write, None);
        hits && write.durability == Durability::Durable
    };
    (1..5_000).find(|number| deletes(number)).unwrap()
}

#[test]
fn a_revision_that_comes_again_after_a_delete_is_caught() {
    let count = deleting();
    let written = Written::by(Load::Put, count);
    for (fault, kind) in [
        // The store's own check looks first.
        (Fault::RevisionReusedAfterReopen, FailureKind::Damaged),
        (Fault::DeletedBackAfterReopen, FailureKind::Invented),
    ] {
        let data = edited(Load::Put, count, |_, batch| Some(batch));
        let found = written.verify(&data, options().with_fault(fault));
        assert_eq!(
            found.clone().map_err(|failure| failure.kind),
            Err(kind),
            "{fault}: {found:?}"
        );
    }
}

#[test]
fn a_resurrected_expired_entry_is_caught() {
    // A single entry that expires within the run and is not written again.
    let passes = |number: &u64| match &Write::of(Load::Expire, SEED, *number).ops[..] {
        [
            Op::Put {
                key,
                deadline: Some(deadline),
            },
        ] => {
            let later = |number| {
                Write::of(Load::Expire, SEED, number)
                    .ops
                    .iter()
                    .any(|op| op.key() == key)
            };
            *deadline <= time_of(300) && !(number + 1..=300).any(later)
        }
        _ => false,
    };
    let number = (1..300).find(passes).unwrap();
    let written = Written::by(Load::Expire, 300);
    let endless = |write: &Write, mut batch: WriteBatch| {
        if write.number == number
            && let [Mutation::Put { expiry, .. }] = batch.mutations_mut()
        {
            *expiry = Expiry::Never;
        }
        Some(batch)
    };
    written.fails(&edited(Load::Expire, 300, endless), FailureKind::Expiry);
}

#[test]
fn what_nobody_wrote_is_caught() {
    let written = Written::by(Load::Put, 50);
    let data = edited(Load::Put, 50, |_, batch| Some(batch));
    let store = Reference::reopen(&data, Arc::new(ManualClock::default()), options());
    let stranger = Key::new(&partition(), "stranger").unwrap();
    block_on(store.put(stranger, "?")).unwrap();
    written.fails(&data, FailureKind::Invented);
}

#[test]
fn writes_without_an_acknowledgement_are_there_from_the_first_on() {
    let mut written = Written::by(Load::Batch, 200);
    // The last eight answers did not come.
    let kept = |event: &Event| !matches!(event, Event::Acknowledged(ack) if ack.number > 192);
    written.events.retain(kept);
    for there in 192..=200 {
        let data = edited(Load::Batch, there, |_, batch| Some(batch));
        let report = written.verify(&data, options()).unwrap();
        assert!(report.unacknowledged <= there - 192, "{report:?}");
    }
    let whole = |number| Write::of(Load::Batch, SEED, number).guard == Guard::None;
    let gap = (193..200).find(|number| whole(*number)).unwrap();
    let data = edited(Load::Batch, 200, |write, batch| {
        (write.number != gap).then_some(batch)
    });
    assert!(written.verify(&data, options()).is_err());
}

#[test]
fn sweeps_behind_unanswered_writes_are_of_later_times() {
    let mut written = Written::by(Load::Expire, 208);
    let kept = |event: &Event| !matches!(event, Event::Acknowledged(ack) if ack.number > 200);
    written.events.retain(kept);
    let data = edited(Load::Expire, 200, |_, batch| Some(batch));
    let clock = Arc::new(ManualClock::at(time_of(208 + 1_000)));
    let store = Reference::reopen(&data, clock.clone(), options());
    assert!(store.sweep().unwrap() > 0);
    let mut journal = written.journal();
    journal.note(&Event::Passed(208 + 1_000)).unwrap();
    block_on(verify(
        &store,
        &clock,
        &mut journal,
        &Demands::after(Crash::Process),
    ))
    .unwrap();
}

#[test]
fn a_refused_write_must_not_be_there() {
    let mut written = Written::by(Load::Put, 60);
    for (kind, allowed) in [(ErrorKind::Full, false), (ErrorKind::UnknownOutcome, true)] {
        written.events.retain(|event| {
            !matches!(event, Event::Acknowledged(ack) if ack.number == 60)
                && !matches!(event, Event::Failed { .. })
        });
        written.events.push(Event::Failed { number: 60, kind });
        let data = edited(Load::Put, 60, |_, batch| Some(batch));
        assert_eq!(written.verify(&data, options()).is_ok(), allowed, "{kind}");
    }
}

#[test]
fn answers_that_cannot_be_are_caught() {
    let wrong = (1..)
        .find(|number| Write::of(Load::CompareAndSet, SEED, *number).guard == Guard::Wrong)
        .unwrap();
    let mut journal = Journal::new(SEED);
    journal.begin(Load::CompareAndSet);
    journal.note(&Event::Started(wrong)).unwrap();
    let committed = Ack {
        number: wrong,
        revision: Some(Revision::new(1)),
        durability: Durability::Durable,
    };
    let failure = journal.note(&Event::Acknowledged(committed)).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Answer);
    let mut journal = Journal::new(SEED);
    journal.begin(Load::Put);
    for number in [1, 2] {
        journal.note(&Event::Started(number)).unwrap();
    }
    let kind = ErrorKind::UnknownOutcome;
    journal.note(&Event::Failed { number: 1, kind }).unwrap();
    let later = Ack {
        number: 2,
        ..committed
    };
    assert!(
        journal.note(&Event::Acknowledged(later)).is_err(),
        "acknowledged after a failure"
    );
}

#[test]
fn lines_say_what_they_are_read_as() {
    let revision = Some(Revision::new(23));
    let durability = Durability::Buffered;
    let events = [
        Event::Started(17),
        Event::Acknowledged(Ack {
            number: 17,
            revision,
            durability,
        }),
        Event::Acknowledged(Ack {
            number: 18,
            revision: None,
            durability: Durability::Durable,
        }),
        Event::Failed {
            number: 19,
            kind: ErrorKind::UnknownOutcome,
        },
        Event::Passed(400),
        Event::Synced,
    ];
    for event in events {
        assert_eq!(event.to_string().parse::<Event>().unwrap(), event);
    }
    for line in [
        "",
        "ack 17",
        "ack 17 committed durable",
        "start",
        "start x",
        "failed 3 odd",
    ] {
        assert!(line.parse::<Event>().is_err(), "{line}");
    }
    for load in Load::ALL {
        assert_eq!(load.to_string().parse::<Load>().unwrap(), load);
    }
    assert!("cas".parse::<Load>().is_err());
}

#[test]
fn a_write_is_what_its_number_says() {
    for load in Load::ALL {
        for number in 1..2_000 {
            let write = Write::of(load, SEED, number);
            assert_eq!(write, Write::of(load, SEED, number));
            let mut keys: Vec<_> = write.ops.iter().map(Op::key).collect();
            keys.sort();
            keys.dedup();
            assert_eq!(keys.len(), write.ops.len(), "{load} {number} names a key twice");
            assert!(!keys.contains(&&probe_key()));
        }
    }
}
