//! What the handle, the committer thread, the snapshots and the watchers share.

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use stead_core::kit::Signal;
use stead_core::{Capabilities, Error, ErrorKind, Result, Revision};

use crate::counters::Counters;
use crate::format::Header;
use crate::log::Ring;
use crate::planted::planted;
use crate::queue::Queue;
use crate::recent::Recent;
use crate::snapshot::Cell;
use crate::sync::{AtomicBool, Mutex, Ordering, RwLock};
use crate::view::Held;
use crate::{EmbeddedOptions, Engine};

/// The write side of a store. Whoever holds its lock is the one writer.
pub(crate) struct Core<V> {
    /// The newest view, or `None` once the store has ended.
    pub(crate) held: Option<Arc<Held<V>>>,
    /// Something was committed that is not durable yet.
    pub(crate) dirty: bool,
    /// Commits since the last durable one.
    pub(crate) unsynced: u64,
    /// A commit is under way. Found set by the next writer only if the last one panicked.
    pub(crate) busy: bool,
}

/// The read side of a store.
pub(crate) struct Current<V> {
    /// The newest view, or `None` once the store is being closed.
    pub(crate) held: Option<Arc<Held<V>>>,
    pub(crate) revision: Revision,
    pub(crate) floor: Revision,
}

pub(crate) struct Shared<E: Engine> {
    pub(crate) options: EmbeddedOptions,
    pub(crate) capabilities: Capabilities,
    pub(crate) lineage: u128,
    pub(crate) engine: RwLock<Option<E>>,
    pub(crate) core: Mutex<Core<E::View>>,
    /// What stands under the keys that were written lately, as of [`Core::held`].
    pub(crate) recent: Arc<Recent>,
    pub(crate) current: RwLock<Current<E::View>>,
    pub(crate) queue: Queue,
    pub(crate) ring: Mutex<Ring>,
    pub(crate) signal: Signal,
    pub(crate) counters: Counters,
    /// Set once, by the first failed write.
    pub(crate) poison: OnceLock<Arc<Error>>,
    /// One more owner than there are views.
    pub(crate) alive: Arc<()>,
    pub(crate) snapshots: Mutex<Vec<Weak<Cell<E::View>>>>,
    /// [`Core::dirty`] for those who do not hold the lock.
    pub(crate) dirty: AtomicBool,
    /// A read met an entry past its deadline.
    pub(crate) sweep_wanted: AtomicBool,
    /// There are as many buffered commits as may wait to be durable.
    pub(crate) flush_wanted: AtomicBool,
    /// No more commits will be published.
    pub(crate) ended: AtomicBool,
}

impl<E: Engine> Shared<E> {
    pub(crate) fn new(engine: E, held: Held<E::View>, alive: Arc<()>, options: EmbeddedOptions) -> Self {
        let (buffered, durable) = engine.strengths();
        let writable = !options.read_only;
        let capabilities = Capabilities {
            buffered,
            durable,
            default_durability: options.durability,
            persistent: true,
            writable,
            request_ids: writable,
            limits: options.limits,
            ..Capabilities::volatile(engine.name())
        };
        let held = Arc::new(held);
        let Header {
            lineage,
            revision,
            floor,
            ..
        } = held.header;
        Shared {
            capabilities,
            lineage,
            engine: RwLock::new(Some(engine)),
            core: Mutex::new(Core {
                held: Some(Arc::clone(&held)),
                dirty: false,
                unsynced: 0,
                busy: false,
            }),
            recent: Arc::new(Recent::new(options.recent_bytes, options.random.next_u128())),
            current: RwLock::new(Current {
                held: Some(held),
                revision,
                floor,
            }),
            queue: Queue::new(options.queue_batches, options.queue_bytes),
            ring: Mutex::new(Ring::new(revision)),
            signal: Signal::default(),
            counters: Counters::default(),
            poison: OnceLock::new(),
            alive,
            snapshots: Mutex::default(),
            dirty: AtomicBool::new(false),
            sweep_wanted: AtomicBool::new(false),
            flush_wanted: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            options,
        }
    }

    /// The newest view.
    #[inline]
    pub(crate) fn view(&self) -> Result<Arc<Held<E::View>>> {
        self.current.read().held.clone().ok_or_else(Error::closed)
    }

    /// Asks the committer to sweep, because a read met what it should remove.
    #[cold]
    pub(crate) fn want_sweep(&self) {
        if !self.options.read_only && !self.sweep_wanted.swap(true, Ordering::Relaxed) {
            self.queue.nudge();
        }
    }

    /// Refuses writes after a failed one.
    pub(crate) fn check_poison(&self) -> Result<()> {
        match self.poison.get().filter(|_| !planted("poison-forgotten")) {
            None => Ok(()),
            Some(cause) => Err(Error::unavailable(
                "the store was poisoned by a failed write and takes no more; open it anew",
            )
            .with("cause", cause)
            .because(Cause(Arc::clone(cause)))),
        }
    }

    /// Remembers the first failure and gives it back.
    pub(crate) fn poison_with(&self, error: Error) -> Arc<Error> {
        let _ = self.poison.set(Arc::new(error));
        self.poison.get().map_or_else(
            || Arc::new(Error::internal("the store is poisoned without a cause")),
            Arc::clone,
        )
    }
}

/// What a batch of a commit that failed with `cause` is told.
pub(crate) fn failed_write(cause: &Arc<Error>) -> Error {
    let error = if cause.kind() == ErrorKind::Full {
        Error::full(
            "there is no room left and nothing of this was written; make room and open the store anew",
        )
    } else {
        Error::unknown_outcome("the write failed and may or may not have happened; open the store anew")
    };
    error.because(Cause(Arc::clone(cause)))
}

/// One failure as the source of many errors.
#[derive(Debug)]
struct Cause(Arc<Error>);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}
