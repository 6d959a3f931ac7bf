//! Ctrl-C, and being asked to end.

use tokio::sync::watch;

use crate::exit::Exit;

/// Says when the user wants the command to end.
#[derive(Clone)]
pub(crate) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Listens for SIGINT and SIGTERM from this call on. The first asks the command to end; a second one ends the process
    /// on the spot, which no store minds.
    pub(crate) fn listen() -> Self {
        let (sender, receiver) = watch::channel(false);
        let mut signals = Signals::register();
        tokio::spawn(async move {
            signals.next().await;
            if sender.send(true).is_ok() {
                signals.next().await;
                std::process::exit(Exit::Interrupted as i32);
            }
        });
        Interrupt(receiver)
    }

    /// Resolves once the user wants the command to end.
    pub(crate) async fn raised(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|raised| *raised).await.is_err() {
            // Nothing listens any more, so nothing will ever be heard.
            std::future::pending::<()>().await;
        }
    }

    pub(crate) fn is_raised(&self) -> bool {
        *self.0.borrow()
    }
}

/// The signals that ask a process to end. Where one cannot be listened for, it ends the process as ever.
#[cfg(unix)]
struct Signals {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn register() -> Self {
        use tokio::signal::unix::{SignalKind, signal};

        Signals {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
        }
    }

    async fn next(&mut self) {
        async fn of(signal: &mut Option<tokio::signal::unix::Signal>) {
            match signal {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            () = of(&mut self.interrupt) => {}
            () = of(&mut self.terminate) => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn register() -> Self {
        Signals
    }

    async fn next(&mut self) {
        drop(tokio::signal::ctrl_c().await);
    }
}
