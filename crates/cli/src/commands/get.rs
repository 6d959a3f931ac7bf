//! `stead get`.

use clap::Args;
use serde_json::Value;
use stead::codec::Codec;
use stead::{Error, StateScope};

use super::Session;
use crate::args;
use crate::exit::{Failure, Result};
use crate::record::Shown;

/// Print a value as JSON
///
/// With --json, its revision, deadline and class are printed too. Exits with 1 where there is no value.
#[derive(Args, Debug)]
pub(crate) struct Get {
    /// The scope, such as global or agent:planner
    #[arg(value_parser = args::scope)]
    scope: StateScope,
    /// The key
    key: String,
    /// Print the text of a string, or raw bytes, as they are and nothing else, not even a line feed
    #[arg(long, conflicts_with = "json")]
    raw: bool,
}

pub(crate) async fn run(get: &Get, session: &mut Session) -> Result<()> {
    let entry = session.store.state.get_entry(&get.scope, &get.key).await?;
    let Some(entry) = entry else {
        return Err(missing(&get.scope, &get.key));
    };
    let output = &mut session.output;
    if output.is_json() {
        let scope = get.scope.to_string();
        return output.json(&Shown::of_state(&scope, &entry)?);
    }
    if entry.codec() == Codec::Bytes {
        if !get.raw {
            return Err(Error::invalid("value is raw bytes; print them with --raw")
                .with("size_bytes", entry.bytes()?.len())
                .into());
        }
        output.raw(&entry.bytes()?);
        return Ok(());
    }
    match entry.value()? {
        Value::String(text) if get.raw => output.raw(text.as_bytes()),
        value if get.raw => output.raw(value.to_string().as_bytes()),
        value => output.text(&value.to_string()),
    }
    Ok(())
}

/// The failure for a key without a value.
pub(super) fn missing(scope: &StateScope, key: &str) -> Failure {
    let error = Error::invalid(format!(
        "there is no value; `stead list '{scope}' --keys-only` prints the keys that there are"
    ));
    Failure::NotThere(error.with("scope", scope).with("key", key.escape_debug()))
}
