//! The command line.

use std::time::Duration;

use clap::{Parser, Subcommand};
use stead::core::{Revision, Ttl, parse_duration};
use stead::state::{Pattern, StateClass};
use stead::{Error, StateScope};

use crate::commands::{
    apply, backup, change, check, copy, demo, export, get, import, list, set, shell, watch,
};

const EXIT_CODES: &str = "\
Scopes: global, user:ID, session:ID, agent:ID, workflow:ID, step:WORKFLOW/STEP, tool:ID, hook:ID, custom:KIND/ID
Exit codes: 0 done, 1 not there, 2 bad usage or input, 3 conflict, 4 store unavailable, 5 corrupt, 6 denied";

/// The heading of the options that every command takes.
const EVERYWHERE: &str = "Options of every command";

/// Durable state for programs that must remember
#[derive(Parser, Debug)]
#[command(name = "stead", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    /// The store, such as redb:./data or redb:./data?durability=buffered [default: the `store` of ./stead.toml, else
    /// redb:./stead-data]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "STEAD_STORE",
        hide_env_values = true,
        help_heading = EVERYWHERE
    )]
    pub(crate) store: Option<String>,

    /// Print JSON, one object to a line, errors on stderr included
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Set(set::Set),
    Get(get::Get),
    Delete(change::Delete),
    Touch(change::Touch),
    Incr(change::Incr),
    List(list::List),
    Count(list::Count),
    Scopes(list::Scopes),
    Watch(watch::Watch),
    Apply(apply::Apply),
    Import(import::Import),
    Export(export::Export),
    Copy(copy::Copy),
    Backup(backup::Backup),
    Stats(check::Stats),
    Check(check::Check),
    Demo(demo::Demo),

    Completions(shell::Completions),
    Man(shell::Man),
}

/// What is wrong with an argument. clap names the argument and what was given for it, so that need not come twice.
type Wrong = String;

fn in_words(error: &Error, given: &str) -> Wrong {
    let mut words = error.message().to_owned();
    let rest: Vec<String> = error
        .context()
        .filter(|(_, value)| *value != given)
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if !rest.is_empty() {
        words.push_str(": ");
        words.push_str(&rest.join(" "));
    }
    words
}

pub(crate) fn scope(text: &str) -> Result<StateScope, Wrong> {
    text.parse().map_err(|error| in_words(&error, text))
}

pub(crate) fn pattern(text: &str) -> Result<Pattern, Wrong> {
    Pattern::new(text).map_err(|error| in_words(&error, text))
}

pub(crate) fn ttl(text: &str) -> Result<Ttl, Wrong> {
    if text.trim_start().starts_with('-') {
        return Err("a time to live is longer than nothing, as in 250ms or 1h30m".to_owned());
    }
    duration(text).and_then(|duration| Ttl::new(duration).map_err(|error| error.message().to_owned()))
}

pub(crate) fn duration(text: &str) -> Result<Duration, Wrong> {
    parse_duration(text).map_err(|error| in_words(&error, text))
}

/// A time that is not zero.
pub(crate) fn span(text: &str) -> Result<Duration, Wrong> {
    duration(text).and_then(|span| match span.is_zero() {
        true => Err("a time here is longer than nothing, as in 15m".to_owned()),
        false => Ok(span),
    })
}

pub(crate) fn class(text: &str) -> Result<StateClass, Wrong> {
    text.parse().map_err(|error| in_words(&error, text))
}

pub(crate) fn revision(text: &str) -> Result<Revision, Wrong> {
    text.parse()
        .map(Revision::new)
        .map_err(|_| "not a whole number from 0 to 2^64 - 1".to_owned())
}

pub(crate) fn summand(text: &str) -> Result<i64, Wrong> {
    text.parse()
        .map_err(|_| "not a whole number of 64 bits with a sign".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn lifetimes_are_longer_than_nothing() {
        assert!(ttl("5m").is_ok());
        for text in [
            "0s",
            "-5m",
            "",
            "5",
            "18446744073709551616ms",
            "999999999999999999w",
        ] {
            assert!(ttl(text).is_err(), "{text}");
        }
    }
}
