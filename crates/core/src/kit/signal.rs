//! Waking those who wait for something new.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::planted::planted;
use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering};

/// A counter that can be waited on, of any number of tasks on any runtime.
///
/// [`notify`](Signal::notify) costs two atomic operations while nobody waits.
#[derive(Debug, Default)]
pub struct Signal {
    epoch: AtomicU64,
    waiting: AtomicUsize,
    waiters: Mutex<Waiters>,
}

#[derive(Debug, Default)]
struct Waiters {
    next_id: u64,
    wakers: Vec<(u64, Waker)>,
}

impl Signal {
    /// The counter now. Read it, look for what is new, then [`wait`](Signal::wait) with it: nothing is missed.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Counts up and wakes all who wait.
    #[inline]
    pub fn notify(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        // A waiter registers before it looks at the epoch again, and this looks for waiters after it changed the epoch:
        // in the order of these sequentially consistent operations, one of the two sees the other.
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        let wakers = {
            let mut waiters = self.waiters.lock();
            self.waiting.store(0, Ordering::SeqCst);
            std::mem::take(&mut waiters.wakers)
        };
        for (_, waker) in wakers {
            waker.wake();
        }
    }

    /// Waits until the counter is no longer `seen`.
    pub fn wait(&self, seen: u64) -> impl Future<Output = ()> + Send + '_ {
        Wait {
            signal: self,
            seen,
            id: None,
        }
    }
}

struct Wait<'a> {
    signal: &'a Signal,
    seen: u64,
    id: Option<u64>,
}

impl Wait<'_> {
    fn register(&mut self, waker: &Waker) {
        let mut waiters = self.signal.waiters.lock();
        if let Some((_, slot)) = waiters.wakers.iter_mut().find(|(id, _)| Some(*id) == self.id) {
            slot.clone_from(waker);
            return;
        }
        let id = waiters.next_id;
        waiters.next_id += 1;
        waiters.wakers.push((id, waker.clone()));
        self.signal.waiting.store(waiters.wakers.len(), Ordering::SeqCst);
        self.id = Some(id);
    }
}

impl Future for Wait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.signal.epoch() != self.seen {
            return Poll::Ready(());
        }
        self.register(cx.waker());
        if self.signal.epoch() != self.seen && !planted("wake-up-lost") {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let mut waiters = self.signal.waiters.lock();
        waiters.wakers.retain(|(other, _)| *other != id);
        self.signal.waiting.store(waiters.wakers.len(), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn every_waiter_is_woken_and_none_is_left_behind() {
        let signal = Arc::new(Signal::default());
        let seen = signal.epoch();
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let signal = Arc::clone(&signal);
                std::thread::spawn(move || futures_executor::block_on(signal.wait(seen)))
            })
            .collect();
        signal.notify();
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(signal.waiters.lock().wakers.is_empty());
    }

    #[test]
    fn dropped_waiter_leaves_no_waker() {
        let signal = Signal::default();
        let mut wait = Box::pin(signal.wait(signal.epoch()));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(wait.as_mut().poll(&mut cx).is_pending());
        assert!(wait.as_mut().poll(&mut cx).is_pending());
        assert_eq!(signal.waiters.lock().wakers.len(), 1);
        drop(wait);
        assert_eq!(signal.waiters.lock().wakers.len(), 0);
    }
}
