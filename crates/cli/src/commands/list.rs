//! `stead list`, `stead count` and `stead scopes`.

use clap::Args;
use serde::Serialize;
use serde_json::json;
use stead::StateScope;
use stead::codec::DecodeLimits;
use stead::core::{Direction, Item, ReadExt, Scan};
use stead::state::{StateEntry, decode_key, encode_range};

use super::Session;
use crate::args;
use crate::exit::Result;
use crate::output::{Output, plain};
use crate::record::Shown;

/// Scopes that are asked for at a time.
const SCOPES: usize = 256;

/// Print the keys and values of a scope, in byte order
///
/// One line for each: the key, a tab, the value as JSON. All of one instant. On a store that has no snapshots, a long list
/// is read in pages, each of an instant of its own: what is there throughout is listed once, and what comes or goes
/// meanwhile may be listed or not.
#[derive(Args, Debug)]
pub(crate) struct List {
    /// The scope, such as global or agent:planner
    #[arg(value_parser = args::scope)]
    scope: StateScope,
    /// Only keys that start with this
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
    /// At most this many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// From the last key to the first
    #[arg(long)]
    reverse: bool,
    /// Print the keys alone
    #[arg(long)]
    keys_only: bool,
}

/// Print how many keys a scope has
///
/// Counted in one instant. On a store that has no snapshots, what comes or goes meanwhile may be counted or not.
#[derive(Args, Debug)]
pub(crate) struct Count {
    /// The scope, such as global or agent:planner
    #[arg(value_parser = args::scope)]
    scope: StateScope,
    /// Only keys that start with this
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
}

/// Print the scopes that hold a value
///
/// They are looked up one after another: a scope whose first value comes or whose last one goes meanwhile may be listed or
/// not.
#[derive(Args, Debug)]
pub(crate) struct Scopes {}

/// A key, for programs.
#[derive(Serialize)]
struct Listed<'a> {
    scope: &'a str,
    key: &'a str,
}

pub(crate) async fn list(list: &List, session: &mut Session) -> Result<()> {
    let mut scan = Scan::new(encode_range(&list.scope, &list.prefix)?);
    if let Some(limit) = list.limit {
        scan = scan.limit(limit);
    }
    if list.reverse {
        scan = scan.direction(Direction::Reverse);
    }
    if list.keys_only {
        scan = scan.keys_only();
    }
    let scope = list.scope.to_string();
    let limits = DecodeLimits::from(&session.store.backend.capabilities().limits);
    let view = session.store.view().await?;
    let mut cursor = view.scan(&scan)?;
    loop {
        let page = cursor.next_page().await?;
        if page.is_empty() {
            return Ok(());
        }
        for item in page {
            print(item, &scope, limits, &mut session.output)?;
            session.output.pass_on().await?;
        }
        // A long listing can be left between two pages.
        tokio::task::yield_now().await;
    }
}

fn print(item: Item, scope: &str, limits: DecodeLimits, output: &mut Output) -> Result<()> {
    let (_, key) = decode_key(&item.key)?;
    let Some(entry) = item.entry else {
        return output.either(&plain(&key), &Listed { scope, key: &key });
    };
    let entry = StateEntry::new(key, entry, limits)?;
    let shown = Shown::of_state(scope, &entry)?;
    if output.is_json() {
        return output.json(&shown);
    }
    output.text(&format!("{}\t{}", plain(entry.key()), shown.text()));
    Ok(())
}

pub(crate) async fn count(count: &Count, session: &mut Session) -> Result<()> {
    let range = encode_range(&count.scope, &count.prefix)?;
    let entries = session.store.view().await?.count(&range).await?;
    session
        .output
        .either(&entries.to_string(), &json!({"count": entries}))
}

pub(crate) async fn scopes(session: &mut Session) -> Result<()> {
    let mut after: Option<StateScope> = None;
    loop {
        let page = session.store.state.scopes(after.as_ref(), SCOPES).await?;
        for scope in &page {
            let text = scope.to_string();
            session.output.either(&text, &json!({"scope": text}))?;
        }
        session.output.pass_on().await?;
        if page.len() < SCOPES {
            return Ok(());
        }
        after = page.into_iter().next_back();
    }
}
