//! A future that may already be resolved.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::{Error, Result};

/// One pointer wide, so that a reply with an entry is two: small enough to be handed back in registers. What is read
/// from memory in other pieces than it was written in has to be waited for.
type Pending<'a, T> = Box<Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>>;

/// The answer of a store: either here already, or a boxed future.
///
/// An in-process read is answered on the spot and must not pay for a heap allocation, and neither must the layers
/// above it: [`and_then`](Reply::and_then) runs inline on an answer that is here and boxes only for one that is not.
///
/// # Cancellation
///
/// Dropping a pending reply stops waiting. Whether the operation still happens is said by the method that gave the
/// reply; a write that was handed over is not taken back.
///
/// ```
/// use stead_core::Reply;
///
/// let reply = Reply::ready(20).map(|n| n + 1).and_then(|n| Reply::ready(n * 2));
/// assert_eq!(reply.try_take().ok().unwrap().unwrap(), 42);
/// ```
#[must_use = "a reply does nothing until it is awaited"]
pub struct Reply<'a, T>(State<'a, T>);

enum State<'a, T> {
    Ready(T),
    Failed(Error),
    Pending(Pending<'a, T>),
    Taken,
}

impl<'a, T> Reply<'a, T> {
    /// A successful answer that is here already.
    #[inline]
    pub fn ready(value: T) -> Self {
        Reply(State::Ready(value))
    }

    /// A failure that is here already.
    #[inline]
    pub fn fail(error: Error) -> Self {
        Reply(State::Failed(error))
    }

    /// An answer that is still to come.
    pub fn pending(future: impl Future<Output = Result<T>> + Send + 'a) -> Self {
        Reply(State::Pending(Box::new(Box::pin(future))))
    }

    /// Whether the answer is here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.0, State::Ready(_) | State::Failed(_))
    }

    /// The answer if it is here, else the reply itself to await.
    ///
    /// # Errors
    ///
    /// The outer `Err` is the reply that is still pending, not a failure.
    #[inline]
    pub fn try_take(self) -> Result<Result<T>, Self> {
        match self.0 {
            State::Ready(value) => Ok(Ok(value)),
            State::Failed(error) => Ok(Err(error)),
            state => Err(Reply(state)),
        }
    }
}

impl<'a, T: Send + 'a> Reply<'a, T> {
    /// Goes on with `next` once the answer is here: inline if it is already.
    #[inline]
    pub fn and_then<U, F>(self, next: F) -> Reply<'a, U>
    where
        U: Send + 'a,
        F: FnOnce(T) -> Reply<'a, U> + Send + 'a,
    {
        match self.0 {
            State::Ready(value) => next(value),
            State::Failed(error) => Reply::fail(error),
            State::Pending(future) => Reply::pending(async move { next(future.await?).await }),
            State::Taken => Reply(State::Taken),
        }
    }

    /// Changes the value of a successful answer.
    #[inline]
    pub fn map<U, F>(self, change: F) -> Reply<'a, U>
    where
        U: Send + 'a,
        F: FnOnce(T) -> U + Send + 'a,
    {
        match self.0 {
            State::Ready(value) => Reply::ready(change(value)),
            State::Failed(error) => Reply::fail(error),
            State::Pending(future) => Reply::pending(async move { future.await.map(change) }),
            State::Taken => Reply(State::Taken),
        }
    }

    /// Changes the whole result, failure included.
    #[inline]
    pub fn map_result<U, F>(self, change: F) -> Reply<'a, U>
    where
        U: Send + 'a,
        F: FnOnce(Result<T>) -> Result<U> + Send + 'a,
    {
        match self.0 {
            State::Ready(value) => Reply::from(change(Ok(value))),
            State::Failed(error) => Reply::from(change(Err(error))),
            State::Pending(future) => Reply::pending(async move { change(future.await) }),
            State::Taken => Reply(State::Taken),
        }
    }
}

impl<T> From<Result<T>> for Reply<'_, T> {
    #[inline]
    fn from(result: Result<T>) -> Self {
        match result {
            Ok(value) => Reply::ready(value),
            Err(error) => Reply::fail(error),
        }
    }
}

// A ready value is moved out, never pinned in place; a pending one is pinned by its box.
impl<T> Unpin for Reply<'_, T> {}

impl<T> Future for Reply<'_, T> {
    type Output = Result<T>;

    /// # Panics
    ///
    /// When polled again after it was ready, as futures do.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Pending(future) = &mut self.0 {
            let Poll::Ready(result) = future.as_mut().as_mut().poll(cx) else {
                return Poll::Pending;
            };
            self.0 = State::Taken;
            return Poll::Ready(result);
        }
        match std::mem::replace(&mut self.0, State::Taken) {
            State::Ready(value) => Poll::Ready(Ok(value)),
            State::Failed(error) => Poll::Ready(Err(error)),
            State::Pending(_) | State::Taken => panic!("reply polled after it was ready"),
        }
    }
}

impl<T> fmt::Debug for Reply<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Ready(_) => "Reply(ready)",
            State::Failed(_) => "Reply(failed)",
            State::Pending(_) => "Reply(pending)",
            State::Taken => "Reply(taken)",
        })
    }
}
