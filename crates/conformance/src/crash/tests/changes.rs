//! Change logs and watches that leave something out.

use super::super::changes::{keeps_enough, read_log};
use super::*;

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

/// The sweeper may commit once more behind the write up to which the verification reads the log, and trim it for that.
#[test]
fn what_is_trimmed_behind_the_last_write_is_not_held_against_the_log() {
    let clock = Arc::new(ManualClock::default());
    let store = Reference::open(clock.clone(), options().with_log_sets(4));
    let put = |number: u64, expiry| {
        let key = Key::new(&partition(), format!("k{number}")).unwrap();
        let batch = WriteBatch::new().put_with(key, "v", expiry);
        block_on(store.apply(batch)).unwrap().committed().unwrap()
    };
    put(0, Expiry::At(time_of(50)));
    for number in 1..5 {
        put(number, Expiry::Never);
    }
    let probe = put(5, Expiry::Never);
    let keeps = |change_sets| {
        let (floor, log) = block_on(read_log(&store, probe)).unwrap();
        let demands = Demands::after(Crash::Process).with_retention(change_sets);
        let kept = block_on(keeps_enough(&store, &demands, &log, floor, probe));
        (log.len(), kept.map_err(|failure| failure.kind))
    };
    assert_eq!(keeps(4), (4, Ok(())));
    assert_eq!(keeps(5), (4, Err(FailureKind::Watch)));
    clock.set(time_of(100));
    assert_eq!(store.sweep().unwrap(), 1);
    assert_eq!(keeps(4), (3, Ok(())));
    assert_eq!(keeps(5), (3, Err(FailureKind::Watch)));
}
