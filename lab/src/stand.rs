//! One store that is made to fail again and again, and what is known of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_executor::block_on;
use stead_conformance::crash::{Crash, Demands, Failure, FailureKind, Journal, Load, Report, verify};
use stead_core::{Backend, ManualClock};
use tempfile::TempDir;

use crate::child::Ended;
use crate::engines::{Engine, RETENTION};

/// The store of a section, and its journal.
pub(crate) struct Stand {
    pub(crate) engine: &'static Engine,
    pub(crate) journal: Journal,
    pub(crate) dir: PathBuf,
    /// Removed with the stand, unless the stand is kept.
    home: Option<TempDir>,
}

impl Stand {
    /// An empty store in a temporary directory.
    pub(crate) fn new(engine: &'static Engine, seed: u64) -> anyhow::Result<Self> {
        let home = tempfile::Builder::new().prefix("stead-lab-").tempdir()?;
        Ok(Stand {
            engine,
            journal: Journal::new(seed),
            dir: home.path().join("store"),
            home: Some(home),
        })
    }

    /// Takes in what a worker said, opens the store in this process and verifies it.
    pub(crate) fn settle(&mut self, load: Load, ended: &Ended, crash: Crash) -> Result<Report, Failure> {
        settle_at(self.engine, &self.dir, &mut self.journal, load, ended, crash)
    }

    /// Opens the store in this process, verifies it and closes it.
    pub(crate) fn verify(&mut self, crash: Crash) -> Result<Report, Failure> {
        verify_at(self.engine, &self.dir, &mut self.journal, crash)
    }

    /// Leaves the store where it is for somebody to look at, and says where.
    pub(crate) fn keep(&mut self) -> PathBuf {
        match self.home.take() {
            Some(home) => home.keep(),
            None => self.dir.clone(),
        }
    }
}

/// Takes in what a worker said, opens the store in `dir` in this process and verifies it.
pub(crate) fn settle_at(
    engine: &Engine,
    dir: &Path,
    journal: &mut Journal,
    load: Load,
    ended: &Ended,
    crash: Crash,
) -> Result<Report, Failure> {
    ended.tell(load, journal)?;
    if let Some(wrong) = ended.said("reads wrong") {
        return Err(Failure::new(FailureKind::Lost, format!("still open: {wrong}")));
    }
    verify_at(engine, dir, journal, crash)
}

/// Opens the store in `dir`, verifies it and closes it.
pub(crate) fn verify_at(
    engine: &Engine,
    dir: &Path,
    journal: &mut Journal,
    crash: Crash,
) -> Result<Report, Failure> {
    let clock = Arc::new(ManualClock::at(stead_conformance::crash::time_of(journal.next())));
    let unusable = |doing: &str, error| Failure::new(FailureKind::Unusable, format!("{doing}: {error:?}"));
    let store: Arc<dyn Backend> = engine
        .open(dir, &clock)
        .map_err(|error| unusable("opening", error))?;
    let retention = usize::try_from(RETENTION).unwrap_or(usize::MAX);
    let demands = Demands::after(crash).with_retention(retention);
    let report = block_on(verify(&*store, &clock, journal, &demands));
    let closed = block_on(store.close());
    let report = report?;
    closed.map_err(|error| unusable("closing", error))?;
    Ok(report)
}
