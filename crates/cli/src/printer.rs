//! The thread that writes to stdout. A reader that does not read, such as a pager, blocks this thread and nobody else.

use std::future::Future;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::exit::{Failure, Result};
use crate::interrupt::Interrupt;

/// Pieces that wait to be written; who has more waits for room.
const WAITING: usize = 256;
/// A reader who takes nothing for so long after Ctrl-C is not waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// Writes pieces in their order, and flushes whenever none is waiting.
pub(crate) struct Printer {
    jobs: mpsc::Sender<Job>,
    thread: Option<JoinHandle<io::Result<()>>>,
    pieces: Arc<Pieces>,
}

enum Job {
    Write(Vec<u8>),
    /// Says so once everything before it is written.
    Barrier(oneshot::Sender<()>),
}

/// How far it is.
#[derive(Default)]
struct Pieces {
    given: AtomicU64,
    written: AtomicU64,
}

impl Printer {
    pub(crate) fn start() -> Result<Self> {
        let (jobs, waiting) = mpsc::channel(WAITING);
        let pieces = Arc::<Pieces>::default();
        let written = Arc::clone(&pieces);
        let thread = std::thread::Builder::new()
            .name("stead-printer".to_owned())
            .spawn(move || write_all(waiting, &written, io::stdout().lock()))
            .map_err(|cause| {
                stead::Error::unavailable("the system gives no thread to print with").because(cause)
            })?;
        Ok(Printer {
            jobs,
            thread: Some(thread),
            pieces,
        })
    }

    /// Gives what is in `piece` away and leaves it empty, once there is room. Where this is dropped before, `piece` is as
    /// it was.
    pub(crate) async fn print(&mut self, piece: &mut Vec<u8>) -> Result<()> {
        self.pieces.given.fetch_add(1, Ordering::Relaxed);
        if let Ok(room) = self.jobs.reserve().await {
            room.send(Job::Write(std::mem::take(piece)));
            return Ok(());
        }
        Err(self.failure())
    }

    /// Waits until everything is written.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        let (reached, here) = oneshot::channel();
        let sent = self.jobs.send(Job::Barrier(reached)).await;
        if sent.is_err() || here.await.is_err() {
            return Err(self.failure());
        }
        Ok(())
    }

    /// Pieces that were written.
    pub(crate) fn written(&self) -> u64 {
        self.pieces.written.load(Ordering::Relaxed)
    }

    /// Resolves once the user wants the command to end and nobody takes what there is to be written.
    pub(crate) fn stuck(&self, interrupt: &Interrupt) -> impl Future<Output = ()> + use<> {
        let (pieces, interrupt) = (Arc::clone(&self.pieces), interrupt.clone());
        async move {
            interrupt.raised().await;
            loop {
                let before = pieces.written.load(Ordering::Relaxed);
                tokio::time::sleep(PATIENCE).await;
                let written = pieces.written.load(Ordering::Relaxed);
                if written == before && pieces.given.load(Ordering::Relaxed) > written {
                    return;
                }
            }
        }
    }

    /// Why the thread has ended, which it does at the first failure.
    fn failure(&mut self) -> Failure {
        let ended = self.thread.take().map(JoinHandle::join);
        let cause = match ended {
            Some(Ok(Err(cause))) => cause,
            // It was told before.
            None | Some(Ok(Ok(()))) => io::ErrorKind::BrokenPipe.into(),
            Some(Err(_panic)) => return stead::Error::internal("the thread that prints panicked").into(),
        };
        Failure::printing(cause)
    }
}

fn write_all(mut waiting: mpsc::Receiver<Job>, pieces: &Pieces, out: impl Write) -> io::Result<()> {
    let mut out = io::BufWriter::new(out);
    while let Some(first) = waiting.blocking_recv() {
        let mut next = Some(first);
        let mut written = 0;
        let mut reached = Vec::new();
        while let Some(job) = next {
            match job {
                Job::Write(piece) => {
                    out.write_all(&piece)?;
                    written += 1;
                }
                Job::Barrier(barrier) => reached.push(barrier),
            }
            next = waiting.try_recv().ok();
        }
        out.flush()?;
        pieces.written.fetch_add(written, Ordering::Relaxed);
        for barrier in reached {
            // Where nobody waits any more, it does not matter.
            let _ = barrier.send(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails once it has taken so many bytes.
    struct Short(usize);

    impl Write for Short {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn printer(out: impl Write + Send + 'static) -> Printer {
        let (jobs, waiting) = mpsc::channel(2);
        let pieces = Arc::<Pieces>::default();
        let written = Arc::clone(&pieces);
        Printer {
            jobs,
            thread: Some(std::thread::spawn(move || write_all(waiting, &written, out))),
            pieces,
        }
    }

    #[tokio::test]
    async fn a_failure_to_write_is_told_with_its_cause() {
        let mut printer = printer(Short(5));
        let mut piece = b"1234".to_vec();
        printer.print(&mut piece).await.unwrap();
        assert!(piece.is_empty());
        printer.flush().await.unwrap();
        assert_eq!(printer.written(), 1);
        printer.print(&mut b"5678".to_vec()).await.unwrap();
        let Err(Failure::Error(error)) = printer.flush().await else {
            panic!("nothing failed");
        };
        let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>());
        assert_eq!(cause.map(io::Error::kind), Some(io::ErrorKind::StorageFull));
        let mut unread = b"9".to_vec();
        assert!(matches!(printer.print(&mut unread).await, Err(Failure::Unread)));
        assert_eq!(unread, b"9");
    }
}
