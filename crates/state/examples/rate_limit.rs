//! Limiting how often a user may call: `cargo run -p stead-state --example rate_limit`.
//!
//! Reading the count, comparing and writing it back lets through as many as read before the first one writes. Here each
//! call takes a number of its own, and only the first so many numbers of a window are let through.

use std::sync::Arc;
use std::time::Duration;

use stead_core::{Clock, Error, Result, SystemClock};
use stead_memory::{MemoryBackend, MemoryOptions};
use stead_state::{StateManager, StateScope, UpdateOptions};

/// Whether `user` may make one more call in the current window of time.
pub(crate) async fn allow(
    state: &StateManager,
    clock: &dyn Clock,
    user: &str,
    max_calls: i64,
    window: Duration,
) -> Result<bool> {
    let window_ms = u64::try_from(window.as_millis())
        .ok()
        .filter(|millis| *millis > 0)
        .ok_or_else(|| Error::invalid("window must be at least 1 ms"))?;
    let number = clock.now().as_millis() / window_ms;
    // The count goes away by itself once its window is over; until then, each call of it is counted.
    let options = UpdateOptions::default().with_ttl(window)?;
    let key = format!("calls/{number}");
    let calls = state
        .increment_with(StateScope::user(user), &key, 1, &options)
        .await?;
    Ok(calls.value <= max_calls)
}

#[tokio::main]
async fn main() -> Result<()> {
    let state = StateManager::new(Arc::new(MemoryBackend::new(MemoryOptions::default())));
    for call in 1..=5 {
        let allowed = allow(&state, &SystemClock, "ada", 3, Duration::from_secs(60)).await?;
        println!("call {call}: {}", if allowed { "allowed" } else { "refused" });
    }
    Ok(())
}
