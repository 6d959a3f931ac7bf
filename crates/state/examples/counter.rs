//! Counting, exactly, whoever else counts: `cargo run -p stead-state --example counter`.
//!
//! Reading a number and writing it back plus one loses counts as soon as two do it at once. `increment` is judged by
//! the store in the instant of its commit, and returns a sum that nobody else is given.

use std::sync::Arc;

use stead_core::Result;
use stead_memory::{MemoryBackend, MemoryOptions};
use stead_state::{ScopedState, StateManager, StateScope};

/// Counts one call of a tool; returns how many there were with this one.
pub(crate) async fn count_call(tool: &ScopedState) -> Result<i64> {
    tool.increment("calls", 1).await
}

#[tokio::main]
async fn main() -> Result<()> {
    let state = StateManager::new(Arc::new(MemoryBackend::new(MemoryOptions::default())));
    let search = state.scope(StateScope::tool("search"))?;
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let search = search.clone();
            tokio::spawn(async move { count_call(&search).await })
        })
        .collect();
    for task in tasks {
        task.await.expect("the task does not panic")?;
    }
    println!("{} calls", search.get_as::<i64>("calls").await?.unwrap_or(0));
    Ok(())
}
