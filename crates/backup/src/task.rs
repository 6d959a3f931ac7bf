//! Work on other threads, and tasks that end with whoever waits for them.

use std::future::Future;

use stead_core::{Error, ErrorKind, Result};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// A task of the runtime. Ends when it is dropped.
pub(crate) struct Task<T>(JoinHandle<Result<T>>);

impl<T: Send + 'static> Task<T> {
    pub(crate) fn spawn(work: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Task(tokio::spawn(work))
    }

    /// Waits for the result.
    pub(crate) async fn join(mut self) -> Result<T> {
        self.wait().await
    }

    /// Waits for the result, once. Giving up leaves the task.
    pub(crate) async fn wait(&mut self) -> Result<T> {
        (&mut self.0).await.map_err(panicked)?
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs what takes milliseconds, or blocks, on a thread for that; where there is no runtime, on the caller's.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await.map_err(panicked)?,
        Err(_) => work(),
    }
}

/// Below this many bytes, hashing and decompressing takes less than handing the work to another thread and back.
const SMALL_BYTES: usize = 32 << 10;

/// Runs what takes as long as `bytes` are many: at once where they are few, else as [`blocking`].
pub(crate) async fn sized<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if bytes < SMALL_BYTES {
        work()
    } else {
        blocking(work).await
    }
}

fn panicked(cause: tokio::task::JoinError) -> Error {
    Error::new(
        ErrorKind::Internal,
        "a task of the backup was ended by a panic or with its runtime",
    )
    .because(cause)
}
