//! `stead watch`.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use stead::core::{Revision, WatchFrom};
use stead::state::{Pattern, StateChange, StateEvent, StateWatch};
use stead::{Error, StateScope};

use super::Session;
use crate::args;
use crate::exit::{Failure, Result};
use crate::output::plain;

/// Print the changes of a scope as they happen
///
/// One line for each: the revision, what happened (put, delete, expired), the key. Changes carry no values: read them
/// with `stead get`.
///
/// An embedded store such as redb is open in one process at a time: a watch sees what its own process does, and while
/// it runs no other command can open the store. Use --from to read the changes that the store retained, and
/// --until-idle to end behind them.
#[derive(Args, Debug)]
pub(crate) struct Watch {
    /// The scope, such as global or agent:planner
    #[arg(value_parser = args::scope)]
    scope: StateScope,
    /// Only keys that match: `*` stands for any text, `?` for one character, a backslash makes the next one literal
    #[arg(long, default_value = "*", hide_default_value = true)]
    pattern: String,
    /// Begin behind this revision, with the changes that are retained; 0 begins with the first
    #[arg(long, value_name = "N", value_parser = args::revision, allow_hyphen_values = true)]
    from: Option<Revision>,
    /// End after this many changes
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// End once nothing has come for this long
    #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = "200ms", value_parser = args::duration)]
    until_idle: Option<Duration>,
}

/// A change, for programs.
#[derive(Serialize)]
struct Change<'a> {
    revision: u64,
    change: &'static str,
    scope: String,
    key: &'a str,
}

pub(crate) async fn run(watch: &Watch, session: &mut Session) -> Result<()> {
    let scope = session.store.state.scope(watch.scope.clone())?;
    let from = watch.from.map_or(WatchFrom::Now, WatchFrom::After);
    let pattern = Pattern::new(&watch.pattern)?;
    let mut changes = scope.watch(&pattern, from)?;
    let mut left = watch.limit.unwrap_or(u64::MAX);
    while left > 0 {
        let event = tokio::select! {
            event = next(&mut changes, watch.until_idle) => event?,
            // To be told to end is the usual end of a watch.
            () = session.interrupt.raised() => return Ok(()),
        };
        match event {
            None => return Ok(()),
            Some(StateEvent::Changes(batch)) => {
                for change in batch.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
                    print(change, session)?;
                    left -= 1;
                }
                session.output.finish(&session.interrupt).await?;
            }
            Some(StateEvent::Compacted { oldest }) => return Err(too_old(watch.from, oldest)),
            Some(StateEvent::Lagged { oldest }) => {
                let message = "changes came faster than they could be printed, and some were dropped; read the values \
                               with `stead list` and watch again";
                return Err(Error::unavailable(message).with("oldest_revision", oldest).into());
            }
            Some(_) => return Err(Error::internal("an event that this version does not know").into()),
        }
    }
    Ok(())
}

/// The next event, or `None` when the store has been idle for as long as asked.
async fn next(changes: &mut StateWatch, until_idle: Option<Duration>) -> Result<Option<StateEvent>> {
    let Some(idle) = until_idle else {
        return Ok(Some(changes.next().await?));
    };
    match tokio::time::timeout(idle, changes.next()).await {
        Ok(event) => Ok(Some(event?)),
        Err(_elapsed) => Ok(None),
    }
}

fn print(change: &StateChange, session: &mut Session) -> Result<()> {
    let kind = change.kind.as_str();
    let text = format!("{}\t{kind}\t{}", change.revision, plain(&change.key));
    let object = Change {
        revision: change.revision.get(),
        change: kind,
        scope: change.scope.to_string(),
        key: &change.key,
    };
    session.output.either(&text, &object)
}

fn too_old(from: Option<Revision>, oldest: Revision) -> Failure {
    let error = Error::invalid(
        "the changes from there on are no longer retained; read the values with `stead list` and begin at the oldest \
         revision or later",
    );
    error
        .with("from", from.unwrap_or_default())
        .with("oldest_revision", oldest)
        .into()
}
