//! Waiting for something that another process does.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long a server may take to start, to end, or to agree with its peers. Far above what it needs: a machine under
/// load is slow, and only a failure waits so long.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

const STEP: Duration = Duration::from_millis(10);

/// Asks until there is an answer.
///
/// # Errors
///
/// That of `ask`, or that `what` did not happen within [`LIMIT`].
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if start.elapsed() > LIMIT {
            bail!("waited {} seconds in vain: {what}", LIMIT.as_secs());
        }
        thread::sleep(STEP);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a tool that waits for real processes has no other clock"
)]
fn now() -> Instant {
    Instant::now()
}
