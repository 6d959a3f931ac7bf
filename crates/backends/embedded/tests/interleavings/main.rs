//! The commit queue and the watch hub, in every order of turns that shuttle comes up with.
//!
//! Built with `--cfg stead_shuttle` alone, where the store's locks are points at which shuttle lets any thread go on.
//! `STEAD_SHUTTLE_ITERATIONS` says how many executions each scheduler makes of each scenario, `STEAD_SHUTTLE_SEED` which
//! ones. A failing one is printed as a schedule, which `shuttle::replay` repeats.
//!
//! Replies and watches wait through tokio's `oneshot` and the kit's signal. Both wake by wakers and never block, so they
//! run as they are: shuttle's `block_on` polls them, and a thread whose future is pending has no turn until it is woken.

#![cfg(stead_shuttle)]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod closing;
mod disk;
mod expiring;
mod failing;
mod support;
mod watching;
mod writing;
