//! The command line.

use clap::{Parser, Subcommand};
use stead::core::{Revision, Ttl, parse_duration};
use stead::state::StateClass;
use stead::{Error, Result, StateScope};

use crate::commands::{apply, change, check, demo, export, get, import, list, set, shell, watch};

const EXIT_CODES: &str = "\
Scopes: global, user:ID, session:ID, agent:ID, workflow:ID, step:WORKFLOW/STEP, tool:ID, hook:ID, custom:KIND/ID
Exit codes: 0 done, 1 not there, 2 bad usage or input, 3 conflict, 4 store unavailable, 5 corrupt, 6 denied";

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
        hide_env_values = true
    )]
    pub(crate) store: Option<String>,

    /// Print JSON, one object to a line, errors on stderr included
    #[arg(long, global = true)]
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
    Stats(check::Stats),
    Check(check::Check),
    Demo(demo::Demo),

    Completions(shell::Completions),
    Man(shell::Man),
}

pub(crate) fn scope(text: &str) -> Result<StateScope> {
    text.parse()
}

pub(crate) fn ttl(text: &str) -> Result<Ttl> {
    if text.trim_start().starts_with('-') {
        return Err(Error::invalid(
            "a time to live is longer than nothing, as in 250ms or 1h30m",
        ));
    }
    parse_duration(text).and_then(Ttl::new)
}

pub(crate) fn class(text: &str) -> Result<StateClass> {
    text.parse()
}

pub(crate) fn revision(text: &str) -> Result<Revision> {
    text.parse()
        .map(Revision::new)
        .map_err(|_| Error::invalid("not a whole number from 0 to 2^64 - 1"))
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
