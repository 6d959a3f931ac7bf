//! Waking a flush that sled forgets.
//!
//! A flush waits until sled's threads have written what was there before it. Where such a write fails, sled notes the
//! failure, but in one of two places (`Log::exit_reservation` of 0.34.7) it does not wake those who wait: they wait for
//! ever. Every flush that begins later finds the failure and wakes all of them. So a thread looks after flushes that take
//! long, and begins another one beside them.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sled::Tree;
use stead_core::{Error, Result};

/// After so long a flush gets company for the first time. Each time after that it takes twice as long: what is only slow
/// shall not take all of sled's threads.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// The thread that looks after the flushes of one writer. Dropping it ends it.
pub(crate) struct Nudge {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Counts beginnings and ends, so it is odd while something is under way.
    turns: AtomicU64,
    ended: AtomicBool,
}

impl Nudge {
    /// Looks after the flushes of `tree`, and keeps its database open until this is dropped.
    ///
    /// # Errors
    ///
    /// `Unavailable` if there is no thread to be had.
    pub(crate) fn for_flushes_of(tree: Tree) -> Result<Self> {
        Self::new(FIRST, move || begin_flush(&tree))
    }

    fn new(first: Duration, nudge: impl Fn() + Send + 'static) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("stead-sled-nudge".to_owned())
            .spawn(move || theirs.look_after(first, nudge))
            .map_err(|cause| Error::unavailable("there is no thread to be had").because(cause))?;
        Ok(Nudge {
            shared,
            thread: Some(thread),
        })
    }

    /// Runs `flush`, and has it nudged if it takes long. One at a time.
    pub(crate) fn during<T>(&self, flush: impl FnOnce() -> T) -> T {
        let _turn = Turn::begin(&self.shared.turns);
        flush()
    }
}

impl Drop for Nudge {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It only panics where sled does, and has nothing to tell.
            let _ = thread.join();
        }
    }
}

/// Ends also when the flush panics.
struct Turn<'a>(&'a AtomicU64);

impl<'a> Turn<'a> {
    fn begin(turns: &'a AtomicU64) -> Self {
        turns.fetch_add(1, Ordering::Relaxed);
        Turn(turns)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Shared {
    fn look_after(&self, first: Duration, nudge: impl Fn()) {
        let (mut seen, mut wait) = (0, first);
        while !self.ended.load(Ordering::Acquire) {
            thread::park_timeout(wait);
            let turn = self.turns.load(Ordering::Relaxed);
            if turn != seen || turn.is_multiple_of(2) {
                (seen, wait) = (turn, first);
            } else if !self.ended.load(Ordering::Acquire) {
                nudge();
                wait = (2 * wait).min(LONGEST);
            }
        }
    }
}

/// Lets sled begin a flush on a thread of its own. Nobody waits for it.
fn begin_flush(tree: &Tree) {
    let flush = pin!(tree.flush_async());
    let _ = flush.poll(&mut Context::from_waker(Waker::noop()));
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn flush_that_nobody_wakes_is_nudged_again_and_again() {
        let (send, nudged) = channel();
        let nudge = Nudge::new(Duration::from_millis(1), move || {
            send.send(()).unwrap_or_default();
        })
        .unwrap();
        for _ in 0..3 {
            let woken = nudge.during(|| {
                let nudges: Vec<_> = (0..3)
                    .map(|_| nudged.recv_timeout(Duration::from_secs(60)))
                    .collect();
                nudges.into_iter().all(|nudge| nudge.is_ok())
            });
            assert!(woken);
        }
        drop(nudge);
        while nudged.try_recv().is_ok() {}
        assert!(nudged.recv().is_err(), "the thread has ended");
    }

    #[test]
    fn what_ended_is_under_way_no_more() {
        let nudge = Nudge::new(FIRST, || {}).unwrap();
        assert_eq!(nudge.during(|| 7), 7);
        let flush = std::panic::AssertUnwindSafe(|| nudge.during(|| panic!("as sled does")));
        assert!(std::panic::catch_unwind(flush).is_err());
        assert_eq!(nudge.shared.turns.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn flush_beside_another_harms_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let db = sled::open(dir.path()).unwrap();
        db.insert("key", "value").unwrap();
        begin_flush(&db);
        db.flush().unwrap();
        assert_eq!(db.get("key").unwrap().unwrap(), "value");
    }
}
