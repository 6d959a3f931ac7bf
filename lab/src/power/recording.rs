//! What an engine did to its disk during a workload.

use std::sync::Arc;

use anyhow::Result;
use stead_conformance::crash::{Event, Journal, Load, Work};
use stead_core::{Backend, ManualClock, Timestamp};

use super::dice::Dice;
use super::log::Log;
use super::tree::Tree;

/// What an engine did to its disk during a workload.
#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub(crate) work: Work,
    /// What was on the disk at the beginning.
    pub(crate) base: Tree,
    pub(crate) log: Log,
    /// The first position at which the power may go.
    pub(crate) first: usize,
}

impl Recording {
    /// What is known of the store when the power goes at a position.
    ///
    /// # Errors
    ///
    /// A writer that was answered as it must not be.
    pub(crate) fn journal(&self, position: usize) -> Result<Journal> {
        let mut journal = Journal::new(self.work.seed);
        journal.begin(self.work.load);
        for line in self.log.acknowledged(position) {
            // It says besides how far it came.
            if let Ok(event) = line.parse::<Event>() {
                journal.note(&event)?;
            }
        }
        Ok(journal)
    }
}

/// What an engine did to its disk while a store was opened and closed.
pub(crate) struct Reopening {
    pub(crate) base: Tree,
    pub(crate) log: Log,
}

/// Where recordings come from, and where their images are opened.
pub(crate) trait Source: Sync {
    /// What it is, in a word.
    fn name(&self) -> &'static str;

    /// What is on the disk when a recording begins.
    fn base(&self) -> Tree;

    /// Lets a store do `work` on such a disk.
    ///
    /// # Errors
    ///
    /// A failure of the laboratory, or of a store without any fault.
    fn record(&self, work: &Work) -> Result<Recording>;

    /// Opens the store that an image holds.
    ///
    /// # Errors
    ///
    /// What the engine makes of it, which is a finding; a failure to write the image down.
    fn open(&self, image: &Tree, clock: &Arc<ManualClock>) -> Result<Opened>;

    /// Lets a store be opened over an image and closed, and records that: the power may go once more.
    ///
    /// # Errors
    ///
    /// As [`record`](Source::record).
    fn record_reopening(&self, image: &Tree, now: Timestamp) -> Result<Reopening>;
}

/// A store over an image.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Backend>,
    /// What holds the image as long as the store is open.
    pub(crate) _place: Option<tempfile::TempDir>,
}

/// The workload of a recording.
pub(crate) fn work(seed: u64, recording: u64) -> Work {
    let mut dice = Dice::new(seed ^ 0x3077, recording);
    let load = Load::ALL[usize::try_from(recording % Load::ALL.len() as u64).unwrap_or(0)];
    Work {
        load,
        seed: dice.number(),
        from: 1,
        count: 60 + dice.below(180) as u64,
        window: if dice.coin() { 1 } else { 8 },
    }
}
