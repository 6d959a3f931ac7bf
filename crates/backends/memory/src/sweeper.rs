//! The background thread that removes entries past their deadline.

use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::Duration;

use parking_lot::Mutex;

use crate::store::Inner;

/// Entries of one sweep: writers wait for no longer than that takes.
const SWEEP_BATCH: usize = 1024;

/// Starts the thread with the first deadline and wakes it when a read meets an expired entry.
#[derive(Default)]
pub(crate) struct Sweeper {
    wanted: AtomicBool,
    thread: Mutex<Option<Thread>>,
    store: std::sync::OnceLock<(Weak<Inner>, Duration)>,
}

impl Sweeper {
    pub(crate) fn attach(&self, store: Weak<Inner>, interval: Duration) {
        let _ = self.store.set((store, interval));
    }

    /// Starts the thread if there is something to sweep and it does not run yet.
    pub(crate) fn want(&self, deadlines: bool) {
        if !deadlines || self.wanted.load(Ordering::Relaxed) || self.wanted.swap(true, Ordering::AcqRel) {
            return;
        }
        let Some((store, interval)) = self.store.get().cloned() else {
            return;
        };
        let spawned = std::thread::Builder::new()
            .name("stead-memory-sweeper".into())
            .spawn(move || run(&store, interval));
        match spawned {
            Ok(handle) => *self.thread.lock() = Some(handle.thread().clone()),
            // Without a thread nothing is lost: expired entries stay hidden, and the next deadline tries again.
            Err(_) => self.wanted.store(false, Ordering::Release),
        }
    }

    /// Wakes the thread.
    pub(crate) fn nudge(&self) {
        if let Some(thread) = &*self.thread.lock() {
            thread.unpark();
        }
    }
}

/// Sweeps until the store is gone. Holds it only while sweeping, so that dropping it ends the thread.
fn run(store: &Weak<Inner>, interval: Duration) {
    loop {
        std::thread::park_timeout(interval);
        let Some(store) = store.upgrade() else { return };
        while store.sweep(SWEEP_BATCH) == SWEEP_BATCH {}
        if store.is_closed() {
            return;
        }
    }
}
