//! The one thread of a store: it commits what waits, and looks after the store.

use std::sync::Arc;
use std::time::Duration;

use stead_core::{Error, Result, Timestamp};

use crate::queue::Work;
use crate::shared::Shared;
use crate::sync::Ordering;
use crate::sync::thread::{self, JoinHandle};
use crate::{EmbeddedOptions, Engine};

/// How long the close waits for reads under way, and how often it looks.
const READS_WAIT: Duration = Duration::from_secs(5);
const READS_LOOK: Duration = Duration::from_millis(1);

/// The most queued commits between two flushes: what is left to go by when the clock stands still and no wait runs its
/// full time.
const COMMITS_PER_FLUSH: u32 = 64;

/// The most queued commits in a row before the store is looked after: where writes never cease to wait, what is past its
/// deadline and what is too old would otherwise stay for ever.
const COMMITS_PER_ROUND: u32 = 1024;

pub(crate) fn spawn<E: Engine>(shared: &Arc<Shared<E>>) -> Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    thread::Builder::new()
        .name("stead-commit".to_owned())
        .spawn(move || {
            let end = End(&shared);
            run(&shared);
            drop(end);
        })
        .map_err(|error| Error::unavailable("cannot start the store's thread").because(error))
}

fn run<E: Engine>(shared: &Shared<E>) {
    let mut pace = Pace::new(&shared.options);
    loop {
        let at_most = pace.wait(shared.dirty.load(Ordering::Relaxed));
        let woken = shared.queue.wait(at_most);
        if woken.timed_out {
            pace.waited(at_most);
        }
        // Nothing comes in any more while the store is being closed, and nothing may stay in the queue then.
        let mut left = COMMITS_PER_ROUND;
        while left > 0 || woken.closing {
            let answered = shared.commit_queued();
            if answered == 0 {
                break;
            }
            pace.commits += 1;
            left = left.saturating_sub(1);
            shared.queue.gather(answered);
        }
        if woken.closing {
            return;
        }
        if shared.poison.get().is_none() {
            look_after(shared, &mut pace);
        } else {
            // Nothing can be looked after any more, and nothing shall seem due.
            pace.restart(shared.options.clock.now());
        }
    }
}

fn look_after<E: Engine>(shared: &Shared<E>, pace: &mut Pace) {
    let now = shared.options.clock.now();
    if shared.sweep_wanted.load(Ordering::Relaxed) || pace.sweep.is_due(now) {
        pace.sweep.restart(now);
        // Cleared before the sweep, so that a read that meets something after it asks again.
        shared.sweep_wanted.store(false, Ordering::Relaxed);
        // What cannot be read stays until the store is checked; a failed write has poisoned the store.
        while shared.sweep().unwrap_or(false) && shared.queue.is_empty() {}
        let _ = shared.forget_requests();
    }
    let wanted = shared.flush_wanted.swap(false, Ordering::Relaxed);
    let dirty = shared.dirty.load(Ordering::Relaxed);
    if !dirty || !(wanted || pace.was_dirty) {
        pace.commits = 0;
        pace.flush.restart(now);
    } else if wanted || pace.commits >= COMMITS_PER_FLUSH || pace.flush.is_due(now) {
        pace.commits = 0;
        shared.flush();
        pace.flush.restart(shared.options.clock.now());
    }
    pace.was_dirty = dirty;
}

/// When to do what, by the time that the thread waited and by the store's clock: the first serves while the clock stands
/// still, the second while there is so much to do that no wait runs its full time.
struct Pace {
    sweep: Every,
    flush: Every,
    was_dirty: bool,
    /// Commits since the last flush.
    commits: u32,
}

struct Every {
    interval: Duration,
    last: Timestamp,
    waited: Duration,
}

impl Every {
    fn new(interval: Duration, now: Timestamp) -> Self {
        Every {
            interval,
            last: now,
            waited: Duration::ZERO,
        }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.waited >= self.interval || self.last.until(now) >= self.interval || now < self.last
    }

    fn restart(&mut self, now: Timestamp) {
        self.last = now;
        self.waited = Duration::ZERO;
    }

    /// How long until it is due, as far as waiting goes.
    fn left(&self) -> Duration {
        self.interval
            .saturating_sub(self.waited)
            .max(Duration::from_millis(1))
    }
}

impl Pace {
    fn new(options: &EmbeddedOptions) -> Self {
        let now = options.clock.now();
        Pace {
            sweep: Every::new(options.sweep_interval, now),
            flush: Every::new(options.flush_interval, now),
            was_dirty: false,
            commits: 0,
        }
    }

    fn wait(&self, dirty: bool) -> Duration {
        if dirty {
            self.flush.left().min(self.sweep.left())
        } else {
            self.sweep.left()
        }
    }

    fn restart(&mut self, now: Timestamp) {
        self.sweep.restart(now);
        self.flush.restart(now);
    }

    fn waited(&mut self, time: Duration) {
        self.sweep.waited += time;
        self.flush.waited += time;
    }
}

/// Ends the store when the thread does, however it does.
struct End<'a, E: Engine>(&'a Shared<E>);

impl<E: Engine> Drop for End<'_, E> {
    fn drop(&mut self) {
        let result = if thread::panicking() {
            self.0.poison_with(Error::internal("the store's thread panicked"));
            self.0.check_poison()
        } else {
            self.0.commit_clean()
        };
        self.0.end(result);
    }
}

impl<E: Engine> Shared<E> {
    /// Lets go of the views and the engine, and tells everybody who waits.
    pub(crate) fn end(&self, result: Result<()>) {
        let work = self.queue.clear();
        self.hide();
        self.core.lock().held = None;
        self.revoke_snapshots();
        self.wait_for_reads();
        let engine = self.engine.write().take();
        let released = engine.map_or(Ok(()), Engine::close);
        // Only now: a close that finds the queue ended takes it that the path is free.
        let closers = self.queue.end();
        self.ended.store(true, Ordering::SeqCst);
        self.signal.notify();
        for piece in work {
            refuse(piece);
        }
        let result = result.and(released);
        let mut first = Some(result);
        for closer in closers {
            // The first who asked learns how it went; for the others the store is closed.
            let _ = closer.send(first.take().unwrap_or(Ok(())));
        }
    }

    /// Waits until nobody reads, but not for ever: a view that is alive longer than this meets a closed engine.
    fn wait_for_reads(&self) {
        let mut waited = Duration::ZERO;
        while Arc::strong_count(&self.alive) > 1 && waited < READS_WAIT {
            thread::sleep(READS_LOOK);
            waited += READS_LOOK;
        }
    }
}

/// Only after a panic is anything left to refuse: nothing is taken in once the store is being closed.
fn refuse(piece: Work) {
    let error = || Error::unavailable("the store's thread ended before it came to this; open the store anew");
    match piece {
        Work::Batch(waiting) => drop(waiting.done.send(Err(error()))),
        Work::Sync(done) => drop(done.send(Err(error()))),
    }
}
