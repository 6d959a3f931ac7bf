//! Waiting for a server where a method cannot be asynchronous.

use std::future::Future;
use std::time::Duration;

use stead_core::{Error, Result};
use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs `question` on a thread and a runtime of its own and waits for the answer, at most for `limit`.
///
/// [`Backend::watch`](stead_core::Backend::watch) answers at once and yet has to know where the log ends. It must not wait
/// on the caller's runtime, which may be the one that moves the store's connections; so the question makes a
/// connection of its own. The caller's thread is blocked meanwhile; a multi-threaded runtime is told, so that its other
/// tasks go on.
///
/// # Errors
///
/// That of the question; `Unavailable` when the time is up or the system gives no thread.
pub fn ask<T: Send, F: Future<Output = Result<T>>>(
    limit: Duration,
    question: impl FnOnce() -> F + Send,
) -> Result<T> {
    let wait = || {
        std::thread::scope(|scope| {
            let answer = std::thread::Builder::new()
                .name("stead-ask".into())
                .spawn_scoped(scope, || on_own_runtime(limit, question))
                .map_err(no_thread)?;
            answer
                .join()
                .unwrap_or_else(|_| Err(Error::internal("the question to the server panicked")))
        })
    };
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
        _ => wait(),
    }
}

fn on_own_runtime<T, F: Future<Output = Result<T>>>(
    limit: Duration,
    question: impl FnOnce() -> F,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(no_thread)?;
    runtime.block_on(async {
        tokio::time::timeout(limit, question()).await.unwrap_or_else(|_| {
            Err(
                Error::unavailable("the server did not answer in time; raise the option timeout")
                    .with("timeout_ms", limit.as_millis()),
            )
        })
    })
}

fn no_thread(error: std::io::Error) -> Error {
    Error::unavailable("the system gives no thread to ask the server from").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn seven() -> Result<u32> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(7)
    }

    #[test]
    fn answers_outside_any_runtime() {
        assert_eq!(ask(Duration::from_secs(60), seven).unwrap(), 7);
    }

    #[tokio::test]
    async fn answers_on_a_runtime_of_one_thread() {
        assert_eq!(ask(Duration::from_secs(60), seven).unwrap(), 7);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn answers_on_a_runtime_of_many_threads() {
        assert_eq!(ask(Duration::from_secs(60), seven).unwrap(), 7);
    }

    #[test]
    fn gives_up_in_time() {
        let never = || std::future::pending::<Result<()>>();
        let error = ask(Duration::from_millis(1), never).unwrap_err();
        assert_eq!(error.kind(), stead_core::ErrorKind::Unavailable);
    }
}
