//! Repeating what failed, as far as that is safe.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use stead_core::{Error, ErrorKind, Random, Result};
use tokio::time::{Instant, sleep};

/// How far a failed attempt got.
#[derive(Debug)]
pub enum Failure {
    /// It is certain that the server did not do what it was asked: nothing was sent, or it answered that it can't now.
    NotDone(Error),
    /// Something was sent and no answer came: it may have been done.
    Unanswered(Error),
    /// The server answered, and will answer the same again.
    Final(Error),
}

/// What may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// A read: it changes nothing, and its failure is never an unknown outcome.
    Read,
    /// A write that can be told from a second one: it carries a request id, or does the same when done twice.
    SafeWrite,
    /// A write that would happen twice. Repeated only while it is certain that it did not happen.
    Write,
}

/// Attempts until a deadline, with exponential backoff and full jitter (Brooker, "Exponential Backoff And Jitter", 2015):
/// the n-th wait is anywhere between zero and twice the longest of the one before, at most a second.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use stead_core::{Error, SeededRandom};
/// use stead_network::{Failure, Repeat, Retry};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let retry = Retry::new(Duration::from_secs(5), Arc::new(SeededRandom::new(1)));
/// let attempts = std::cell::Cell::new(0);
/// let answer = retry
///     .run(Repeat::Read, async || {
///         attempts.set(attempts.get() + 1);
///         if attempts.get() < 3 {
///             return Err(Failure::Unanswered(Error::unavailable("the server hung up")));
///         }
///         Ok(42)
///     })
///     .await;
/// assert_eq!((answer.unwrap(), attempts.get()), (42, 3));
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Retry {
    deadline: Duration,
    random: Arc<dyn Random>,
}

/// The longest first wait. A connection on one machine is made anew in about this time.
const FIRST: Duration = Duration::from_millis(5);
/// The longest wait of all.
const LONGEST: Duration = Duration::from_secs(1);

impl Retry {
    /// Attempts until `deadline` from the first one on. An attempt under way then is not cut short.
    #[must_use]
    pub fn new(deadline: Duration, random: Arc<dyn Random>) -> Self {
        Retry { deadline, random }
    }

    /// Runs `attempt` until it succeeds, fails for good, or must not be repeated.
    ///
    /// # Errors
    ///
    /// - that of [`Failure::Final`], as it is;
    /// - `UnknownOutcome`, with the last failure as its cause, for a write of which any attempt was
    ///   [`Failure::Unanswered`];
    /// - else that of the last attempt.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends the attempts. One that was sent may still be done.
    pub async fn run<T, F>(&self, repeat: Repeat, mut attempt: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let start = now();
        let mut may_be_done = false;
        let mut longest = FIRST;
        loop {
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(Failure::Final(error)) if may_be_done && repeat == Repeat::SafeWrite => {
                    // The server does not take it now, but may have taken it before.
                    return Err(unknown(error));
                }
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::NotDone(error)) => error,
                Err(Failure::Unanswered(error)) => {
                    may_be_done |= repeat != Repeat::Read;
                    error
                }
            };
            let repeatable = !may_be_done || repeat == Repeat::SafeWrite;
            let wait = self.jitter(longest);
            if !repeatable || now().duration_since(start) + wait >= self.deadline {
                return Err(if may_be_done { unknown(error) } else { error });
            }
            sleep(wait).await;
            longest = (longest * 2).min(LONGEST);
        }
    }

    /// The wait before the attempt that follows `failures` failed ones: for loops that go on for as long as their store.
    #[must_use]
    pub fn pause(&self, failures: u32) -> Duration {
        let longest = FIRST.saturating_mul(1 << failures.min(16));
        self.jitter(longest.min(LONGEST))
    }

    fn jitter(&self, longest: Duration) -> Duration {
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX).max(1);
        Duration::from_micros(self.random.next_u64() % (micros + 1))
    }
}

/// A refusal of what may have happened before says nothing about that, but `Conflict` on a request id and `Closed` stay what
/// they are.
fn unknown(error: Error) -> Error {
    if error.kind() == ErrorKind::UnknownOutcome {
        return error;
    }
    Error::unknown_outcome(
        "the server did not answer; the write may or may not have happened. Use a request id to retry safely",
    )
    .because(error)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the runtime's own clock, which bounds waits and decides no deadline of an entry"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use stead_core::SeededRandom;

    use super::*;

    fn retry(deadline_ms: u64) -> Retry {
        Retry::new(Duration::from_millis(deadline_ms), Arc::new(SeededRandom::new(7)))
    }

    fn away() -> Error {
        Error::unavailable("away")
    }

    /// Runs attempts that fail as told, the last one for ever, and tells how it ended after how many.
    async fn ended(repeat: Repeat, failures: Vec<fn(Error) -> Failure>) -> (Result<()>, usize) {
        let attempts = Cell::new(0_usize);
        let result = retry(60_000)
            .run(repeat, async || {
                let now = attempts.get();
                attempts.set(now + 1);
                match failures.get(now) {
                    Some(failure) => Err(failure(away())),
                    None => Ok(()),
                }
            })
            .await;
        (result, attempts.get())
    }

    #[tokio::test(start_paused = true)]
    async fn reads_are_repeated_whatever_happened() {
        let failures: Vec<fn(Error) -> Failure> =
            vec![Failure::Unanswered, Failure::NotDone, Failure::Unanswered];
        let (result, attempts) = ended(Repeat::Read, failures).await;
        assert!(result.is_ok());
        assert_eq!(attempts, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn write_without_an_id_is_not_repeated_once_it_was_sent() {
        let failures: Vec<fn(Error) -> Failure> =
            vec![Failure::NotDone, Failure::NotDone, Failure::Unanswered];
        let (result, attempts) = ended(Repeat::Write, failures).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::UnknownOutcome);
        assert_eq!(attempts, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn write_with_an_id_is_repeated_and_stays_unknown_to_the_end() {
        let (result, attempts) = ended(Repeat::SafeWrite, vec![Failure::Unanswered, Failure::NotDone]).await;
        assert!(result.is_ok());
        assert_eq!(attempts, 3);
        let (result, _) = ended(Repeat::SafeWrite, vec![Failure::Unanswered, Failure::Final]).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::UnknownOutcome);
    }

    #[tokio::test(start_paused = true)]
    async fn deadline_ends_the_attempts() {
        let attempts = Cell::new(0);
        let result: Result<()> = retry(3_000)
            .run(Repeat::Write, async || {
                attempts.set(attempts.get() + 1);
                Err(Failure::NotDone(away()))
            })
            .await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Unavailable);
        assert!(attempts.get() > 5, "{}", attempts.get());
        let none: Result<()> = retry(0)
            .run(Repeat::Read, async || Err(Failure::Unanswered(away())))
            .await;
        assert_eq!(none.unwrap_err().kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn pauses_grow_and_stay_within_a_second() {
        let retry = retry(0);
        for failures in 0..100 {
            assert!(retry.pause(failures) <= LONGEST);
        }
        let most = |failures| (0..200).map(|_| retry.pause(failures)).max().unwrap();
        assert!(most(0) <= FIRST && most(6) > FIRST);
    }
}
