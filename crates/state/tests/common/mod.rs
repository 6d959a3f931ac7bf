//! What the tests share.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use stead_core::{Backend, ManualClock, Timestamp};
use stead_memory::{MemoryBackend, MemoryOptions};
use stead_state::{ScopedState, StateManager, StateScope};

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000)))
}

pub(crate) fn memory(clock: &Arc<ManualClock>) -> Arc<dyn Backend> {
    let clock: Arc<ManualClock> = Arc::clone(clock);
    Arc::new(MemoryBackend::new(MemoryOptions::default().with_clock(clock)))
}

pub(crate) fn manager() -> StateManager {
    StateManager::new(memory(&clock()))
}

/// A manager with a home for ephemeral values, and the two stores.
pub(crate) fn two_homes(clock: &Arc<ManualClock>) -> (StateManager, Arc<dyn Backend>, Arc<dyn Backend>) {
    let (store, ephemeral) = (memory(clock), memory(clock));
    let manager = StateManager::builder(Arc::clone(&store))
        .ephemeral(Arc::clone(&ephemeral))
        .build();
    (manager, store, ephemeral)
}

pub(crate) fn agent() -> (StateManager, ScopedState) {
    let manager = manager();
    let scope = manager.scope(StateScope::agent("planner")).unwrap();
    (manager, scope)
}
