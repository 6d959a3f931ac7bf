//! The coordinator of checkpoints, in a time that the tests own: timers fire at once when nothing else is to be done, and the
//! clock goes with them, or jumps.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod damage;
mod demands;
mod end;
mod failures;
mod latest;
mod retention;
mod schedule;
#[path = "../support/mod.rs"]
mod support;
mod world;
