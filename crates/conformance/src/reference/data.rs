//! What outlives a handle.

use parking_lot::Mutex;
use stead_core::kit::Signal;

use super::state::State;

/// What a reference store keeps, as if on a disk: opened by [`Reference::reopen`](super::Reference::reopen).
#[derive(Debug, Default)]
pub struct Data {
    pub(super) state: Mutex<State>,
    pub(super) signal: Signal,
}
