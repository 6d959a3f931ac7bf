//! redb over a disk in memory, in this process.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use futures_executor::block_on;
use stead_conformance::crash::{Work, run, time_of};
use stead_core::{Backend, ManualClock, Timestamp};
use stead_embedded::Embedded;
use stead_redb::{RedbConfig, RedbEngine};

use super::memory::Memory;
use super::recording::{Opened, Recording, Reopening, Source};
use super::tree::Tree;
use crate::engines::options;

/// redb over a disk in memory.
pub(crate) struct RedbInMemory;

impl RedbInMemory {
    fn open_over(memory: &Memory, clock: &Arc<ManualClock>) -> Result<Arc<Embedded<RedbEngine>>> {
        let config = RedbConfig::new("memory").with_cache_bytes(4 << 20);
        let engine = RedbEngine::with_storage(&config, || Ok(memory.clone()))?;
        Ok(Embedded::open(engine, options(clock))?)
    }
}

impl Source for RedbInMemory {
    fn name(&self) -> &'static str {
        "redb in memory"
    }

    fn base(&self) -> Tree {
        Memory::empty()
    }

    fn record(&self, work: &Work) -> Result<Recording> {
        let base = self.base();
        let memory = Memory::holding(&base);
        let clock = Arc::new(ManualClock::at(time_of(work.from)));
        let store = Self::open_over(&memory, &clock)?;
        // That a store is made in the midst of a failure is for the directory to get right, and recorded with it.
        let first = memory.log().ops.len();
        block_on(run(&*store, &clock, work, &mut |event| {
            memory.say(&event);
        }))
        .context("a store without a fault failed")?;
        block_on(store.close())?;
        Ok(Recording {
            work: *work,
            base,
            log: memory.log(),
            first,
        })
    }

    fn open(&self, image: &Tree, clock: &Arc<ManualClock>) -> Result<Opened> {
        let store = Self::open_over(&Memory::holding(image), clock)?;
        Ok(Opened { store, _place: None })
    }

    fn record_reopening(&self, image: &Tree, now: Timestamp) -> Result<Reopening> {
        let memory = Memory::holding(image);
        let store = Self::open_over(&memory, &Arc::new(ManualClock::at(now)))?;
        block_on(store.close())?;
        Ok(Reopening {
            base: image.clone(),
            log: memory.log(),
        })
    }
}
