//! Sessions that end when nobody uses them: `cargo run -p stead-state --example session`.
//!
//! Each use of a session changes its data and moves its deadline in one write. A session that has ended stays ended:
//! using it does not bring it back, and two requests of one session do not overwrite each other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_core::{Error, Random, Result, SystemRandom};
use stead_memory::{MemoryBackend, MemoryOptions};
use stead_state::{SetIf, SetOptions, StateManager, StateScope, UpdateOptions};

/// How long a session lives after its last use.
pub(crate) const IDLE: Duration = Duration::from_secs(3_600);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) user_id: String,
    pub(crate) data: BTreeMap<String, Value>,
}

/// Begins a session; returns its id.
pub(crate) async fn begin(state: &StateManager, random: &dyn Random, user_id: &str) -> Result<String> {
    let id = format!("{:032x}", random.next_u128());
    let session = Session {
        user_id: user_id.to_owned(),
        data: BTreeMap::new(),
    };
    // Should two ids ever be the same, the second session must not take over the first.
    let options = SetOptions::default()
        .with_ttl(IDLE)?
        .with_condition(SetIf::Absent);
    let begun = state.set_with(StateScope::session(&id), "session", &session, &options);
    begun.await?.committed()?;
    Ok(id)
}

/// Uses a session: `change` may change its data. `None` when it has ended.
pub(crate) async fn with_session(
    state: &StateManager,
    id: &str,
    change: impl Fn(&mut Session),
) -> Result<Option<Session>> {
    let options = UpdateOptions::default().with_ttl(IDLE)?;
    let used = state.update_with(
        StateScope::session(id),
        "session",
        &options,
        |session: Option<Session>| {
            Ok(session.map(|mut session| {
                change(&mut session);
                session
            }))
        },
    );
    Ok(used.await?.value)
}

#[tokio::main]
async fn main() -> Result<()> {
    let state = StateManager::new(Arc::new(MemoryBackend::new(MemoryOptions::default())));
    let id = begin(&state, &SystemRandom, "ada").await?;
    with_session(&state, &id, |session| {
        session.data.insert("cart".to_owned(), json!(["book"]));
    })
    .await?;
    let session = with_session(&state, &id, |_| {}).await?;
    let session = session.ok_or_else(|| Error::invalid("the session has ended"))?;
    println!("{} has {}", session.user_id, session.data["cart"]);
    Ok(())
}
