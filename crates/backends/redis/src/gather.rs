//! Reads of several callers in one message.
//!
//! A read alone is sent at once. One that comes while others are under way waits a turn of its runtime, and goes with all
//! that came for the same server in that turn: one message there and one back, with one command for each shard. What a
//! message costs both sides is most of what a small read costs, so that many callers read faster than each by itself.
//!
//! Reads that went together are no worse off than alone: if anything is wrong with their message, each is sent again by
//! itself and gets its own error. None waits for the caller of another.

use std::sync::Arc;

use parking_lot::Mutex;
use redis::Pipeline;
use stead_core::{Entry, Key, Result};
use stead_network::{Failure, Repeat};
use tokio::sync::oneshot::{Receiver, Sender, channel};
use tokio::task::yield_now;

use crate::inner::Inner;
use crate::link::Link;
use crate::record::malformed;

/// The most reads of a message.
const MOST: usize = 128;

/// The reads of one server that are under way.
#[derive(Default)]
pub(crate) struct Gathering(Mutex<State>);

#[derive(Default)]
struct State {
    /// All reads, those that wait among them.
    inside: usize,
    /// Those that the first of them has sent.
    waiting: Vec<Waiting>,
}

struct Waiting {
    shard: usize,
    key: Key,
    found: Sender<Option<Entry>>,
}

/// Counts a read while it is under way.
struct Inside<'a>(&'a Gathering);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.0.lock().inside -= 1;
    }
}

/// What a read does that was let in.
enum Turn {
    Alone,
    /// It goes with those that come now, and has them sent.
    First(Receiver<Option<Entry>>),
    Behind(Receiver<Option<Entry>>),
}

/// The duty to send those that wait. Where the runtime ends before, they go by themselves.
struct Lead(Option<Arc<Link>>);

impl Lead {
    fn take(mut self) -> Option<(Arc<Link>, Vec<Waiting>)> {
        let link = self.0.take()?;
        let reads = link.gathering.take();
        Some((link, reads))
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if let Some(link) = &self.0 {
            drop(link.gathering.take());
        }
    }
}

impl Gathering {
    fn enter(&self, shard: usize, key: &Key) -> (Inside<'_>, Turn) {
        let mut state = self.0.lock();
        state.inside += 1;
        let inside = Inside(self);
        if state.inside == 1 || state.waiting.len() >= MOST {
            return (inside, Turn::Alone);
        }
        let is_first = state.waiting.is_empty();
        let (found, answer) = channel();
        let key = key.clone();
        state.waiting.push(Waiting { shard, key, found });
        match is_first {
            true => (inside, Turn::First(answer)),
            false => (inside, Turn::Behind(answer)),
        }
    }

    fn take(&self) -> Vec<Waiting> {
        std::mem::take(&mut self.0.lock().waiting)
    }
}

impl Inner {
    /// The entry under `key`, read together with others where there are any.
    pub(crate) async fn live_one(self: &Arc<Self>, key: &Key) -> Result<Option<Entry>> {
        let shard = self.shard_of_key(key);
        let slot = self.shards[shard].slot;
        let link = self.net.link(slot);
        let (_inside, turn) = link.gathering.enter(shard, key);
        let mut answer = match turn {
            Turn::Alone => None,
            Turn::First(answer) => {
                // In a task of its own: a caller may hold its read for long without asking for it.
                let (inner, lead) = (Arc::clone(self), Lead(Some(Arc::clone(&link))));
                self.runtime.spawn(async move {
                    // The others of this turn come now.
                    yield_now().await;
                    if let Some((link, reads)) = lead.take() {
                        inner.send(reads, &link).await;
                    }
                });
                Some(answer)
            }
            Turn::Behind(answer) => Some(answer),
        };
        let attempt = || {
            let answer = answer.take();
            async move {
                if let Some(answer) = answer
                    && let Ok(entry) = answer.await
                {
                    return Ok(entry);
                }
                let answer = self.net.call(slot, &self.records_under(shard, [key])).await?;
                let mut entries = self.entries(shard, answer).map_err(Failure::Final)?;
                entries.pop().ok_or_else(|| Failure::Final(malformed("record")))
            }
        };
        self.retry.run(Repeat::Read, attempt).await
    }

    /// Sends reads in one message, and hands out what was found. Those that something is wrong with get no answer.
    async fn send(&self, mut reads: Vec<Waiting>, link: &Arc<Link>) {
        reads.sort_by_key(|read| read.shard);
        let mut message = Pipeline::new();
        for group in reads.chunk_by(|one, next| one.shard == next.shard) {
            let keys = group.iter().map(|read| &read.key);
            message.add_command(self.records_under(group[0].shard, keys));
        }
        let Ok(answers) = link.call_all(&message).await else {
            return;
        };
        let mut reads = reads.into_iter().peekable();
        for answer in answers {
            let Some(shard) = reads.peek().map(|read| read.shard) else {
                return;
            };
            let mut entries = self.entries(shard, answer).unwrap_or_default().into_iter();
            while let Some(read) = reads.next_if(|read| read.shard == shard) {
                if let Some(entry) = entries.next() {
                    // Its caller may have gone.
                    drop(read.found.send(entry));
                }
            }
        }
    }
}
