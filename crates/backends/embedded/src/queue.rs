//! What waits for the committer thread.

use std::collections::VecDeque;
use std::time::Duration;

use stead_core::{Error, Fingerprint, Mutation, Outcome, Result, WriteBatch};
use tokio::sync::oneshot::Sender;

use crate::planted::planted;
use crate::sync::{Condvar, Mutex, MutexGuard, thread};

/// A batch that waits to be judged.
pub(crate) struct Waiting {
    pub(crate) batch: WriteBatch,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) durable: bool,
    pub(crate) done: Sender<Result<Outcome>>,
}

/// One thing to do, in the order of arrival.
pub(crate) enum Work {
    Batch(Box<Waiting>),
    /// Everything before this is to be made durable.
    Sync(Sender<Result<()>>),
}

impl Work {
    fn size_bytes(&self) -> usize {
        match self {
            Work::Batch(waiting) => batch_bytes(&waiting.batch),
            Work::Sync(_) => 0,
        }
    }

    /// The keys that it writes.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        let mutations = match self {
            Work::Batch(waiting) => waiting.batch.mutations(),
            Work::Sync(_) => &[],
        };
        mutations.iter().map(|mutation| mutation.key().as_bytes())
    }
}

fn batch_bytes(batch: &WriteBatch) -> usize {
    let of_mutations = batch.mutations().iter().map(|mutation| {
        let value = match mutation {
            Mutation::Put { value, .. } => value.len(),
            Mutation::Delete { .. } | Mutation::Touch { .. } => 0,
        };
        mutation.key().as_bytes().len() + value
    });
    of_mutations.sum()
}

/// Who waits for the close.
pub(crate) type Closer = Sender<Result<()>>;

/// Work and its size, which whoever holds the lock shall not have to look for.
struct Queued {
    work: Work,
    bytes: usize,
}

#[derive(Default)]
struct State {
    work: VecDeque<Queued>,
    bytes: usize,
    nudged: bool,
    closing: bool,
    ended: bool,
    closers: Vec<Closer>,
}

/// What woke the committer.
pub(crate) struct Woken {
    /// Nothing did: the time was up.
    pub(crate) timed_out: bool,
    /// The store is being closed, and nothing comes after what waits now.
    pub(crate) closing: bool,
}

/// A bounded queue with one reader.
pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    limit_batches: usize,
    limit_bytes: usize,
}

impl Queue {
    pub(crate) fn new(limit_batches: usize, limit_bytes: usize) -> Self {
        Queue {
            state: Mutex::default(),
            wake: Condvar::new(),
            limit_batches,
            limit_bytes,
        }
    }

    /// Adds work.
    ///
    /// # Errors
    ///
    /// `Closed`, or `Unavailable` while too much waits already.
    pub(crate) fn push(&self, work: Work) -> Result<()> {
        let own_bytes = work.size_bytes();
        let mut state = self.state.lock();
        if state.closing {
            return Err(Error::closed());
        }
        let bytes = state.bytes + own_bytes;
        if !state.work.is_empty() && (state.work.len() >= self.limit_batches || bytes > self.limit_bytes) {
            return Err(Error::unavailable(
                "too many writes wait for the disk; wait for replies before you send more",
            )
            .with("waiting", state.work.len())
            .with("waiting_bytes", state.bytes)
            .with("limit", self.limit_batches)
            .with("limit_bytes", self.limit_bytes));
        }
        state.bytes = bytes;
        state.work.push_back(Queued {
            work,
            bytes: own_bytes,
        });
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Takes work from the front, up to these limits but at least one piece if there is any.
    pub(crate) fn take(&self, limit: usize, limit_bytes: usize) -> Vec<Work> {
        let mut state = self.state.lock();
        if state.closing && planted("close-drops-queue") {
            return Vec::new();
        }
        if state.work.len() <= limit && state.bytes <= limit_bytes {
            // Writers wait for the lock: it is held for no longer than it takes to put another queue there.
            let room = VecDeque::with_capacity(state.work.len());
            let taken = std::mem::replace(&mut state.work, room);
            state.bytes = 0;
            drop(state);
            return taken.into_iter().map(|taken| taken.work).collect();
        }
        let mut taken = Vec::with_capacity(limit.min(state.work.len()));
        let mut bytes = 0;
        while let Some(next) = state.work.front() {
            if taken.len() >= limit || (!taken.is_empty() && bytes + next.bytes > limit_bytes) {
                break;
            }
            bytes += next.bytes;
            taken.extend(state.work.pop_front().map(|taken| taken.work));
        }
        state.bytes = state.bytes.saturating_sub(bytes);
        taken
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.state.lock().work.len()
    }

    /// Lets those go on who may add to what waits, until it is `expected` or none of them did: those who were just
    /// answered are about to come back, and a commit for the first of them alone would make all others wait for the next
    /// one. Does not wait where nothing does.
    pub(crate) fn gather(&self, expected: usize) {
        let mut waiting = self.len();
        while waiting > 0 && waiting < expected {
            thread::yield_now();
            let now = self.len();
            if now <= waiting {
                return;
            }
            waiting = now;
        }
    }

    /// Wakes the committer to look after the store.
    pub(crate) fn nudge(&self) {
        self.state.lock().nudged = true;
        self.wake.notify_one();
    }

    /// Waits for work, a nudge or the close, at most this long.
    pub(crate) fn wait(&self, at_most: Duration) -> Woken {
        let mut state = self.state.lock();
        let mut timed_out = false;
        while state.work.is_empty() && !state.nudged && !state.closing && !timed_out {
            if planted("sleep-unlooked") {
                MutexGuard::unlocked(&mut state, || ());
            }
            timed_out = self.wake.wait_for(&mut state, at_most).timed_out();
        }
        state.nudged = false;
        Woken {
            timed_out,
            closing: state.closing,
        }
    }

    /// Stops taking work. Gives `closer` back if everything has ended already.
    pub(crate) fn close(&self, closer: Option<Closer>) -> Option<Closer> {
        let mut state = self.state.lock();
        state.closing = true;
        if state.ended {
            return closer;
        }
        state.closers.extend(closer);
        drop(state);
        self.wake.notify_one();
        None
    }

    /// Takes out what still waits. Nothing comes in any more.
    pub(crate) fn clear(&self) -> Vec<Work> {
        let mut state = self.state.lock();
        state.closing = true;
        state.bytes = 0;
        let left = std::mem::take(&mut state.work);
        left.into_iter().map(|left| left.work).collect()
    }

    /// Ends the queue, once everything is released: who waits for the close. Whoever closes from now on need not wait.
    pub(crate) fn end(&self) -> Vec<Closer> {
        let mut state = self.state.lock();
        state.ended = true;
        std::mem::take(&mut state.closers)
    }
}

#[cfg(all(test, not(stead_shuttle)))]
mod tests {
    use tokio::sync::oneshot::channel;

    use super::*;

    #[test]
    fn gathering_takes_nothing_and_ends_where_nobody_comes() {
        let queue = Queue::new(8, 1024);
        queue.gather(4);
        for _ in 0..2 {
            let (done, _) = channel();
            queue.push(Work::Sync(done)).expect("there is room");
        }
        queue.gather(2);
        queue.gather(4);
        assert_eq!(queue.take(8, 1024).len(), 2);
    }
}
