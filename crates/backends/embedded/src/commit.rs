//! Group commit: judge in order, write once, publish, then tell everybody.

use std::sync::Arc;

use stead_core::{Error, Fingerprint, Outcome, Result, Revision, WriteBatch};
use tokio::sync::oneshot::Sender;

use crate::format::HEADER_KEY;
use crate::group::{Group, Verdict};
use crate::planted::{announce, planted};
use crate::queue::{Waiting, Work};
use crate::shared::{Core, Shared, failed_write};
use crate::sync::{MutexGuard, Ordering};
use crate::trim::SWEEP_LIMIT;
use crate::view::{Held, read_header};
use crate::{Engine, Keyspace};

/// The most batches of one commit.
const GROUP_BATCHES: usize = 4096;
/// About the most bytes of one commit; a single batch may be larger.
const GROUP_BYTES: usize = 8 << 20;

/// The most request ids that one commit forgets for their number. Far more than most commits add; the rest goes with
/// the next ones.
const TRIM_REQUESTS: u64 = 2 * GROUP_BATCHES as u64;

/// Answers that wait for the lock to be released.
enum Answer {
    Batch(Sender<Result<Outcome>>, Result<Outcome>),
    Sync(Sender<Result<()>>, Result<()>),
}

impl Answer {
    fn send(self) {
        // Nobody may be waiting any more; that is theirs to decide.
        match self {
            Answer::Batch(done, result) => drop(done.send(result)),
            Answer::Sync(done, result) => drop(done.send(result)),
        }
    }

    fn fail(self, cause: &Arc<Error>) -> Self {
        match self {
            Answer::Batch(done, Ok(_)) => Answer::Batch(done, Err(failed_write(cause))),
            Answer::Sync(done, Ok(())) => Answer::Sync(done, Err(failed_sync(cause))),
            failed => failed,
        }
    }
}

fn failed_sync(cause: &Arc<Error>) -> Error {
    let error = failed_write(cause);
    Error::unavailable("the sync failed and the store is poisoned; open it anew").because(error)
}

impl<E: Engine> Shared<E> {
    /// Commits a buffered batch on the caller's thread, or `None` where it would have to wait: for an fsync, or for
    /// those who came before.
    pub(crate) fn commit_inline(
        &self,
        batch: &WriteBatch,
        fingerprint: Option<&Fingerprint>,
    ) -> Option<Result<Outcome>> {
        let mut core = self.core.try_lock()?;
        // What waits was handed over earlier. Work is taken from the queue only under this lock, so nothing can be on
        // its way between the two.
        if !self.queue.is_empty() && !planted("queue-overtaken") {
            return None;
        }
        let result = self.open_group(&mut core).and_then(|mut group| {
            if group.header.revision >= group.header.ceiling && !planted("reserve-ignored") {
                return Ok(None);
            }
            let verdict = group.judge(batch, fingerprint)?;
            self.commit(&mut core, group, false)
                .map_err(|cause| failed_write(&cause))?;
            Ok(Some(verdict.into_outcome()))
        });
        drop(core);
        self.signal.notify();
        result.transpose()
    }

    /// Commits what waits in the queue, as far as it fits in one commit. Returns how much it was.
    pub(crate) fn commit_queued(&self) -> usize {
        let early = planted("taken-unlocked").then(|| self.queue.take(GROUP_BATCHES, GROUP_BYTES));
        let mut core = self.core.lock();
        let work = early.unwrap_or_else(|| self.queue.take(GROUP_BATCHES, GROUP_BYTES));
        if work.is_empty() {
            return 0;
        }
        let answers = self.settle(&mut core, work);
        drop(core);
        let answered = answers.len();
        for answer in answers {
            answer.send();
        }
        self.signal.notify();
        answered
    }

    fn settle(&self, core: &mut MutexGuard<'_, Core<E::View>>, work: Vec<Work>) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(work.len());
        let mut group = match self.open_group(core) {
            Ok(group) => group,
            Err(first) => {
                refuse(work, first, || self.open_group(core).err(), &mut answers);
                return answers;
            }
        };
        if work.len() > 1 {
            self.recent.look_ahead(work.iter().flat_map(Work::keys));
        }
        let mut sync = false;
        for piece in work {
            match piece {
                Work::Batch(waiting) => {
                    let (answer, durable) = judge_waiting(&mut group, *waiting, core.dirty);
                    sync |= durable;
                    answers.push(answer);
                }
                Work::Sync(done) => {
                    sync |= core.dirty || !group.is_idle();
                    answers.push(Answer::Sync(done, Ok(())));
                }
            }
        }
        if planted("acknowledged-early") {
            answers.drain(..).for_each(Answer::send);
        }
        match self.commit(core, group, sync) {
            Ok(()) => answers,
            Err(cause) => answers.into_iter().map(|answer| answer.fail(&cause)).collect(),
        }
    }

