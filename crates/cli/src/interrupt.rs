//! Ctrl-C, and being asked to end.

use tokio::sync::watch;

use crate::exit::Exit;

/// Says when the user wants the command to end.
#[derive(Clone)]
pub(crate) struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Listens for SIGINT and SIGTERM from now on. The first asks the command to end; a second one ends the process on
    /// the spot, which no store minds.
    pub(crate) fn listen() -> Self {
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            asked().await;
            if sender.send(true).is_ok() {
                asked().await;
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

#[cfg(unix)]
async fn asked() {
    use tokio::signal::unix::{SignalKind, signal};

    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(not(unix))]
async fn asked() {
    drop(tokio::signal::ctrl_c().await);
}
