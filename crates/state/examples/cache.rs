//! Caching what is expensive to compute: `cargo run -p stead-state --example cache`.
//!
//! Looking into the cache, computing and writing runs the computation as often as there are callers who miss at the
//! same time. `get_or_compute` runs it once for all of them, and a failure is not cached.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stead_core::Result;
use stead_memory::{MemoryBackend, MemoryOptions};
use stead_state::{ScopedState, SetOptions, StateClass, StateManager, StateScope};

/// The answer of an endpoint, fetched at most once every five minutes. It is kept in memory only: losing it costs no
/// more than fetching it again.
pub(crate) async fn cached_call<F, Fut>(cache: &ScopedState, endpoint: &str, fetch: F) -> Result<Value>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<Value>>,
{
    let options = SetOptions::default()
        .with_class(StateClass::Ephemeral)
        .with_ttl(Duration::from_secs(300))?;
    cache.get_or_compute(endpoint, &options, fetch).await
}

#[tokio::main]
async fn main() -> Result<()> {
    let memory = || Arc::new(MemoryBackend::new(MemoryOptions::default()));
    let state = StateManager::builder(memory()).ephemeral(memory()).build();
    let cache = state.scope(StateScope::tool("weather"))?;
    for _ in 0..2 {
        let answer = cached_call(&cache, "/v1/today", || async {
            println!("fetching");
            Ok(json!({"sky": "clear"}))
        });
        println!("{}", answer.await?);
    }
    Ok(())
}
