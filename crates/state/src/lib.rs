//! Typed state in scopes, over any Stead store.
//!
//! A [`StateManager`] sits on a store and speaks of values under keys in [`StateScope`]s; a [`ScopedState`] is the same
//! for one scope, with less to say at every call and less to do. Values are JSON, typed records or raw bytes, and each
//! carries a [`StateClass`] that says how much care it is given.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use serde_json::json;
//! use stead_memory::{MemoryBackend, MemoryOptions};
//! use stead_state::{StateManager, StateScope};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), stead_core::Error> {
//! let state = StateManager::new(Arc::new(MemoryBackend::new(MemoryOptions::default())));
//!
//! let planner = state.scope(StateScope::agent("planner"))?;
//! planner.set("plan", &json!({"steps": ["search", "answer"]})).await?;
//! planner.set_with_ttl("draft", "not for long", Duration::from_secs(60)).await?;
//! assert_eq!(planner.increment("calls", 1).await?, 1);
//!
//! let steps = state
//!     .transaction(|tx| async move {
//!         let agent = StateScope::agent("planner");
//!         let plan = tx.get(&agent, "plan").await?.unwrap_or_default();
//!         tx.set(&agent, "done", &plan["steps"]).await?;
//!         Ok(plan["steps"].as_array().map_or(0, Vec::len))
//!     })
//!     .await?;
//! assert_eq!(steps, 2);
//! assert_eq!(planner.list_keys().await?, ["calls", "done", "draft", "plan"]);
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! - A write is one batch of the store: it happens as a whole or not at all, also when the future is dropped. What
//!   reads and then writes (`increment`, `update`, `patch`, `transaction`) is judged by the store in the instant of its
//!   commit, so that nothing comes between, from this process or another.
//! - `get`, `get_as`, `get_bytes` and `set` give a [`Reply`](stead_core::Reply): where the store answers on the spot, so
//!   do they, without a future.
//! - Nothing is cut, coerced or skipped in silence, and an error is never turned into "missing".

mod builder;
mod classes;
mod entry;
mod ext;
mod flight;
mod glob;
mod homes;
mod inner;
mod list;
mod manager;
mod modify;
mod options;
mod patch;
mod place;
mod read;
mod scope;
mod scoped;
mod scopes;
mod scratch;
mod sleep;
mod stripes;
mod transfer;
mod tx;
mod watch;
mod write;

pub use builder::StateManagerBuilder;
pub use classes::{ClassRules, ExternalLimits, FastPathConfig};
pub use entry::{StateBytes, StateEntry};
pub use ext::StateExt;
pub use glob::Pattern;
pub use manager::StateManager;
pub use modify::Changed;
pub use options::{ChangeOptions, ListOptions, SetIf, SetOptions, TransactionOptions, UpdateOptions};
pub use place::{decode_key, encode_key, encode_range};
pub use scope::StateScope;
pub use scoped::ScopedState;
pub use sleep::{Sleep, ThreadSleep};
pub use stead_codec::{Codec, StateClass};
pub use tx::{Committed, Tx};
pub use watch::{StateChange, StateEvent, StateWatch};
