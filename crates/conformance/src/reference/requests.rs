//! Batches that had a request id, and how they ended.

use std::collections::VecDeque;

use stead_core::{Error, Fingerprint, Outcome, RequestId, Result, WriteBatch};

use super::Options;
use super::faults::Fault;

/// The newest requests, oldest first.
#[derive(Debug, Default)]
pub(super) struct Requests(VecDeque<(RequestId, Fingerprint, Outcome)>);

impl Requests {
    /// How the same request ended before, if it was made before.
    pub(super) fn recall(&self, batch: &WriteBatch, options: &Options) -> Result<Option<Outcome>> {
        if options.faults.has(Fault::RequestIdIgnored) {
            return Ok(None);
        }
        let Some((_, first, outcome)) = self.0.iter().find(|(id, ..)| Some(id) == batch.id()) else {
            return Ok(None);
        };
        if *first == Fingerprint::of(batch) || options.faults.has(Fault::RequestIdAcceptsOtherBatch) {
            return Ok(Some(outcome.clone()));
        }
        Err(Error::conflict(
            "request id was used for another batch; take a new id for a new batch",
        ))
    }

    /// Keeps how `batch` ended, if it has an id.
    pub(super) fn remember(&mut self, batch: &WriteBatch, outcome: &Outcome, options: &Options) {
        let Some(id) = batch.id() else { return };
        if !outcome.is_committed() && options.faults.has(Fault::RejectedRequestForgotten) {
            return;
        }
        self.0
            .push_back((id.clone(), Fingerprint::of(batch), outcome.clone()));
        while self.0.len() > options.remembered_requests {
            self.0.pop_front();
        }
    }
}
