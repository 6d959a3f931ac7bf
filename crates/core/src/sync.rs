//! The locks and counters that threads meet at.
//!
//! With `--cfg stead_shuttle` they are those of [shuttle](https://docs.rs/shuttle), which decides at each of them who
//! goes on: the tests of the interleavings run so. Every other build has parking_lot's and the standard library's own,
//! under the same names.

#[cfg(not(stead_shuttle))]
pub(crate) use parking_lot::Mutex;
#[cfg(not(stead_shuttle))]
pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

#[cfg(stead_shuttle)]
pub use self::modelled::*;

#[cfg(stead_shuttle)]
mod modelled;
