//! The oracles agree with a store that is right, whatever it declares, and know one that is wrong.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use stead_conformance::oracle::{Effort, Stand, check_histories, check_model};
use stead_conformance::reference::{Fault, Options, Reference};
use stead_core::{Backend, Extent, ManualClock, Result};

/// A reference store that sweeps on demand, with a short log.
fn exact(options: &Options, clock: Arc<ManualClock>) -> Stand {
    let open = Arc::new(Reference::open(Arc::clone(&clock) as Arc<_>, options.clone()));
    let current = Arc::new(Mutex::new(Arc::clone(&open)));
    let (to_reopen, options) = (Arc::clone(&current), options.clone());
    Stand::new(open as Arc<dyn Backend>)
        .with_reopen(move || {
            let mut current = to_reopen.lock();
            let clock = Arc::clone(&clock) as Arc<_>;
            *current = Arc::new(Reference::reopen(current.data(), clock, options.clone()));
            Ok(Arc::clone(&*current) as Arc<dyn Backend>)
        })
        .with_sweep(move || current.lock().sweep().map(drop))
}

fn short_log() -> Options {
    Options::default().with_log_sets(12)
}

#[test]
fn model_agrees_with_the_reference() {
    let open = |clock| Ok(exact(&short_log(), clock));
    check_model(&open, &Effort::default().with_cases(200)).unwrap();
}

#[test]
fn model_agrees_with_a_reference_that_sweeps_by_itself() {
    let options = short_log().with_sweep_interval(Duration::from_millis(1));
    let open = |clock: Arc<ManualClock>| Ok(Stand::new(Arc::new(Reference::open(clock, options.clone()))));
    check_model(&open, &Effort::default().with_seed(1)).unwrap();
}

#[test]
fn model_agrees_with_a_reference_that_declares_little() {
    let options = short_log().declaring(|declared| {
        declared.atomicity = Extent::Partition;
        declared.revision_order = Extent::Partition;
        declared.ttl = false;
        declared.range_preconditions = false;
        declared.reverse_scans = false;
        declared.request_ids = false;
    });
    let open = |clock| Ok(exact(&options, clock));
    check_model(&open, &Effort::default().with_seed(2)).unwrap();
    let options = options.declaring(|declared| {
        declared.snapshots = false;
        declared.watch = false;
        declared.ttl = true;
    });
    let open = |clock| Ok(exact(&options, clock));
    check_model(&open, &Effort::default().with_seed(3)).unwrap();
}

#[test]
fn histories_of_the_reference_are_linearizable() {
    let open = |clock: Arc<ManualClock>| -> Result<Stand> {
        Ok(Stand::new(Arc::new(Reference::open(clock, Options::default()))))
    };
    check_histories(&open, &Effort::default().with_cases(100)).unwrap();
}

#[test]
fn failure_is_shrunk_to_what_matters() {
    let options = short_log().with_fault(Fault::EmptyValueIsMissing);
    let why = check_model(&|clock| Ok(exact(&options, clock)), &Effort::default()).unwrap_err();
    let operations = why
        .lines()
        .skip_while(|line| !line.contains("after these operations"))
        .count()
        - 1;
    assert!(operations <= 2, "one write and one read show this fault:\n{why}");
    assert!(why.contains("Write"), "the write is named:\n{why}");
}

#[test]
fn history_with_a_lost_update_is_told() {
    let options = Options::default().with_fault(Fault::PreconditionsJudgedTooEarly);
    let open = |clock: Arc<ManualClock>| Ok(Stand::new(Arc::new(Reference::open(clock, options.clone()))));
    let why = check_histories(&open, &Effort::default()).unwrap_err();
    assert!(why.contains("no order of the calls"), "{why}");
}

#[test]
fn model_finds_faults_beside_a_sweeper_of_its_own() {
    for fault in [
        Fault::WatchSkipsChanges,
        Fault::ExpiredVisibleToGetMany,
        Fault::ExpiredChangeTwice,
        Fault::SweeperKillsRenewed,
        Fault::RevisionReused,
        Fault::DeleteDropped,
    ] {
        let options = short_log()
            .with_sweep_interval(Duration::from_millis(1))
            .with_fault(fault);
        let open =
            |clock: Arc<ManualClock>| Ok(Stand::new(Arc::new(Reference::open(clock, options.clone()))));
        let effort = Effort::default()
            .with_patience(Duration::from_millis(200))
            .with_shrinks(0);
        assert!(check_model(&open, &effort).is_err(), "{fault} was not found");
    }
}
