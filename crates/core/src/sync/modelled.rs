//! parking_lot's names over shuttle's locks.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{LockResult, PoisonError, TryLockError};
use std::time::Duration;

pub use shuttle::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use shuttle::sync::{self as inner};

/// Shuttle ends an execution with its first panic, so what a panic leaves behind is never locked in earnest.
fn heal<T>(result: LockResult<T>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

/// A mutex without poison.
#[derive(Default)]
pub struct Mutex<T>(inner::Mutex<T>);

/// Holds a [`Mutex`].
pub struct MutexGuard<'a, T>(Option<inner::MutexGuard<'a, T>>, &'a inner::Mutex<T>);

impl<T> Mutex<T> {
    /// A mutex around `value`.
    pub fn new(value: T) -> Self {
        Mutex(inner::Mutex::new(value))
    }

    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(heal(self.0.lock())), &self.0)
    }

    /// The lock, if nobody has it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(MutexGuard(Some(guard), &self.0)),
            Err(TryLockError::Poisoned(error)) => Some(MutexGuard(Some(error.into_inner()), &self.0)),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// What is inside, of a mutex that nobody else sees.
    pub fn get_mut(&mut self) -> &mut T {
        heal(self.0.get_mut())
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

impl<T> MutexGuard<'_, T> {
    /// Lets others have the lock while `work` runs.
    pub fn unlocked<R>(this: &mut Self, work: impl FnOnce() -> R) -> R {
        this.0 = None;
        let result = work();
        this.0 = Some(heal(this.1.lock()));
        result
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("held but within a wait")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("held but within a wait")
    }
}

/// A lock for many readers or one writer, without poison.
#[derive(Default)]
pub struct RwLock<T>(inner::RwLock<T>);

impl<T> RwLock<T> {
    /// A lock around `value`.
    pub fn new(value: T) -> Self {
        RwLock(inner::RwLock::new(value))
    }

    /// Waits until nobody writes.
    pub fn read(&self) -> inner::RwLockReadGuard<'_, T> {
        heal(self.0.read())
    }

    /// Waits until nobody reads or writes.
    pub fn write(&self) -> inner::RwLockWriteGuard<'_, T> {
        heal(self.0.write())
    }
}

/// A condition variable that takes guards by reference.
#[derive(Debug, Default)]
pub struct Condvar(inner::Condvar);

/// How a wait with a time limit ended.
#[derive(Clone, Copy, Debug)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the time was up.
    pub fn timed_out(self) -> bool {
        self.0
    }
}

/// A limit from here on never runs out: a wake-up that got lost is then a deadlock, and found.
const FOR_EVER: Duration = Duration::from_secs(60);

impl Condvar {
    /// A condition variable that nobody waits for.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until notified.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        if let Some(held) = guard.0.take() {
            guard.0 = Some(heal(self.0.wait(held)));
        }
    }

    /// Waits until notified, or not: there is no time here, so one wait in two of those with a limit below a minute is
    /// up at once, after the others had their turn.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, at_most: Duration) -> WaitTimeoutResult {
        use shuttle::rand::{RngCore as _, thread_rng};
        let up = at_most < FOR_EVER && thread_rng().next_u32().is_multiple_of(2);
        if up {
            MutexGuard::unlocked(guard, shuttle::thread::yield_now);
        } else {
            self.wait(guard);
        }
        WaitTimeoutResult(up)
    }

    /// Wakes one who waits.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// Threads that shuttle schedules.
pub mod thread {
    use std::time::Duration;

    pub use shuttle::thread::{Builder, JoinHandle, current, spawn, yield_now};
    pub use std::thread::panicking;

    /// Lets the others have their turn.
    pub fn sleep(_time: Duration) {
        shuttle::thread::yield_now();
    }
}
