//! Work that comes round at an interval.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A task that does its round at an interval, until it is stopped or dropped.
///
/// ```
/// use std::time::Duration;
/// use stead_network::Background;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let (sender, mut rounds) = tokio::sync::mpsc::unbounded_channel();
/// let task = Background::every(Duration::from_millis(1), move || {
///     let sender = sender.clone();
///     async move { drop(sender.send(())) }
/// });
/// rounds.recv().await.unwrap();
/// task.stop().await;
/// # });
/// ```
#[derive(Debug)]
pub struct Background {
    stopped: watch::Sender<bool>,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Background {
    /// Does `round` after each `interval` on the current runtime. A round that takes long delays the next one.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn every<F>(interval: Duration, mut round: impl FnMut() -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stopped, mut stop) = watch::channel(false);
        let task = Handle::current().spawn(async move {
            // The sender is gone or says so: either way the store has ended.
            while timeout(interval, stop.wait_for(|stopped| *stopped))
                .await
                .is_err()
            {
                round().await;
            }
        });
        Background {
            stopped,
            task: tokio::sync::Mutex::new(Some(task)),
        }
    }

    /// Lets the round under way end, and starts no other. Later calls wait for the same end.
    pub async fn stop(&self) {
        self.stopped.send_replace(true);
        if let Some(task) = self.task.lock().await.take() {
            // A round that panicked has ended as well.
            drop(task.await);
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().take() {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rounds_end_with_the_stop() {
        let rounds = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&rounds);
        let task = Background::every(Duration::from_millis(10), move || {
            let counted = Arc::clone(&counted);
            async move {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        tokio::time::sleep(Duration::from_millis(55)).await;
        task.stop().await;
        task.stop().await;
        assert_eq!(rounds.load(Ordering::SeqCst), 5);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(rounds.load(Ordering::SeqCst), 5);
    }
}
