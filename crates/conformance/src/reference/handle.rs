//! The reference store as a backend.

use std::sync::Arc;

use parking_lot::MutexGuard;
use stead_core::kit::{LogWatcher, admit_keys, admit_scan, admit_watch};
use stead_core::{
    Backend, Capabilities, CheckReport, Clock, Cursor, Entry, Error, Key, KeyRange, Outcome, Partition, Read,
    Reply, Result, Scan, Snapshot, Stats, WatchFrom, WatchSpec, Watcher, WriteBatch,
};

use super::cursor::Paging;
use super::faults::Fault;
use super::snapshot::Frozen;
use super::source::Source;
use super::state::State;
use super::view::{Reader, View};
use super::{Data, Options, batch};

/// A store that is simple enough to be right by reading it: one ordered map behind one lock.
#[derive(Debug)]
pub struct Reference(Arc<Session>);

/// One opening of the data.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) data: Arc<Data>,
    pub(super) options: Options,
    pub(super) clock: Arc<dyn Clock>,
    /// Which opening this is, from 0.
    pub(super) number: usize,
}

impl Session {
    /// The state, while this session is the one under way.
    pub(super) fn state(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.data.state.lock();
        if state.ends.len() > self.number {
            return Err(Error::closed());
        }
        Ok(state)
    }

    pub(super) fn view<'a>(&self, state: &'a State, reader: Reader) -> View<'a> {
        View {
            entries: &state.entries,
            now: self.clock.now(),
            faults: self.options.faults,
            reader,
        }
    }

    fn sweep(&self) -> Result<u64> {
        let swept = self.state()?.sweep(self.clock.now(), &self.options);
        self.data.signal.notify();
        Ok(swept)
    }

    fn get(&self, key: &Key) -> Result<Option<Entry>> {
        let mut state = match self.state() {
            Err(_) if self.options.faults.has(Fault::ErrorBecomesMissing) => return Ok(None),
            state => state?,
        };
        let mut view = self.view(&state, Reader::Get);
        let reads = state.counters.hits + state.counters.misses;
        if self.options.faults.has(Fault::StaleRead) && reads % 4 == 3 {
            view.entries = &state.leftovers.before;
        }
        let entry = view.get(key).cloned();
        match entry {
            Some(_) => state.counters.hits += 1,
            None => state.counters.misses += 1,
        }
        Ok(entry)
    }

    fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>> {
        let state = self.state()?;
        admit_keys(&self.options.capabilities, keys)?;
        let view = self.view(&state, Reader::GetMany);
        let mut entries: Vec<_> = keys.iter().map(|key| view.get(key).cloned()).collect();
        if self.options.faults.has(Fault::GetManyDropsMissing) {
            entries.retain(Option::is_some);
        }
        Ok(entries)
    }

    fn watch(self: &Arc<Self>, spec: &WatchSpec) -> Result<Box<dyn Watcher>> {
        let faults = self.options.faults;
        let published = self.state()?.revision;
        if !faults.has(Fault::UndeclaredAccepted) {
            admit_watch(&self.options.capabilities, spec)?;
        }
        let mut spec = spec.clone();
        if let WatchFrom::After(after) = spec.from {
            let after = match after.get() {
                number if faults.has(Fault::WatchResumesTooEarly) => number.saturating_sub(1),
                number if faults.has(Fault::WatchResumesTooLate) => published.get().min(number + 1),
                number if faults.has(Fault::WatchAheadAccepted) => published.get().min(number),
                number => number,
            };
            spec = spec.after(stead_core::Revision::new(after));
        }
        if faults.has(Fault::WatchIgnoresRange) {
            spec.range = KeyRange::all();
        }
        let source = Arc::new(Source::new(Arc::clone(self)));
        Ok(Box::new(LogWatcher::new(source, &spec)?))
    }

    fn snapshot(self: &Arc<Self>) -> Result<Arc<dyn Snapshot>> {
        let state = self.state()?;
        if !self.options.capabilities.snapshots && !self.options.faults.has(Fault::UndeclaredAccepted) {
            return Err(Error::unsupported(
                "this backend has no snapshots; see its capabilities",
            ));
        }
        Ok(Arc::new(Frozen::new(Arc::clone(self), &state)))
    }
}

impl Reference {
    /// A new, empty store that takes the time from `clock`.
    #[must_use]
    pub fn open(clock: Arc<dyn Clock>, options: Options) -> Self {
        Self::reopen(&Arc::default(), clock, options)
    }