    /// Begins a commit.
    ///
    /// # Errors
    ///
    /// `Closed`, or `Unavailable` for a poisoned store.
    pub(crate) fn open_group(&self, core: &mut Core<E::View>) -> Result<Group<E::View>> {
        if core.busy {
            core.busy = false;
            self.poison_with(Error::internal("a writer panicked in the middle of a commit"));
        }
        let held = core.held.clone().ok_or_else(Error::closed)?;
        self.check_poison()?;
        let recent = Some(Arc::clone(&self.recent));
        Ok(Group::new(held, self.options.clock.now(), recent))
    }

    /// Writes a group and publishes it. Does nothing for one that writes nothing, unless it is to be synced.
    ///
    /// # Errors
    ///
    /// The failure that poisoned the store.
    pub(crate) fn commit(
        &self,
        core: &mut Core<E::View>,
        mut group: Group<E::View>,
        sync: bool,
    ) -> Result<(), Arc<Error>> {
        self.counters
            .conflicts
            .fetch_add(group.conflicts, Ordering::Relaxed);
        if group.is_idle() && !sync {
            return Ok(());
        }
        announce(self, &group);
        core.busy = true;
        let result = self.write(core, &mut group, sync);
        core.busy = false;
        match result {
            Ok(held) => {
                self.publish(core, group, held, sync);
                Ok(())
            }
            Err(error) => {
                // Whatever comes of it, nobody knows what stands where.
                self.recent.clear();
                Err(self.poison_with(error))
            }
        }
    }

    fn write(&self, core: &Core<E::View>, group: &mut Group<E::View>, sync: bool) -> Result<Held<E::View>> {
        debug_assert!(core.held.is_some(), "an ended store opens no group");
        // A log that cannot be read is no reason to refuse writes: it only stays longer. Checking the store names it.
        let _ = group.trim_changes(self.options.change_retention);
        let _ = group.trim_requests(self.options.request_retention, TRIM_REQUESTS);
        // A revision above the ceiling may be handed out only together with a higher ceiling that lasts.
        let beyond = group.header.revision > group.header.ceiling;
        if sync || beyond {
            let reserve = self.options.revision_reserve;
            group.header.ceiling = Revision::new(group.header.revision.get().saturating_add(reserve));
        }
        group
            .writes
            .put(Keyspace::Meta, HEADER_KEY.to_vec(), group.header.encode());
        let engine = self.engine.read();
        let engine = engine.as_ref().ok_or_else(Error::closed)?;
        let sync = (sync || (beyond && !planted("reserve-ignored"))) && !planted("fsync-skipped");
        let committed = engine.commit(&group.writes, sync);
        if committed.is_err() && planted("write-retried") {
            engine.commit(&group.writes, sync)?;
        } else {
            committed?;
        }
        let view = engine.view()?;
        debug_assert_eq!(
            read_header(&view).ok().flatten(),
            Some(group.header),
            "the view shows the commit"
        );
        Ok(Held {
            view,
            header: group.header,
            _alive: Arc::clone(&self.alive),
        })
    }

    fn publish(&self, core: &mut Core<E::View>, group: Group<E::View>, held: Held<E::View>, sync: bool) {
        let held = Arc::new(held);
        core.held = Some(Arc::clone(&held));
        self.recent.learn(group.learnt);
        core.dirty = !sync && !planted("dirt-forgotten");
        core.unsynced = if sync {
            0
        } else {
            core.unsynced.saturating_add(group.commits)
        };
        self.counters.commits.fetch_add(group.commits, Ordering::Relaxed);
        self.counters.expired.fetch_add(group.expired, Ordering::Relaxed);
        // Readers go by the revision below, so they find nothing in the ring before its entries can be read.
        self.ring.lock().push(group.sets);
        let outdated = {
            let mut current = self.current.write();
            current.revision = held.header.revision;
            current.floor = held.header.floor;
            // While the store is being closed there is none, and there shall be none again.
            current.held.as_mut().map(|view| std::mem::replace(view, held))
        };
        // Ending a view may cost the engine some work, which readers need not wait for.
        drop(outdated);
        let was_dirty = self.dirty.swap(core.dirty, Ordering::Relaxed);
        let too_many = core.unsynced >= self.options.flush_commits;
        if too_many {
            self.flush_wanted.store(true, Ordering::Relaxed);
        }
        if core.dirty && (too_many || !was_dirty) {
            self.queue.nudge();
        }
    }

