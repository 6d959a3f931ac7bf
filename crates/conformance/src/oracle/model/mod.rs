//! Random sequences of operations on a store and on a model of the contract.

mod driver;
mod follow;
mod look;
mod ops;
mod state;
mod watches;
mod writes;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use proptest_state_machine::ReferenceStateMachine;
use stead_core::{ManualClock, Result, Timestamp};

use super::stand::{Effort, Stand, block_on};
use driver::Driver;
use ops::{Op, Sequences};

/// When every run begins: 2026-11-01T00:00:00Z.
const BEGINNING: Timestamp = Timestamp::from_millis(1_793_491_200_000);

/// Runs random sequences of operations on stores that `open` gives and on a model, and demands that both agree.
///
/// Drawn are: batches over several keys with preconditions on keys and counts, deadlines of every kind, request ids and
/// their retries; point and bulk reads, scans and counts both ways, of the store and of snapshots; watches that begin
/// anywhere; clock steps forth and back; sweeps and restarts as far as the [`Stand`] offers them. What the store does not
/// declare is left out. Revisions need to grow, not to have certain numbers.
///
/// Blocks the calling thread, which must not drive async tasks.
///
/// # Errors
///
/// The shortest sequence found on which store and model differ, and how they do.
pub fn check_model(open: &dyn Fn(Arc<ManualClock>) -> Result<Stand>, effort: &Effort) -> Result<(), String> {
    let config = Config {
        cases: effort.cases,
        // The machine that draws the sequences cannot tell one that failed before it was asked to shrink it.
        max_shrink_iters: effort.shrinks.max(1),
        // Where something never comes, each try waits for it.
        max_shrink_time: 30_000,
        failure_persistence: None,
        ..Config::default()
    };
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&effort.seed.to_be_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let sequences = Sequences::sequential_strategy(1..=effort.operations);
    let outcome = runner.run(&sequences, |(_, operations, seen)| {
        let count_seen = || {
            if let Some(seen) = &seen {
                seen.fetch_add(1, Ordering::SeqCst);
            }
        };
        let result = block_on(run(open, effort, &operations, count_seen));
        result.and_then(|result| result).map_err(TestCaseError::fail)
    });
    outcome.map_err(|error| match error {
        TestError::Abort(reason) => format!("the model could not be run: {reason}"),
        TestError::Fail(reason, (_, operations, _)) => explain(reason.message(), &operations),
    })
}

async fn run(
    open: &dyn Fn(Arc<ManualClock>) -> Result<Stand>,
    effort: &Effort,
    operations: &[Op],
    count_seen: impl Fn(),
) -> Result<(), String> {
    let clock = Arc::new(ManualClock::at(BEGINNING));
    let stand = open(Arc::clone(&clock)).map_err(|error| format!("the store does not open: {error}"))?;
    let mut driver = Driver::new(stand, clock, effort.patience);
    for (index, operation) in operations.iter().enumerate() {
        count_seen();
        let step = driver.step(operation).await;
        step.map_err(|difference| format!("operation {}: {difference}", index + 1))?;
    }
    driver
        .finish()
        .await
        .map_err(|difference| format!("at the end: {difference}"))
}

fn explain(difference: &str, operations: &[Op]) -> String {
    let mut text = format!("store and model differ\n  {difference}\n  after these operations:");
    for (index, operation) in operations.iter().enumerate() {
        let _ = write!(text, "\n  {:3} {operation:?}", index + 1);
    }
    text
}
