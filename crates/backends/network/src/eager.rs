//! Beginning a task in the place where it is wanted.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use parking_lot::Mutex;
use tokio::runtime::Handle;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs `task` up to its first wait on this thread, and the rest on `runtime` once there is something to go on with.
///
/// A task that is spawned takes its turn before it sends anything. Where its caller, the task and the connection wake each
/// other in turn, that is one turn more than the runtime lets them have in one thread: for the next it wakes another one,
/// which costs more than all that the task does.
///
/// What the task does before its first wait keeps the caller; a panic in there is the caller's. The task goes on whatever
/// becomes of the caller afterwards, and is dropped where `runtime` has ended when it could.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
/// let (done, end) = tokio::sync::oneshot::channel();
/// stead_network::begin(runtime.handle(), async move {
///     tokio::task::yield_now().await;
///     done.send(1).unwrap();
/// });
/// assert_eq!(runtime.block_on(end), Ok(1));
/// ```
pub fn begin(runtime: &Handle, task: impl Future<Output = ()> + Send + 'static) {
    let mut task: Task = Box::pin(task);
    let rest = Arc::new(Rest {
        runtime: runtime.clone(),
        state: Mutex::new(State::Begins),
    });
    let waker = Waker::from(Arc::clone(&rest));
    let entered = runtime.enter();
    if task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
        return;
    }
    drop(entered);
    let mut state = rest.state.lock();
    if matches!(*state, State::Begins) {
        *state = State::Waits(task);
    } else {
        drop(state);
        runtime.spawn(task);
    }
}

/// What is left of a task, and the waker that it has until it is spawned.
struct Rest {
    runtime: Handle,
    state: Mutex<State>,
}

enum State {
    Begins,
    Waits(Task),
    /// It can go on, or goes on already.
    Woken,
}

impl Wake for Rest {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let before = std::mem::replace(&mut *self.state.lock(), State::Woken);
        if let State::Waits(task) = before {
            self.runtime.spawn(task);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Poll;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn runs_up_to_its_first_wait_and_then_when_it_is_woken() {
        let (go, gone) = oneshot::channel::<()>();
        let (done, end) = oneshot::channel();
        let begun = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&begun);
        begin(&Handle::current(), async move {
            seen.fetch_add(1, Ordering::SeqCst);
            gone.await.unwrap();
            tokio::task::yield_now().await;
            done.send(seen.fetch_add(1, Ordering::SeqCst)).unwrap();
        });
        assert_eq!(begun.load(Ordering::SeqCst), 1, "before the call returns");
        tokio::task::yield_now().await;
        assert_eq!(begun.load(Ordering::SeqCst), 1, "it waits");
        go.send(()).unwrap();
        assert_eq!(end.await, Ok(1));
    }

    #[tokio::test]
    async fn what_is_woken_while_it_begins_goes_on() {
        let (done, end) = oneshot::channel();
        let mut turns = 0;
        let ends = poll_fn(move |cx| {
            turns += 1;
            if turns == 3 {
                return Poll::Ready(turns);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        begin(&Handle::current(), async move { done.send(ends.await).unwrap() });
        assert_eq!(end.await, Ok(3));
    }

    #[test]
    fn begins_on_a_thread_that_is_none_of_the_runtime() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (done, end) = oneshot::channel();
        begin(runtime.handle(), async move {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            done.send(()).unwrap();
        });
        assert_eq!(runtime.block_on(end), Ok(()));
    }
}
