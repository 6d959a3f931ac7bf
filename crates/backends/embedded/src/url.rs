//! What every embedded store takes from its URL, and opening it without blocking an executor.

use std::sync::Arc;

use stead_core::{Backend, Durability, Error, Reply, Result, StoreUrl};
use tokio::sync::oneshot;

use crate::{EmbeddedOptions, EngineConfig, open_store};

impl EmbeddedOptions {
    /// Takes the settings that all embedded stores share out of a URL such as
    /// `redb:./data?durability=buffered&flush=50ms`:
    ///
    /// | option | what it sets |
    /// |---|---|
    /// | `durability` | `durable` or `buffered`: what a batch gets that asks for nothing |
    /// | `retention` | how many commits a watch can go back |
    /// | `requests` | how many request ids are remembered |
    /// | `sweep` | how often expired entries are removed, as in `1s` |
    /// | `flush` | how long a buffered write may be lost after a crash, as in `100ms` |
    /// | `read_only` | `true` opens for reading only |
    ///
    /// # Errors
    ///
    /// `Invalid`, naming the option, for a value that is malformed.
    pub fn from_url(url: &mut StoreUrl) -> Result<Self> {
        let mut options = EmbeddedOptions::default();
        if let Some(durability) = url.take_as("durability", parse_durability)? {
            options = options.with_durability(durability);
        }
        if let Some(commits) = url.take_number("retention")? {
            options = options.with_change_retention(commits);
        }
        if let Some(requests) = url.take_number("requests")? {
            options = options.with_request_retention(requests);
        }
        if let Some(interval) = url.take_duration("sweep")? {
            options = options.with_sweep_interval(interval);
        }
        if let Some(interval) = url.take_duration("flush")? {
            options = options.with_flush_interval(interval);
        }
        if url.take_bool("read_only")? == Some(true) {
            options = options.read_only();
        }
        Ok(options)
    }
}

fn parse_durability(text: &str) -> Result<Durability> {
    match text {
        "durable" => Ok(Durability::Durable),
        "buffered" => Ok(Durability::Buffered),
        _ => Err(Error::invalid("durability is durable or buffered").with("value", text.escape_default())),
    }
}

/// What the store at `url` is opened with: the engine takes its options, and the shared ones come after. Touches no file.
///
/// # Errors
///
/// `Invalid` for a URL without a path, unknown options and malformed values.
pub fn parse_url<C: EngineConfig>(mut url: StoreUrl) -> Result<(C, EmbeddedOptions)> {
    let scheme = url.scheme();
    if url.place().is_empty() {
        let message = format!("the URL names no directory; write {scheme}:./data");
        return Err(Error::invalid(message));
    }
    let config = C::from_url(&mut url)?;
    let options = EmbeddedOptions::from_url(&mut url)?;
    url.finish()?;
    Ok((config, options))
}

/// Opens the store at `url` on a thread of its own.
///
/// # Errors
///
/// As [`parse_url`] and [`open_store`]; `Unavailable` when the system gives no thread.
///
/// # Cancellation
///
/// Dropping the reply drops the store as soon as it is open.
pub fn open_url<C: EngineConfig>(url: StoreUrl) -> Reply<'static, Arc<dyn Backend>> {
    match parse_url::<C>(url) {
        Ok((config, options)) => off_thread(move || Ok(open_store(&config, options)? as Arc<dyn Backend>)),
        Err(error) => Reply::fail(error.during("open")),
    }
}

/// Runs `open`, which blocks, on a thread of its own.
///
/// # Errors
///
/// That of `open`; `Unavailable` when the system gives no thread.
///
/// # Cancellation
///
/// Dropping the reply drops what `open` returns as soon as it does.
pub(crate) fn off_thread<T: Send + 'static>(
    open: impl FnOnce() -> Result<T> + Send + 'static,
) -> Reply<'static, T> {
    let (sender, receiver) = oneshot::channel();
    let spawned = std::thread::Builder::new()
        .name("stead-open".into())
        .spawn(move || {
            // Nobody waits any more if this fails, and what was opened is closed by being dropped.
            drop(sender.send(open()));
        });
    if let Err(cause) = spawned {
        return Reply::fail(Error::unavailable("cannot start a thread to open the store").because(cause));
    }
    Reply::pending(async move {
        receiver
            .await
            .map_err(|_| Error::internal("the thread that opened the store panicked"))?
    })
}

#[cfg(test)]
mod tests {
    use futures_executor::block_on;

    use super::*;

    #[test]
    fn options_are_taken_and_wrong_ones_named() {
        let mut url: StoreUrl = "redb:./d?durability=buffered&retention=7&read_only=true&cache=1"
            .parse()
            .unwrap();
        let options = EmbeddedOptions::from_url(&mut url).unwrap();
        assert!(options.is_read_only());
        assert_eq!(url.take("cache").as_deref(), Some("1"));
        assert!(url.finish().is_ok());
        let mut url: StoreUrl = "redb:./d?durability=eventually".parse().unwrap();
        let error = EmbeddedOptions::from_url(&mut url).unwrap_err();
        assert_eq!(
            error.to_string(),
            "durability is durable or buffered: value=eventually option=durability"
        );
    }

    #[test]
    fn panic_while_opening_is_an_error() {
        let error = block_on(off_thread::<()>(|| panic!("on purpose"))).unwrap_err();
        assert_eq!(error.kind(), stead_core::ErrorKind::Internal);
    }
}