    /// Opens what is in `data`. A store that still has it open is ended, as if its process had been killed.
    #[must_use]
    pub fn reopen(data: &Arc<Data>, clock: Arc<dyn Clock>, options: Options) -> Self {
        let mut state = data.state.lock();
        if state.sessions > state.ends.len() {
            state.end_session();
        }
        let number = state.sessions;
        state.begin_session(&options);
        drop(state);
        data.signal.notify();
        let session = Arc::new(Session {
            data: Arc::clone(data),
            clock,
            number,
            options,
        });
        start_sweeper(&session);
        Reference(session)
    }

    /// What the store keeps.
    #[must_use]
    pub fn data(&self) -> &Arc<Data> {
        &self.0.data
    }

    /// Removes the entries past their deadline in one batch, and says how many those were.
    ///
    /// # Errors
    ///
    /// `Closed` after the store was closed.
    pub fn sweep(&self) -> Result<u64> {
        self.0.sweep()
    }
}

/// A thread that holds the session only while it sweeps, so that dropping the store ends it.
fn start_sweeper(session: &Arc<Session>) {
    let Some(interval) = session.options.sweep_interval else {
        return;
    };
    let session = Arc::downgrade(session);
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(interval);
            let Some(session) = session.upgrade() else { return };
            if session.sweep().is_err() {
                return;
            }
        }
    });
}

impl Read for Reference {
    fn get<'a>(&'a self, key: &'a Key) -> Reply<'a, Option<Entry>> {
        self.0.get(key).map_err(|error| error.during("get")).into()
    }

    fn get_many<'a>(&'a self, keys: &'a [Key]) -> Reply<'a, Vec<Option<Entry>>> {
        if self.0.options.faults.has(Fault::GetManyNotOfOneInstant) {
            return batch::get_one_by_one(self, keys);
        }
        let entries = self.0.get_many(keys);
        entries.map_err(|error| error.during("get_many")).into()
    }

    fn scan<'a>(&'a self, scan: &Scan) -> Result<Box<dyn Cursor + 'a>> {
        drop(self.0.state()?);
        if !self.0.options.faults.has(Fault::UndeclaredAccepted) {
            admit_scan(&self.0.options.capabilities, scan)?;
        }
        let session = Arc::clone(&self.0);
        Ok(Box::new(Paging::new(scan, self.0.options.faults, move |page| {
            let state = session.state()?;
            Ok(page(&session.view(&state, Reader::Scan)))
        })))
    }

    fn partitions<'a>(&'a self, range: &KeyRange, limit: usize) -> Reply<'a, Vec<Partition>> {
        let list = || {
            let state = self.0.state()?;
            Ok(self.0.view(&state, Reader::Scan).partitions(range, limit))
        };
        list().map_err(|error: Error| error.during("partitions")).into()
    }
}

impl Backend for Reference {
    fn capabilities(&self) -> &Capabilities {
        &self.0.options.capabilities
    }

    fn apply(&self, batch: WriteBatch) -> Reply<'_, Outcome> {
        let result = batch::prepare(&self.0, batch);
        match result {
            Ok(batch) => batch::apply(&self.0, batch)
                .map_result(|outcome| outcome.map_err(|error| error.during("apply"))),
            Err(error) => Reply::fail(error.during("apply")),
        }
    }

    fn snapshot(&self) -> Reply<'_, Arc<dyn Snapshot>> {
        self.0.snapshot().map_err(|error| error.during("snapshot")).into()
    }

    fn watch(&self, spec: &WatchSpec) -> Result<Box<dyn Watcher>> {
        self.0.watch(spec).map_err(|error| error.during("watch"))
    }

    fn sync(&self) -> Reply<'_, ()> {
        self.0
            .state()
            .map(drop)
            .map_err(|error| error.during("sync"))
            .into()
    }

    fn stats(&self) -> Reply<'_, Stats> {
        let stats = self.0.state().map(|state| state.stats(&self.0.options));
        stats.map_err(|error| error.during("stats")).into()
    }

    fn check<'a>(&'a self, progress: &'a (dyn Fn(u64) + Send + Sync)) -> Reply<'a, CheckReport> {
        let report = self.0.state().and_then(|state| state.check(progress));
        report.map_err(|error| error.during("check")).into()
    }

    fn close(&self) -> Reply<'_, ()> {
        if let Ok(mut state) = self.0.state() {
            state.end_session();
        }
        self.0.data.signal.notify();
        Reply::ready(())
    }
}
