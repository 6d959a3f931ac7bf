//! What the oracles are run on, and how hard they try.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use stead_core::{Backend, Result};

type Reopen = Box<dyn FnMut() -> Result<Arc<dyn Backend>> + Send>;
type Sweep = Box<dyn FnMut() -> Result<()> + Send>;

/// A fresh, empty store, and what can be done to it from outside.
pub struct Stand {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) reopen: Option<Reopen>,
    pub(super) sweep: Option<Sweep>,
}

impl Stand {
    /// A store that sweeps whenever it likes, but within the [`Effort`]'s patience, and that is opened but once.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Stand {
            backend,
            reopen: None,
            sweep: None,
        }
    }

    /// How to end the store and open the same data again, with the same clock. The oracle drops its handle only after
    /// the call.
    #[must_use]
    pub fn with_reopen(mut self, reopen: impl FnMut() -> Result<Arc<dyn Backend>> + Send + 'static) -> Self {
        self.reopen = Some(Box::new(reopen));
        self
    }

    /// How to remove all entries past their deadline, for a store that removes them at no other time. The oracle then
    /// knows each revision and each change, and sets the clock back as far as it likes.
    ///
    /// After a reopen the closure must sweep the new handle.
    #[must_use]
    pub fn with_sweep(mut self, sweep: impl FnMut() -> Result<()> + Send + 'static) -> Self {
        self.sweep = Some(Box::new(sweep));
        self
    }
}

impl fmt::Debug for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stand")
            .field("backend", &self.backend.capabilities().name)
            .field("reopens", &self.reopen.is_some())
            .field("sweeps", &self.sweep.is_some())
            .finish()
    }
}

/// How hard an oracle tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    pub(super) cases: u32,
    pub(super) operations: usize,
    pub(super) patience: Duration,
    pub(super) seed: u64,
    pub(super) shrinks: u32,
}

impl Default for Effort {
    /// 64 runs of 100 operations from the same seed each time, 2 seconds for an event, 500 steps of shrinking.
    fn default() -> Self {
        Effort {
            cases: 64,
            operations: 100,
            patience: Duration::from_secs(2),
            seed: 0x5eed,
            shrinks: 500,
        }
    }
}

impl Effort {
    /// Makes so many runs, each on a fresh store.
    #[must_use]
    pub fn with_cases(mut self, cases: u32) -> Self {
        self.cases = cases;
        self
    }

    /// Makes at most so many operations in a run, at least one.
    #[must_use]
    pub fn with_operations(mut self, operations: usize) -> Self {
        self.operations = operations.max(1);
        self
    }

    /// Waits so long for an event or a sweep that is due.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Draws other sequences.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Tries so often to make a sequence that failed shorter, for half a minute at most.
    #[must_use]
    pub fn with_shrinks(mut self, shrinks: u32) -> Self {
        self.shrinks = shrinks;
        self
    }
}

/// Runs `future` on the runtime that the calling thread belongs to, or on one of its own.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, String> {
    if let Ok(handle) = tokio::runtime::Handle::try_current() {
        return Ok(handle.block_on(future));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime to run on: {error}"))?;
    let value = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(value)
}
