//! Writes that are missing, half there, twice there, or there though they must not be.

use super::super::model::Model;
use super::*;

#[test]
fn a_lost_acknowledged_write_is_caught() {
    let written = Written::by(Load::Put, 200);
    let number = last(Load::Put, 200, |_| true);
    let data = edited(Load::Put, number - 1, |_, batch| Some(batch));
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
