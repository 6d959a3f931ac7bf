//! What waits to be committed.

use std::collections::VecDeque;

use parking_lot::{Mutex, MutexGuard};
use stead_core::kit::Signal;
use stead_core::{Error, Fingerprint, Mutation, Outcome, Result, WriteBatch};
use tokio::sync::oneshot::Sender;
use tokio::time::Instant;

/// The most batches that wait, and the most bytes of them.
const LIMIT_BATCHES: usize = 65_536;
const LIMIT_BYTES: usize = 256 << 20;
/// The most batches of one transaction, and about the most bytes; a single batch may be larger.
const GROUP_BATCHES: usize = 1024;
const GROUP_BYTES: usize = 8 << 20;

/// A batch that waits to be judged.
pub(crate) struct Waiting {
    pub(crate) batch: WriteBatch,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) durable: bool,
    pub(crate) since: Instant,
    /// It was sent before, and no answer came.
    pub(crate) may_be_done: bool,
    pub(crate) done: Sender<Result<Outcome>>,
}

impl Waiting {
    pub(crate) fn request(&self) -> Option<(&[u8], &[u8; 32])> {
        let id = self.batch.id()?;
        let fingerprint = self.fingerprint.as_ref()?;
        Some((id.as_bytes(), fingerprint.as_bytes()))
    }

    pub(crate) fn answer(self, result: Result<Outcome>) {
        // Nobody may be waiting any more; that is theirs to decide.
        drop(self.done.send(result));
    }

    fn size_bytes(&self) -> usize {
        let of_mutations = self.batch.mutations().iter().map(|mutation| {
            let value = match mutation {
                Mutation::Put { value, .. } => value.len(),
                Mutation::Delete { .. } | Mutation::Touch { .. } => 0,
            };
            mutation.key().as_bytes().len() + value
        });
        of_mutations.sum()
    }
}

#[derive(Default)]
struct State {
    work: VecDeque<Waiting>,
    bytes: usize,
    /// Somebody commits what waits.
    led: bool,
    /// So many groups in a row were of one batch.
    alone: u32,
    closing: bool,
}

/// So many groups in a row must have been of one batch for the next to be taken for one, too.
const ALONE: u32 = 3;

/// How a batch was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// Somebody commits, and will come to it.
    Behind,
    /// Somebody has to begin to lead. More may come in the same moment.
    First,
    /// Somebody has to begin to lead, and by experience nothing more comes.
    Alone,
}

/// A bounded queue with one leader at a time, who commits until nothing waits.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Notified whenever a leader ends.
    idle: Signal,
}

/// The one who commits. Ends its lead when dropped.
pub(crate) struct Lead<'a>(Option<&'a Queue>);

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.0 {
            queue.state.lock().led = false;
            queue.idle.notify();
        }
    }
}

impl Queue {
    /// Adds a batch.
    ///
    /// # Errors
    ///
    /// `Closed`, or `Unavailable` while too much waits already.
    pub(crate) fn push(&self, waiting: Waiting) -> Result<Pushed> {
        let size = waiting.size_bytes();
        let mut state = self.state.lock();
        if state.closing {
            return Err(Error::closed());
        }
        let bytes = state.bytes + size;
        if !state.work.is_empty() && (state.work.len() >= LIMIT_BATCHES || bytes > LIMIT_BYTES) {
            return Err(Error::unavailable(
                "too many writes wait for the server; wait for replies before you send more",
            )
            .with("waiting", state.work.len())
            .with("waiting_bytes", state.bytes)
            .with("limit", LIMIT_BATCHES)
            .with("limit_bytes", LIMIT_BYTES));
        }
        state.bytes = bytes;
        state.work.push_back(waiting);
        let pushed = match state.led {
            true => Pushed::Behind,
            false if state.alone >= ALONE => Pushed::Alone,
            false => Pushed::First,
        };
        state.led = true;
        Ok(pushed)
    }

    /// The lead that `push` said is to be taken.
    pub(crate) fn lead(&self) -> Lead<'_> {
        Lead(Some(self))
    }

    /// Takes what goes in one transaction; ends the lead where nothing waits.
    pub(crate) fn take(&self, lead: &mut Lead<'_>) -> VecDeque<Waiting> {
        let mut state = self.state.lock();
        let mut taken = VecDeque::new();
        let mut bytes = 0;
        while let Some(next) = state.work.front() {
            let size = next.size_bytes();
            if taken.len() >= GROUP_BATCHES || (!taken.is_empty() && bytes + size > GROUP_BYTES) {
                break;
            }
            bytes += size;
            taken.extend(state.work.pop_front());
        }
        state.bytes = state.bytes.saturating_sub(bytes);
        match taken.len() {
            0 => self.end(state, lead),
            1 => state.alone = state.alone.saturating_add(1),
            _ => state.alone = 0,
        }
        taken
    }

    /// Ends the lead if nothing waits. Whether it did.
    pub(crate) fn end_if_idle(&self, lead: &mut Lead<'_>) -> bool {
        let state = self.state.lock();
        let idle = state.work.is_empty();
        if idle {
            self.end(state, lead);
        }
        idle
    }

    fn end(&self, mut state: MutexGuard<'_, State>, lead: &mut Lead<'_>) {
        state.led = false;
        lead.0 = None;
        drop(state);
        self.idle.notify();
    }

    /// Puts back what did not fit in a transaction, in front of all else.
    pub(crate) fn give_back(&self, rest: VecDeque<Waiting>) {
        let mut state = self.state.lock();
        for waiting in rest.into_iter().rev() {
            state.bytes += waiting.size_bytes();
            state.work.push_front(waiting);
        }
    }

    /// Takes nothing more in.
    pub(crate) fn close(&self) {
        self.state.lock().closing = true;
    }

    /// Waits until nobody commits and nothing waits.
    pub(crate) async fn drained(&self) {
        loop {
            let seen = self.idle.epoch();
            {
                let state = self.state.lock();
                if !state.led && state.work.is_empty() {
                    return;
                }
            }
            self.idle.wait(seen).await;
        }
    }
}
