//! The verification passes what is right, and catches each thing that it is there for.

use std::sync::Arc;
use std::time::Duration;

use futures_executor::block_on;
use stead_core::{
    Backend, BackendExt, Durability, ErrorKind, Expiry, Key, ManualClock, Mutation, Read, Revision, Strength,
    WriteBatch,
};

use super::write::{probe_key, value};
use super::*;
use crate::reference::{Data, Fault, Options, Reference};

mod changes;
mod entries;
mod events;
mod writes;

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
