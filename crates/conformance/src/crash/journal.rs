//! What is known of a store from outside.

use std::collections::BTreeMap;

use stead_core::{ChangeSet, ErrorKind, Revision};

use super::failure::{Failure, FailureKind};
use super::model::Model;
use super::write::{Guard, Write};
use super::{Ack, Event, Load};

/// What is known of a store from outside: what survived until the last verification, and what the writers have said
/// since.
#[derive(Clone, Debug)]
pub struct Journal {
    pub(super) seed: u64,
    load: Load,
    pub(super) settled: Settled,
    /// What was started since then.
    pub(super) pending: BTreeMap<u64, Pending>,
    started: u64,
    acknowledged: u64,
    committed: u64,
    failed: bool,
    /// Everything acknowledged up to here was synced.
    pub(super) synced: u64,
    /// The highest revision that was ever handed out.
    pub(super) highest: Revision,
}

/// What the last verification found.
#[derive(Clone, Debug, Default)]
pub(super) struct Settled {
    pub(super) model: Model,
    /// The revision of the write that the verification did.
    pub(super) revision: Revision,
    /// The change sets up to there that are still in the log.
    pub(super) history: Vec<ChangeSet>,
}

/// A write that was started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    pub(super) load: Load,
    pub(super) fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nobody knows.
    Open,
    /// Answered.
    Acknowledged(Ack),
    /// Refused with an error that promises that nothing was written.
    Refused,
}

impl Journal {
    /// The journal of an empty store, for workloads of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Journal {
            seed,
            load: Load::Mixed,
            settled: Settled::default(),
            pending: BTreeMap::new(),
            started: 0,
            acknowledged: 0,
            committed: 0,
            failed: false,
            synced: 0,
            highest: Revision::ZERO,
        }
    }

    /// The number of the next write: all before it were started, or left out.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.started + 1
    }

    /// The number of the last write that was acknowledged; 0 before the first.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// How many writes were acknowledged as committed, all in all.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// What follows is said by a writer of this load. It begins anew, so writes may be started after one that failed.
    pub fn begin(&mut self, load: Load) {
        self.load = load;
        self.failed = false;
    }

    /// Takes in what a writer said.
    ///
    /// # Errors
    ///
    /// What the writer must not have been told: a write that was rejected or committed against its condition, a revision
    /// that is not above all before it, an acknowledgement behind a failure or out of order. What the writer itself must
    /// not say is an error of kind [`FailureKind::Answer`] as well.
    pub fn note(&mut self, event: &Event) -> Result<(), Failure> {
        let wrong = |message: String| Err(Failure::new(FailureKind::Answer, message));
        match *event {
            Event::Started(number) if number <= self.started => {
                wrong(format!("write {number} was started after {}", self.started))
            }
            Event::Started(number) if self.failed => {
                wrong(format!("write {number} was started after a failure"))
            }
            Event::Started(number) => {
                self.started = number;
                let pending = Pending {
                    load: self.load,
                    fate: Fate::Open,
                };
                self.pending.insert(number, pending);
                Ok(())
            }
            Event::Acknowledged(ack) => self.note_ack(ack),
            Event::Failed { number, kind } => {
                self.failed = true;
                match self.pending.get_mut(&number) {
                    Some(pending) if pending.fate == Fate::Open => {
                        if nothing_was_written(kind) {
                            pending.fate = Fate::Refused;
                        }
                        Ok(())
                    }
                    _ => wrong(format!("write {number} failed, but was not under way")),
                }
            }
            Event::Passed(number) => {
                self.started = self.started.max(number.saturating_sub(1));
                Ok(())
            }
            Event::Synced => {
                self.synced = self.acknowledged;
                Ok(())
            }
        }
    }

    fn note_ack(&mut self, ack: Ack) -> Result<(), Failure> {
        let number = ack.number;
        let wrong = |message: String| Err(Failure::new(FailureKind::Answer, message));
        if self.failed {
            return wrong(format!("write {number} was acknowledged after a failure"));
        }
        let Some(pending) = self.pending.get_mut(&number) else {
            return wrong(format!("write {number} was acknowledged, but never started"));
        };
        if number <= self.acknowledged || pending.fate != Fate::Open {
            return wrong(format!("write {number} was acknowledged out of order"));
        }
        let rejected = Write::of(pending.load, self.seed, number).guard == Guard::Wrong;
        if rejected != ack.revision.is_none() {
            let (was, held) = if rejected {
                ("committed", "not hold")
            } else {
                ("rejected", "hold")
            };
            return wrong(format!("write {number} was {was}, but its condition did {held}"));
        }
        pending.fate = Fate::Acknowledged(ack);
        self.acknowledged = number;
        if let Some(revision) = ack.revision {
            self.committed += 1;
            self.hand_out(revision, &format!("write {number}"))?;
        }
        Ok(())
    }

    /// Takes in a revision that was given to `whom` just now.
    pub(super) fn hand_out(&mut self, revision: Revision, whom: &str) -> Result<(), Failure> {
        if revision <= self.highest {
            return Err(Failure::new(
                FailureKind::Reused,
                format!(
                    "{whom} got revision {revision}, but {} was handed out before",
                    self.highest
                ),
            ));
        }
        self.highest = revision;
        Ok(())
    }

    /// The writes since the last verification that may be there, in order.
    pub(super) fn writes(&self) -> impl Iterator<Item = (Write, Option<Ack>)> + '_ {
        self.pending.iter().filter_map(|(number, pending)| {
            let write = || Write::of(pending.load, self.seed, *number);
            match pending.fate {
                Fate::Open => Some((write(), None)),
                Fate::Acknowledged(ack) => Some((write(), Some(ack))),
                Fate::Refused => None,
            }
        })
    }

    /// Begins at what a verification found, which did a write of its own under `number`.
    pub(super) fn settle(&mut self, settled: Settled, number: u64) {
        self.settled = settled;
        self.pending.clear();
        self.failed = false;
        self.started = self.started.max(number);
    }
}

/// What [`Backend::apply`](stead_core::Backend::apply) promises of an error of this kind.
fn nothing_was_written(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Invalid
            | ErrorKind::Unsupported
            | ErrorKind::Full
            | ErrorKind::Unavailable
            | ErrorKind::Closed
    )
}
