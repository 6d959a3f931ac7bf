//! Reading the command line, and saying in two lines what is wrong with it.

use std::ffi::OsStr;

use clap::Parser;
use clap::error::ErrorKind;
use stead::Error;

use crate::args::Cli;
use crate::exit::{Exit, Failure};

/// The command line, or how the process ends without one.
pub(crate) fn parse() -> Result<Cli, Exit> {
    Cli::try_parse().map_err(|error| {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            // Help that nobody reads is no failure.
            let _ = error.print();
            return Exit::Done;
        }
        let as_json = std::env::args_os().any(|argument| argument == OsStr::new("--json"));
        let failure = Failure::from(in_short(&error));
        failure.report(as_json);
        failure.exit()
    })
}

/// The first paragraph of what clap says, and where to read on.
fn in_short(error: &clap::Error) -> Error {
    let text = error.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let paragraph = paragraph.trim_start_matches("error: ");
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    let mut message = words.join(" ");
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        "no command was given".clone_into(&mut message);
    }
    // What follows a semicolon would be taken for the hint.
    let message = message.replace("; ", ", ");
    let usage = text.lines().find_map(|line| line.strip_prefix("Usage: "));
    let command = usage.map_or("stead", command_of);
    Error::invalid(format!("{message}; try `{command} --help`"))
}

/// The words of a usage line that name the command.
fn command_of(usage: &str) -> &str {
    let end = usage
        .split_whitespace()
        .find(|word| word.starts_with(['[', '<', '-']))
        .and_then(|word| usage.find(word));
    usage[..end.unwrap_or(usage.len())].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(arguments: &[&str]) -> String {
        in_short(&Cli::try_parse_from(arguments).unwrap_err()).to_string()
    }

    #[test]
    fn two_lines_say_what_is_wrong() {
        assert_eq!(
            told(&["stead", "set", "global"]),
            "the following required arguments were not provided: <KEY> <VALUE>; try `stead set --help`"
        );
        assert_eq!(
            told(&["stead", "gett", "global"]),
            "unrecognized subcommand 'gett'; try `stead --help`"
        );
        assert_eq!(told(&["stead"]), "no command was given; try `stead --help`");
    }
}
