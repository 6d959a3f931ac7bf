//! The locks, counters and threads of the store.
//!
//! With `--cfg stead_shuttle` they are those of [shuttle](https://docs.rs/shuttle), which decides at each of them who
//! goes on: `tests/interleavings.rs` runs so. Every other build has parking_lot's and the standard library's own, under
//! the same names. What never blocks and wakes by a waker, such as tokio's `oneshot`, is the same in both: shuttle's
//! threads take turns, and a turn does not end within it.

#[cfg(not(stead_shuttle))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
#[cfg(not(stead_shuttle))]
pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(not(stead_shuttle))]
pub(crate) use std::thread;
#[cfg(stead_shuttle)]
pub(crate) use stead_core::sync::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering, RwLock, thread};
