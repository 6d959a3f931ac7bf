//! The writer.

use std::collections::VecDeque;
use std::fmt;

use stead_core::{Backend, Clock, Error, ManualClock, Outcome, Reply, Result};

use super::{Ack, Event, Guard, Load, Write, time_of};

/// What a writer is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// The kind of writes.
    pub load: Load,
    /// What distinguishes this workload from others of the same load.
    pub seed: u64,
    /// The number of the first write; at least 1.
    pub from: u64,
    /// How many writes.
    pub count: u64,
    /// How many writes are handed over before the writer waits for the first of them; at least 1. Never more than
    /// [`TICK`](super::TICK).
    pub window: usize,
}

/// A writer was stopped by a write that failed.
#[derive(Debug)]
pub struct Stopped {
    /// The number of the first write that failed.
    pub number: u64,
    /// How it failed.
    pub error: Error,
    /// Writes behind it that were acknowledged all the same, which must not be.
    pub later: Vec<u64>,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {} failed: {}", self.number, self.error)
    }
}

impl std::error::Error for Stopped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Does the writes of `work` one after the other, and tells what happens. A write is told as started before it is handed
/// over, and as acknowledged after the store has answered.
///
/// # Errors
///
/// The first write that failed. Those that were under way behind it have been waited for, and nothing was started after
/// it.
///
/// # Cancellation
///
/// What was handed over may still be done, and is not told.
pub async fn run(
    store: &dyn Backend,
    clock: &ManualClock,
    work: &Work,
    tell: &mut (dyn FnMut(Event) + Send),
) -> Result<(), Stopped> {
    let mut writer = Writer {
        waiting: VecDeque::new(),
        tell,
    };
    for number in work.from..work.from + work.count {
        let write = Write::of(work.load, work.seed, number);
        if clock.now() != time_of(number) || write.guard != Guard::None {
            writer.drain().await?;
            clock.set(time_of(number));
        }
        let mut current = None;
        if let (true, Some(op)) = (write.guard != Guard::None, write.ops.first()) {
            let found = store.get(op.key()).await;
            let found = found.map_err(|error| Stopped {
                number,
                error,
                later: Vec::new(),
            })?;
            current = found.map(|entry| entry.revision());
        }
        (writer.tell)(Event::Started(number));
        let reply = store.apply(write.batch(current));
        writer.waiting.push_back((write, reply));
        if writer.waiting.len() >= work.window.max(1) {
            writer.settle().await?;
        }
    }
    writer.drain().await
}

struct Writer<'a> {
    waiting: VecDeque<(Write, Reply<'a, Outcome>)>,
    tell: &'a mut (dyn FnMut(Event) + Send),
}

impl Writer<'_> {
    async fn drain(&mut self) -> Result<(), Stopped> {
        while !self.waiting.is_empty() {
            self.settle().await?;
        }
        Ok(())
    }

    /// Waits for the first of those that are under way.
    async fn settle(&mut self) -> Result<(), Stopped> {
        let Some((write, reply)) = self.waiting.pop_front() else {
            return Ok(());
        };
        let number = write.number;
        let Err(error) = self.answer(&write, reply).await else {
            return Ok(());
        };
        let mut later = Vec::new();
        while let Some((write, reply)) = self.waiting.pop_front() {
            if self.answer(&write, reply).await.is_ok() {
                later.push(write.number);
            }
        }
        Err(Stopped { number, error, later })
    }

    async fn answer(&mut self, write: &Write, reply: Reply<'_, Outcome>) -> Result<()> {
        let number = write.number;
        match reply.await {
            Ok(outcome) => {
                (self.tell)(Event::Acknowledged(Ack {
                    number,
                    revision: outcome.committed().ok(),
                    durability: write.durability,
                }));
                Ok(())
            }
            Err(error) => {
                let kind = error.kind();
                (self.tell)(Event::Failed { number, kind });
                Err(error)
            }
        }
    }
}
