//! `stead set`.

use clap::Args;
use serde_json::json;
use stead::core::{Conflict, Expiry, Found, Limits, Outcome, Revision, Ttl};
use stead::state::{SetIf, SetOptions, StateClass, encode_key};
use stead::{Error, StateScope};

use super::Session;
use crate::args;
use crate::encode::admit;
use crate::exit::{Failure, Result};
use crate::value::{Given, Reading};

/// Write a value
///
/// VALUE is JSON if it parses as JSON, else it is taken as a string: `17` is a number, `"17"` and `seventeen` are
/// strings. What begins with a brace, a bracket or a quote and is not JSON is refused; --string takes it as it stands.
#[derive(Args, Debug)]
pub(crate) struct Set {
    /// The scope, such as global or agent:planner
    #[arg(value_parser = args::scope)]
    scope: StateScope,
    /// The key: 1 to 1023 bytes
    key: String,
    /// The value: JSON or a string; `-` reads it from stdin, `@FILE` from a file
    #[arg(allow_negative_numbers = true)]
    value: String,
    #[command(flatten)]
    reading: Reading,
    /// How long it lives: ms, s, m, h, d, w, as in 5m or 1h30m [default: until it is deleted]
    #[arg(long, value_name = "DURATION", value_parser = args::ttl, allow_hyphen_values = true)]
    ttl: Option<Ttl>,
    /// How it is treated: standard or trusted (stored as MessagePack) [default: standard]
    #[arg(long, value_parser = args::class)]
    class: Option<StateClass>,
    /// Only if there is no value
    #[arg(long, conflicts_with = "if_revision")]
    if_absent: bool,
    /// Only if the value still has this revision
    #[arg(long, value_name = "N", value_parser = args::revision, allow_hyphen_values = true)]
    if_revision: Option<Revision>,
}

impl Set {
    fn condition(&self) -> SetIf {
        match self.if_revision {
            Some(revision) => SetIf::Revision(revision),
            None if self.if_absent => SetIf::Absent,
            None => SetIf::Always,
        }
    }
}

/// Reads the value, and refuses what no store takes.
pub(super) async fn read(set: &mut Set) -> Result<Given> {
    admit(set.class.unwrap_or_default(), &Limits::default())?;
    encode_key(&set.scope, &set.key)?;
    let (argument, reading) = (std::mem::take(&mut set.value), set.reading);
    // Stdin may take its time.
    let given = tokio::task::spawn_blocking(move || reading.read(&argument, &Limits::default()));
    Ok(given.await.map_err(lost)??)
}

pub(crate) async fn run(set: &Set, given: &Given, session: &mut Session) -> Result<()> {
    let class = set.class.unwrap_or_default();
    let condition = set.condition();
    let mut options = SetOptions::default().with_class(class).with_condition(condition);
    if let Some(ttl) = set.ttl {
        options = options.with_expiry(Expiry::After(ttl));
    }
    let state = &session.store.state;
    let outcome = match given {
        Given::Json(value) => state.set_with(&set.scope, &set.key, value, &options).await?,
        Given::Bytes(bytes) => {
            state
                .set_bytes_with(&set.scope, &set.key, bytes, &options)
                .await?
        }
    };
    match outcome {
        Outcome::Committed(revision) => written(session, revision),
        Outcome::Rejected(conflict) => {
            let expected = match condition {
                SetIf::Revision(revision) => revision.to_string(),
                _ => "absent".to_owned(),
            };
            Err(lost_race(&set.scope, &set.key, &expected, &conflict))
        }
    }
}

/// A thread that came to grief.
pub(super) fn lost(cause: tokio::task::JoinError) -> Error {
    Error::internal("a thread ended before its time").because(cause)
}

/// Prints the revision of a write.
pub(super) fn written(session: &mut Session, revision: Revision) -> Result<()> {
    session.output.either(
        &format!("revision {revision}"),
        &json!({"revision": revision.get()}),
    )
}

/// The failure for a value that is not as expected.
pub(super) fn lost_race(scope: &StateScope, key: &str, expected: &str, conflict: &Conflict) -> Failure {
    let found = match conflict.found {
        Found::Missing => "nothing".to_owned(),
        Found::Revision(revision) => revision.to_string(),
        Found::Count(entries) => format!("{entries} entries"),
    };
    let error = Error::conflict(
        "the value is not as expected; read it again with `stead get --json` and decide anew",
    )
    .with("scope", scope)
    .with("key", key.escape_debug())
    .with("expected", expected)
    .with("found", found);
    Failure::Error(error)
}
