//! Waiting before a lost race is run again.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use stead_core::{Error, Random, Result};

/// How a manager waits between the attempts of a transaction that loses its races. Injected, so that it fits any
/// runtime and that simulations own the time.
pub trait Sleep: Send + Sync + fmt::Debug {
    /// Resolves after about `duration`.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Waits on any runtime, by one timer thread for the whole process, which starts with the first wait. Good to about a
/// millisecond.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadSleep;

impl Sleep for ThreadSleep {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let ticks = duration.as_nanos().div_ceil(TICK.as_nanos());
        let alarm = Arc::new(Mutex::new(Alarm::default()));
        let wait = Waiting {
            ticks: u32::try_from(ticks).unwrap_or(u32::MAX),
            alarm: Arc::clone(&alarm),
        };
        if timer().is_none_or(|timer| timer.send(wait).is_err()) {
            // Without a thread to wait on, not to wait at all is right, if hasty.
            alarm.lock().rung = true;
        }
        Box::pin(Ring(alarm))
    }
}

const TICK: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Alarm {
    rung: bool,
    waker: Option<Waker>,
}

struct Ring(Arc<Mutex<Alarm>>);

impl Future for Ring {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut alarm = self.0.lock();
        if alarm.rung {
            return Poll::Ready(());
        }
        alarm.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

struct Waiting {
    ticks: u32,
    alarm: Arc<Mutex<Alarm>>,
}

impl Waiting {
    /// One tick less; whether it still waits.
    fn tick(&mut self) -> bool {
        self.ticks = self.ticks.saturating_sub(1);
        if self.ticks > 0 {
            return true;
        }
        let waker = {
            let mut alarm = self.alarm.lock();
            alarm.rung = true;
            alarm.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        false
    }
}

fn timer() -> Option<&'static mpsc::Sender<Waiting>> {
    static TIMER: OnceLock<Option<mpsc::Sender<Waiting>>> = OnceLock::new();
    TIMER
        .get_or_init(|| {
            let (sender, receiver) = mpsc::channel();
            let thread = std::thread::Builder::new().name("stead-backoff".to_owned());
            thread.spawn(move || run(&receiver)).ok().map(|_| sender)
        })
        .as_ref()
}

/// Counts in ticks while anybody waits and blocks while nobody does.
fn run(arrivals: &mpsc::Receiver<Waiting>) {
    let mut waiting = Vec::new();
    loop {
        if waiting.is_empty() {
            match arrivals.recv() {
                Ok(first) => waiting.push(first),
                Err(_) => return,
            }
        }
        std::thread::sleep(TICK);
        waiting.retain_mut(Waiting::tick);
        waiting.extend(arrivals.try_iter());
    }
}

/// The attempts of one operation that may lose races.
pub(crate) struct Attempts<'a> {
    pub(crate) sleep: &'a dyn Sleep,
    pub(crate) random: &'a dyn Random,
    pub(crate) made: u32,
    pub(crate) limit: u32,
}

impl Attempts<'_> {
    /// Waits before the next attempt: exponentially longer at most, jittered all the way down to nothing, so that those
    /// who lost together do not meet again.
    pub(crate) async fn lost(&mut self) -> Result<()> {
        self.made += 1;
        if self.made >= self.limit {
            return Err(Error::conflict(
                "others kept changing the same state until the attempts ran out; try again later",
            )
            .with("attempts", self.made));
        }
        let longest = (250_u64 << self.made.min(8)).min(50_000);
        let micros = self.random.next_u64() % longest;
        if micros < 500 {
            yield_now().await;
        } else {
            self.sleep.sleep(Duration::from_micros(micros)).await;
        }
        Ok(())
    }
}

/// Lets the other tasks of the executor go first.
fn yield_now() -> impl Future<Output = ()> + Send {
    let mut yielded = false;
    std::future::poll_fn(move |cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

#[cfg(test)]
mod tests {
    use stead_core::{ErrorKind, SeededRandom};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn everybody_who_waits_is_woken_and_who_left_disturbs_nobody() {
        let tasks: Vec<_> = (0..50)
            .map(|n| tokio::spawn(ThreadSleep.sleep(Duration::from_millis(n % 5))))
            .collect();
        drop(ThreadSleep.sleep(Duration::from_millis(1)));
        for task in tasks {
            let woken = tokio::time::timeout(Duration::from_secs(10), task).await;
            woken.unwrap().unwrap();
        }
    }

    #[derive(Debug, Default)]
    struct Written(Arc<Mutex<Vec<Duration>>>);

    impl Sleep for Written {
        fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            self.0.lock().push(duration);
            Box::pin(std::future::ready(()))
        }
    }

    /// The waits of an operation that loses `times` times.
    async fn waits(seed: u64, times: u32) -> Vec<Duration> {
        let sleep = Written::default();
        let mut attempts = Attempts {
            sleep: &sleep,
            random: &SeededRandom::new(seed),
            made: 0,
            limit: times + 1,
        };
        for _ in 0..times {
            attempts.lost().await.unwrap();
        }
        assert_eq!(attempts.lost().await.unwrap_err().kind(), ErrorKind::Conflict);
        let waits = sleep.0.lock();
        waits.clone()
    }

    #[tokio::test]
    async fn waits_grow_with_jitter_up_to_a_bound_and_end() {
        for seed in 0..50 {
            let early = waits(seed, 3).await;
            assert!(
                early.iter().all(|wait| *wait < Duration::from_millis(2)),
                "{early:?}"
            );
        }
        let late = waits(1, 300).await;
        assert!(late.iter().all(|wait| *wait < Duration::from_millis(50)));
        assert!(late[100..200].iter().sum::<Duration>() > Duration::from_millis(100 * 15));
        assert!(late.windows(2).any(|two| two[0] > two[1]), "no jitter");
    }
}