    /// Makes buffered writes durable.
    pub(crate) fn flush(&self) {
        let mut core = self.core.lock();
        if !core.dirty {
            return;
        }
        // A failure poisons the store, and that is where the next writer learns of it.
        if let Ok(group) = self.open_group(&mut core) {
            let _ = self.commit(&mut core, group, true);
        }
    }

    /// Removes entries that are past their deadline, a bounded number at a time. Returns whether there may be more.
    ///
    /// # Errors
    ///
    /// A failure to read; one to write poisons the store.
    pub(crate) fn sweep(&self) -> Result<bool> {
        if !self.view()?.has_expired(self.options.clock.now())? {
            return Ok(false);
        }
        let mut core = self.core.lock();
        let mut group = self.open_group(&mut core)?;
        let expired = group.held.expired(group.now, SWEEP_LIMIT)?;
        let more = expired.len() >= SWEEP_LIMIT;
        group.expire(expired)?;
        let result = self.commit(&mut core, group, false);
        drop(core);
        self.signal.notify();
        result.map_err(|cause| failed_write(&cause))?;
        Ok(more)
    }

    /// Forgets request ids that are too old.
    ///
    /// # Errors
    ///
    /// A failure to read; one to write poisons the store.
    pub(crate) fn forget_requests(&self) -> Result<()> {
        let held = self.view()?;
        let header = held.header;
        let age = self.options.request_age;
        if header.first_request == header.next_request
            || !held.is_aged_request(header.first_request, self.options.clock.now(), age)?
        {
            return Ok(());
        }
        drop(held);
        let mut core = self.core.lock();
        let mut group = self.open_group(&mut core)?;
        group.trim_aged_requests(age)?;
        self.commit(&mut core, group, false)
            .map_err(|cause| failed_write(&cause))
    }

    /// The last commit, which says that everything was written: the next open goes on right behind it.
    pub(crate) fn commit_clean(&self) -> Result<()> {
        let mut core = self.core.lock();
        let mut group = match self.open_group(&mut core) {
            Ok(group) => group,
            Err(error) => {
                core.held = None;
                return Err(error);
            }
        };
        group.header.ceiling = group.header.revision;
        group
            .writes
            .put(Keyspace::Meta, HEADER_KEY.to_vec(), group.header.encode());
        core.busy = true;
        let engine = self.engine.read();
        let result = match engine.as_ref() {
            Some(engine) => engine.commit(&group.writes, !planted("close-unsynced")),
            None => Err(Error::closed()),
        };
        core.busy = false;
        // Nobody may write after this: what comes finds the store closed.
        core.held = None;
        result.map_err(|error| failed_sync(&self.poison_with(error)))
    }

    /// Hides the store from readers.
    pub(crate) fn hide(&self) {
        let hidden = self.current.write().held.take();
        drop(hidden);
    }
}

fn judge_waiting<V: crate::View>(group: &mut Group<V>, waiting: Waiting, dirty: bool) -> (Answer, bool) {
    let verdict = group.judge(&waiting.batch, waiting.fingerprint.as_ref());
    let sync = waiting.durable
        && match &verdict {
            Ok(Verdict::New(_)) => true,
            // The first of its name may have been buffered, and may be in this very group.
            Ok(Verdict::Known(_)) => (dirty || !group.is_idle()) && !planted("repeat-unsynced"),
            Ok(Verdict::Idle(_)) | Err(_) => false,
        };
    (
        Answer::Batch(waiting.done, verdict.map(Verdict::into_outcome)),
        sync,
    )
}

fn refuse(
    work: Vec<Work>,
    first: Error,
    mut again: impl FnMut() -> Option<Error>,
    answers: &mut Vec<Answer>,
) {
    let mut first = Some(first);
    for piece in work {
        let error = first
            .take()
            .or_else(&mut again)
            .unwrap_or_else(|| Error::internal("a refusal went away while it was given"));
        answers.push(match piece {
            Work::Batch(waiting) => Answer::Batch(waiting.done, Err(error)),
            Work::Sync(done) => Answer::Sync(done, Err(error)),
        });
    }
}
