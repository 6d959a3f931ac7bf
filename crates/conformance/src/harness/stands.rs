//! Stores of a subject for the oracles.

use std::future::Future;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::Mutex;
use stead_core::{Backend, Clock, Error, ManualClock, Result};
use tokio::runtime::Handle;

use crate::harness::{OpenOptions, Place, Subject};
use crate::oracle::Stand;

/// Opens one store of a subject after the other, each at a place of its own.
pub(crate) struct Stands {
    subject: Arc<dyn Subject>,
    runtime: Handle,
    places: Mutex<Vec<Arc<Place>>>,
    restarts: bool,
}

impl Stands {
    pub(crate) fn new(subject: Arc<dyn Subject>, runtime: Handle) -> Self {
        Stands {
            subject,
            runtime,
            places: Mutex::default(),
            restarts: false,
        }
    }

    /// Lets the oracle close the stores and open them again.
    pub(crate) fn with_restarts(mut self) -> Self {
        self.restarts = true;
        self
    }

    /// A new store. Blocks the calling thread, which must not drive async tasks.
    pub(crate) fn stand(&self, clock: Arc<ManualClock>) -> Result<Stand> {
        let place = Place::new("oracle")
            .map_err(|error| Error::unavailable("there is no place for a store").because(error))?;
        let place = Arc::new(place);
        self.places.lock().push(Arc::clone(&place));
        let options = OpenOptions {
            clock: clock as Arc<dyn Clock>,
            // Short, so that watches are told of it, and quick, so that entries are swept between any two calls.
            change_retention: 32,
            sweep_interval: Duration::from_millis(2),
            ..OpenOptions::default()
        };
        let opener = Opener {
            subject: Arc::clone(&self.subject),
            runtime: self.runtime.clone(),
            place,
            options,
        };
        let mut current = opener.open()?;
        let stand = Stand::new(Arc::clone(&current));
        if !self.restarts {
            return Ok(stand);
        }
        Ok(stand.with_reopen(move || {
            let closing = Arc::clone(&current);
            opener.wait(async move { closing.close().await })??;
            current = opener.open()?;
            Ok(Arc::clone(&current))
        }))
    }
}

impl Drop for Stands {
    fn drop(&mut self) {
        for place in self.places.get_mut() {
            self.subject.remove(place);
        }
    }
}

struct Opener {
    subject: Arc<dyn Subject>,
    runtime: Handle,
    place: Arc<Place>,
    options: OpenOptions,
}

impl Opener {
    fn open(&self) -> Result<Arc<dyn Backend>> {
        let (subject, place, options) = (
            Arc::clone(&self.subject),
            Arc::clone(&self.place),
            self.options.clone(),
        );
        self.wait(async move { subject.open(&place, &options).await })?
    }

    /// Waits for a task. The oracles ask from inside a runtime, where `block_on` is refused.
    fn wait<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T> {
        let (sender, receiver) = mpsc::channel();
        self.runtime.spawn(async move {
            // Nobody waits any more when the oracle has ended.
            let _ = sender.send(work.await);
        });
        receiver
            .recv()
            .map_err(|_| Error::internal("opening or closing the store panicked"))
    }
}
