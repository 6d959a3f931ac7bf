//! One computation of a missing value for all who ask for it at the same time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use stead_core::{Error, ErrorKind, Key, Outcome, Result, WriteBatch};

use crate::inner::Inner;
use crate::options::{SetIf, SetOptions};

/// The computations under way, each with the number of those who take part in it.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<Key, (Arc<Flight>, usize)>>);

/// One key that somebody computes.
#[derive(Default)]
struct Flight {
    /// Held by the one who computes. Dropping the future lets go of it, and the next in the queue takes over.
    lead: tokio::sync::Mutex<()>,
    failures: Mutex<Failures>,
}

/// What went wrong, for those who waited for it.
#[derive(Default)]
struct Failures {
    count: u64,
    last: Option<Failure>,
}

/// As much of an error as can be given to more than one.
struct Failure {
    kind: ErrorKind,
    text: String,
}

impl Failure {
    fn of(error: &Error) -> Self {
        Failure {
            kind: error.kind(),
            text: error.to_string(),
        }
    }

    fn to_error(&self) -> Error {
        Error::new(self.kind, self.text.clone())
    }
}

/// A place in the queue for one key.
struct Seat<'a> {
    flights: &'a Flights,
    key: Key,
    flight: Arc<Flight>,
    /// The failures that were there before this one came.
    seen: u64,
}

impl Flights {
    fn join(&self, key: &Key) -> Seat<'_> {
        let flight = {
            let mut flights = self.0.lock();
            let (flight, seats) = flights.entry(key.clone()).or_default();
            *seats += 1;
            Arc::clone(flight)
        };
        let seen = flight.failures.lock().count;
        Seat {
            flights: self,
            key: key.clone(),
            flight,
            seen,
        }
    }
}

impl Seat<'_> {
    /// The failure that happened while this one waited.
    fn failure(&self) -> Option<Error> {
        let failures = self.flight.failures.lock();
        let last = failures.last.as_ref().filter(|_| failures.count > self.seen);
        last.map(Failure::to_error)
    }

    fn failed(&self, error: &Error) {
        let mut failures = self.flight.failures.lock();
        failures.count += 1;
        failures.last = Some(Failure::of(error));
    }
}

impl Drop for Seat<'_> {
    /// The last one to leave clears the key away.
    fn drop(&mut self) {
        let mut flights = self.flights.0.lock();
        if let Entry::Occupied(mut flight) = flights.entry(self.key.clone()) {
            flight.get_mut().1 -= 1;
            if flight.get().1 == 0 {
                flight.remove();
            }
        }
    }
}

impl Inner {
    pub(crate) async fn get_or_compute<T, F, Fut>(
        &self,
        key: Key,
        options: &SetOptions,
        compute: F,
    ) -> Result<T>
    where
        T: Serialize + DeserializeOwned,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        if let Some(value) = self.read_as(key.clone()).await? {
            return Ok(value);
        }
        let seat = self.flights.join(&key);
        let _lead = seat.flight.lead.lock().await;
        if let Some(error) = seat.failure() {
            return Err(error);
        }
        if let Some(value) = self.read_as(key.clone()).await? {
            return Ok(value);
        }
        let result = match compute().await {
            Ok(value) => self.keep(key, value, options).await,
            Err(error) => Err(error),
        };
        result.inspect_err(|error| seat.failed(error))
    }

    async fn read_as<T: DeserializeOwned>(&self, key: Key) -> Result<Option<T>> {
        let entry = self.entry(&key).await?;
        entry
            .map(|entry| stead_codec::decode(entry.value(), &self.rules.limits))
            .transpose()
    }

    /// Stores a computed value, unless somebody else has written one meanwhile: then that is the value.
    async fn keep<T: Serialize + DeserializeOwned>(
        &self,
        key: Key,
        value: T,
        options: &SetOptions,
    ) -> Result<T> {
        let options = options.clone().with_condition(SetIf::Absent);
        match self.set(WriteBatch::of_put(&key), &value, &options).await? {
            Outcome::Committed(_) => Ok(value),
            Outcome::Rejected(_) => Ok(self.read_as(key).await?.unwrap_or(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use stead_core::Partition;

    use super::*;

    #[test]
    fn the_last_to_leave_clears_the_key_away() {
        let flights = Flights::default();
        let key = Key::new(&Partition::new("p").unwrap(), "k").unwrap();
        let seats: Vec<_> = (0..3).map(|_| flights.join(&key)).collect();
        assert!(
            seats
                .iter()
                .all(|seat| Arc::ptr_eq(&seat.flight, &seats[0].flight))
        );
        for seat in seats {
            assert_eq!(flights.0.lock().len(), 1);
            drop(seat);
        }
        assert!(flights.0.lock().is_empty());
    }
}
