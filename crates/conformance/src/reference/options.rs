//! How a reference store is set up.

use std::time::Duration;

use stead_core::Capabilities;

use super::faults::{Fault, Faults};

/// How a [`Reference`](super::Reference) is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub(super) capabilities: Capabilities,
    pub(super) capacity_entries: Option<u64>,
    pub(super) log_sets: usize,
    pub(super) remembered_requests: usize,
    pub(super) sweep_interval: Option<Duration>,
    pub(super) faults: Faults,
}

impl Default for Options {
    /// Everything declared, without a capacity or a sweeper; the log keeps 1,024 change sets and as many request ids.
    fn default() -> Self {
        let mut capabilities = Capabilities::volatile("reference");
        capabilities.persistent = true;
        Options {
            capabilities,
            capacity_entries: None,
            log_sets: 1024,
            remembered_requests: 1024,
            sweep_interval: None,
            faults: Faults::default(),
        }
    }
}

impl Options {
    /// Changes the declared capabilities in place. What is taken away is refused; the limits are kept to.
    #[must_use]
    pub fn declaring(mut self, change: impl FnOnce(&mut Capabilities)) -> Self {
        change(&mut self.capabilities);
        self
    }

    /// Answers `Full` to a batch that would leave more entries than this, those not yet swept included.
    #[must_use]
    pub fn with_capacity_entries(mut self, entries: u64) -> Self {
        self.capacity_entries = Some(entries);
        self
    }

    /// Keeps this many change sets for watches to read.
    #[must_use]
    pub fn with_log_sets(mut self, sets: usize) -> Self {
        self.log_sets = sets;
        self
    }

    /// Remembers the outcome of this many batches with request ids.
    #[must_use]
    pub fn with_remembered_requests(mut self, requests: usize) -> Self {
        self.remembered_requests = requests;
        self
    }

    /// Sweeps this often, on a thread that ends with the store. Without it, only
    /// [`Reference::sweep`](super::Reference::sweep) removes entries past their deadline.
    #[must_use]
    pub fn with_sweep_interval(mut self, interval: Duration) -> Self {
        self.sweep_interval = Some(interval);
        self
    }

    /// Makes the store wrong in one way.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.faults = Faults::planted(fault);
        self
    }

    /// The declared capabilities.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
}
