//! The settings that every server store takes.

use std::sync::Arc;
use std::time::Duration;

use stead_core::{Clock, Durability, Error, Limits, Random, Result, StoreUrl, SystemClock, SystemRandom};

use crate::Retry;

/// The settings that every server store takes.
///
/// ```
/// use std::time::Duration;
/// use stead_network::NetworkOptions;
///
/// let options = NetworkOptions {
///     timeout: Duration::from_secs(2),
///     ..NetworkOptions::default()
/// };
/// assert_eq!(options.change_retention, 100_000);
/// ```
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// The store's only source of the time that deadlines are measured by. Clients of one store should agree on the
    /// time: an entry is hidden by the clock of the one who reads.
    pub clock: Arc<dyn Clock>,
    /// The source of ids and jitter.
    pub random: Arc<dyn Random>,
    /// How long one attempt may take, connecting included: 5 seconds unless configured.
    pub timeout: Duration,
    /// How long an operation is repeated before its failure is told: 10 seconds unless configured. Zero never repeats.
    pub retry_deadline: Duration,
    /// How many change sets the log keeps at least: 100,000 unless configured.
    pub change_retention: u64,
    /// How many request ids are remembered at most: 100,000 unless configured.
    pub request_retention: u64,
    /// Request ids are forgotten some time after this age: 24 hours unless configured.
    pub request_age: Duration,
    /// How often entries past their deadline are looked for: every second unless configured. Reads hide them at once in
    /// any case.
    pub sweep_interval: Duration,
    /// What a batch gets that asks for nothing: [`Durability::Durable`] unless configured.
    pub durability: Durability,
    /// What is refused for its size.
    pub limits: Limits,
    /// Opens for reading only.
    pub read_only: bool,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        NetworkOptions {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            timeout: Duration::from_secs(5),
            retry_deadline: Duration::from_secs(10),
            change_retention: 100_000,
            request_retention: 100_000,
            request_age: Duration::from_secs(24 * 60 * 60),
            sweep_interval: Duration::from_secs(1),
            durability: Durability::Durable,
            limits: Limits::default(),
            read_only: false,
        }
    }
}

impl NetworkOptions {
    /// Takes the settings out of a URL:
    ///
    /// | option | what it sets |
    /// |---|---|
    /// | `timeout` | how long one attempt may take, as in `5s` |
    /// | `retry` | how long an operation is repeated, as in `10s`; `0s` never repeats |
    /// | `durability` | `durable` or `buffered`: what a batch gets that asks for nothing |
    /// | `retention` | how many commits a watch can go back |
    /// | `requests` | how many request ids are remembered |
    /// | `sweep` | how often expired entries are removed, as in `1s` |
    /// | `read_only` | `true` opens for reading only |
    ///
    /// # Errors
    ///
    /// `Invalid`, naming the option, for a value that is malformed or zero where it must not be.
    pub fn from_url(url: &mut StoreUrl) -> Result<Self> {
        let mut options = NetworkOptions::default();
        if let Some(timeout) = url.take_duration("timeout")? {
            options.timeout = above_zero("timeout", timeout)?;
        }
        if let Some(deadline) = url.take_duration("retry")? {
            options.retry_deadline = deadline;
        }
        if let Some(durability) = url.take_as("durability", parse_durability)? {
            options.durability = durability;
        }
        if let Some(commits) = url.take_number("retention")? {
            options.change_retention = commits.max(1);
        }
        if let Some(requests) = url.take_number("requests")? {
            options.request_retention = requests.max(1);
        }
        if let Some(interval) = url.take_duration("sweep")? {
            options.sweep_interval = above_zero("sweep", interval)?;
        }
        if url.take_bool("read_only")? == Some(true) {
            options.read_only = true;
        }
        Ok(options)
    }

    /// The retries that these settings ask for.
    #[must_use]
    pub fn retry(&self) -> Retry {
        Retry::new(self.retry_deadline, Arc::clone(&self.random))
    }
}

fn above_zero(option: &'static str, duration: Duration) -> Result<Duration> {
    if duration.is_zero() {
        return Err(Error::invalid("the duration must be longer than zero").with("option", option));
    }
    Ok(duration)
}

fn parse_durability(text: &str) -> Result<Durability> {
    match text {
        "durable" => Ok(Durability::Durable),
        "buffered" => Ok(Durability::Buffered),
        _ => Err(Error::invalid("durability is durable or buffered").with("value", text.escape_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_taken_from_the_url() {
        let text =
            "x://h?timeout=2s&retry=0s&durability=buffered&retention=7&requests=8&sweep=9ms&read_only=true";
        let mut url: StoreUrl = text.parse().unwrap();
        let options = NetworkOptions::from_url(&mut url).unwrap();
        url.finish().unwrap();
        assert_eq!(options.timeout, Duration::from_secs(2));
        assert_eq!(options.retry_deadline, Duration::ZERO);
        assert_eq!(options.durability, Durability::Buffered);
        assert_eq!((options.change_retention, options.request_retention), (7, 8));
        assert_eq!(options.sweep_interval, Duration::from_millis(9));
        assert!(options.read_only);
    }

    #[test]
    fn values_that_cannot_be_are_refused_by_name() {
        for option in [
            "timeout=0s",
            "sweep=0s",
            "timeout=5",
            "durability=maybe",
            "retention=x",
            "read_only=1",
        ] {
            let mut url: StoreUrl = format!("x://h?{option}").parse().unwrap();
            let error = NetworkOptions::from_url(&mut url).unwrap_err().to_string();
            let name = option.split_once('=').unwrap().0;
            assert!(error.contains(name), "{error}");
        }
    }
}
