//! `stead delete`, `stead touch` and `stead incr`.

use clap::{ArgGroup, Args};
use serde_json::json;
use stead::StateScope;
use stead::core::{Expiry, Outcome, Revision, Ttl};
use stead::state::{ChangeOptions, UpdateOptions};

use super::Session;
use super::get::missing;
use super::set::{lost_race, written};
use crate::args;
use crate::exit::Result;
use crate::sorted::Sorted;

/// Delete a value
///
/// Exits with 1 where there is none.
#[derive(Args, Debug)]
pub(crate) struct Delete {
    /// The scope, such as global or agent:planner
    #[arg(value_parser = args::scope)]
    scope: StateScope,
    /// The key
    key: String,
    /// Only if the value still has this revision
    #[arg(long, value_name = "N", value_parser = args::revision, allow_hyphen_values = true)]
    if_revision: Option<Revision>,
}

/// Give a value another deadline
///
/// It gets a new revision and stays the same value. Exits with 1 where there is none.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("deadline").required(true))]
pub(crate) struct Touch {
    /// The scope, such as global or agent:planner
    #[arg(value_parser = args::scope)]
    scope: StateScope,
    /// The key
    key: String,
    /// How long it lives from now on: ms, s, m, h, d, w, as in 5m or 1h30m
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = args::ttl,
        allow_hyphen_values = true,
        group = "deadline"
    )]
    ttl: Option<Ttl>,
    /// Take its deadline away
    #[arg(long, group = "deadline")]
    forever: bool,
    /// Only if the value still has this revision
    #[arg(long, value_name = "N", value_parser = args::revision, allow_hyphen_values = true)]
    if_revision: Option<Revision>,
}

/// Add to a whole number and print the sum
///
/// What is not there counts as 0. A deadline stays unless --ttl gives another.
#[derive(Args, Debug)]
pub(crate) struct Incr {
    /// The scope, such as global or agent:planner
    #[arg(value_parser = args::scope)]
    scope: StateScope,
    /// The key
    key: String,
    /// What is added; it may be negative
    #[arg(default_value_t = 1, allow_negative_numbers = true, value_parser = args::summand)]
    by: i64,
    /// How long it lives from now on: ms, s, m, h, d, w, as in 5m or 1h30m
    #[arg(long, value_name = "DURATION", value_parser = args::ttl, allow_hyphen_values = true)]
    ttl: Option<Ttl>,
}

pub(crate) async fn delete(delete: &Delete, session: &mut Session) -> Result<()> {
    let (scope, key) = (&delete.scope, &delete.key);
    let options = options(delete.if_revision);
    let outcome = session.store.state.delete_with(scope, key, &options).await?;
    changed(session, scope, key, delete.if_revision, outcome)
}

pub(crate) async fn touch(touch: &Touch, session: &mut Session) -> Result<()> {
    let (scope, key) = (&touch.scope, &touch.key);
    let expiry = touch.ttl.map_or(Expiry::Never, Expiry::After);
    let options = options(touch.if_revision);
    let outcome = session
        .store
        .state
        .touch_with(scope, key, expiry, &options)
        .await?;
    changed(session, scope, key, touch.if_revision, outcome)
}

pub(crate) async fn incr(incr: &Incr, session: &mut Session) -> Result<()> {
    let mut options = UpdateOptions::default();
    if let Some(ttl) = incr.ttl {
        options = options.with_expiry(Expiry::After(ttl));
    }
    let changed = session
        .store
        .state
        .increment_with(&incr.scope, &incr.key, incr.by, &options)
        .await?;
    let object = json!({"value": changed.value, "revision": changed.revision.get()});
    session
        .output
        .either(&changed.value.to_string(), &Sorted(&object))
}

fn options(if_revision: Option<Revision>) -> ChangeOptions {
    match if_revision {
        Some(revision) => ChangeOptions::default().with_revision(revision),
        None => ChangeOptions::default(),
    }
}

fn changed(
    session: &mut Session,
    scope: &StateScope,
    key: &str,
    if_revision: Option<Revision>,
    outcome: Outcome,
) -> Result<()> {
    match (outcome, if_revision) {
        (Outcome::Committed(revision), _) => written(session, revision),
        (Outcome::Rejected(_), None) => Err(missing(scope, key)),
        (Outcome::Rejected(conflict), Some(revision)) => {
            Err(lost_race(scope, key, &revision.to_string(), &conflict))
        }
    }
}
