//! `stead list`, `stead count` and `stead scopes`.

use clap::Args;
use serde::Serialize;
use serde_json::json;
use stead::StateScope;
use stead::core::{Direction, KeyRange, ReadExt};
use stead::state::{ListOptions, ScopedState, encode_key};

use super::Session;
use crate::args;
use crate::exit::Result;
use crate::output::plain;
use crate::record::Shown;

/// What is read at a time. Each page is of one instant; a list of many pages is not.
const PAGE: usize = 256;

/// Print the keys and values of a scope, in byte order
///
/// One line for each: the key, a tab, the value as JSON. They are read 256 at a time: each such page is of one instant, a
/// longer list is not. `export --scope` is of one instant.
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
/// Counted in one instant.
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
#[derive(Args, Debug)]
pub(crate) struct Scopes {}

/// The pages of a listing.
struct Pages {
    options: ListOptions,
    left: usize,
}

impl Pages {
    fn new(prefix: &str, limit: Option<usize>, direction: Direction) -> Self {
        Pages {
            options: ListOptions::default()
                .with_prefix(prefix)
                .with_direction(direction),
            left: limit.unwrap_or(usize::MAX),
        }
    }

    /// What to ask for next; `None` when nothing more is wanted.
    fn next(&self) -> Option<ListOptions> {
        (self.left > 0).then(|| self.options.clone().with_limit(PAGE.min(self.left)))
    }

    /// Goes on behind a page that ended with `last`.
    fn passed(&mut self, entries: usize, last: Option<&str>) {
        self.left -= entries.min(self.left);
        match last {
            Some(last) if entries == PAGE => self.options = self.options.clone().with_after(last),
            _ => self.left = 0,
        }
    }
}

pub(crate) async fn list(list: &List, session: &mut Session) -> Result<()> {
    let scope = session.store.state.scope(list.scope.clone())?;
    let direction = if list.reverse {
        Direction::Reverse
    } else {
        Direction::Forward
    };
    let mut pages = Pages::new(&list.prefix, list.limit, direction);
    while let Some(options) = pages.next() {
        let (entries, last) = if list.keys_only {
            keys(&scope, &options, session).await?
        } else {
            values(&scope, &options, session).await?
        };
        pages.passed(entries, last.as_deref());
        // A long listing can be left between two pages.
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// A key, for programs.
#[derive(Serialize)]
struct Listed<'a> {
    scope: &'a str,
    key: &'a str,
}

type Passed = (usize, Option<String>);

async fn keys(scope: &ScopedState, options: &ListOptions, session: &mut Session) -> Result<Passed> {
    let keys = scope.list_keys_with(options).await?;
    let name = scope.scope().to_string();
    for key in &keys {
        session
            .output
            .either(&plain(key), &Listed { scope: &name, key })?;
    }
    Ok((keys.len(), keys.last().cloned()))
}

async fn values(scope: &ScopedState, options: &ListOptions, session: &mut Session) -> Result<Passed> {
    let entries = scope.list(options).await?;
    let name = scope.scope().to_string();
    for entry in &entries {
        let shown = Shown::of_state(&name, entry)?;
        if session.output.is_json() {
            session.output.json(&shown)?;
        } else {
            let line = format!("{}\t{}", plain(entry.key()), shown.text());
            session.output.text(&line)?;
        }
    }
    Ok((entries.len(), entries.last().map(|entry| entry.key().to_owned())))
}

pub(crate) async fn count(count: &Count, session: &mut Session) -> Result<()> {
    let range = range(&count.scope, &count.prefix)?;
    let entries = session.store.backend.snapshot().await?.count(&range).await?;
    session
        .output
        .either(&entries.to_string(), &json!({"count": entries}))
}

/// The keys of `scope` that begin with `prefix`.
fn range(scope: &StateScope, prefix: &str) -> Result<KeyRange> {
    if !prefix.is_empty() {
        let first = encode_key(scope, prefix)?;
        return Ok(KeyRange::prefix(&first.partition(), first.path())?);
    }
    // What stands before the text of any key.
    let any = encode_key(scope, "k")?;
    let before = &any.path()[..any.path().len() - 1];
    Ok(KeyRange::prefix(&any.partition(), before)?)
}

pub(crate) async fn scopes(session: &mut Session) -> Result<()> {
    let mut after: Option<StateScope> = None;
    loop {
        let page = session.store.state.scopes(after.as_ref(), PAGE).await?;
        for scope in &page {
            let text = scope.to_string();
            session.output.either(&text, &json!({"scope": text}))?;
        }
        if page.len() < PAGE {
            return Ok(());
        }
        after = page.into_iter().next_back();
    }
}
