//! Reading the command line, and saying in two lines what is wrong with it.

use std::ffi::OsStr;

use clap::error::{ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
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
    let text = without_secrets(error);
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let paragraph = paragraph.trim_start_matches("error: ");
    let words: Vec<String> = paragraph.split_whitespace().map(shortened).collect();
    let message = match error.kind() {
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "no command was given".to_owned()
        }
        // What follows a semicolon would be taken for the hint.
        _ => words.join(" ").replace("; ", ", "),
    };
    Error::invalid(format!("{message}; try `{} --help`", command()))
}

/// What clap says. It repeats what was given, and a URL in the wrong place may hold a password: only its scheme is shown.
fn without_secrets(error: &clap::Error) -> String {
    let given = error.context().filter_map(|(_, value)| match value {
        ContextValue::String(given) => given.split_once("://").map(|(scheme, _)| (given, scheme)),
        _ => None,
    });
    given.fold(error.to_string(), |text, (given, scheme)| {
        text.replace(given.as_str(), &format!("{scheme}://[..]"))
    })
}

/// clap repeats what was given, however long it is.
fn shortened(word: &str) -> String {
    const MOST: usize = 100;
    if word.chars().count() <= MOST {
        return word.to_owned();
    }
    let front: String = word.chars().take(MOST / 2).collect();
    format!("{front}[..]'")
}

/// The command that was asked for, as far as it is one.
fn command() -> String {
    let known = Cli::command();
    let mut arguments = std::env::args_os().skip(1);
    let name = arguments.find_map(|argument| {
        let known = known.find_subcommand(&argument)?;
        Some(format!("stead {}", known.get_name()))
    });
    name.unwrap_or_else(|| "stead".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(arguments: &[&str]) -> String {
        let error = in_short(&Cli::try_parse_from(arguments).unwrap_err()).to_string();
        let (message, hint) = error.split_once("; ").unwrap();
        assert!(hint.starts_with("try `stead"), "{hint}");
        message.to_owned()
    }

    #[test]
    fn one_line_says_what_is_wrong() {
        assert_eq!(
            told(&["stead", "set", "global"]),
            "the following required arguments were not provided: <KEY> <VALUE>"
        );
        assert_eq!(
            told(&["stead", "gett", "global"]),
            "unrecognized subcommand 'gett'"
        );
        assert_eq!(told(&["stead"]), "no command was given");
    }

    #[test]
    fn a_url_in_the_wrong_place_is_not_repeated() {
        let url = "postgres://app:hunter2' for 'it@db/shop?password=hunter2";
        for (arguments, wanted) in [
            (
                &["backup", "restore", url][..],
                "unexpected argument 'postgres://[..]' found",
            ),
            (
                &["backup", "show", url],
                "invalid value 'postgres://[..]' for '<ID>': ",
            ),
            (&["copy", url], "unexpected argument 'postgres://[..]' found"),
            (&[url], "unrecognized subcommand 'postgres://[..]'"),
        ] {
            let message = told(&[&["stead"], arguments].concat());
            assert!(
                !message.contains("hunter2") && message.contains(wanted),
                "{message}"
            );
        }
    }
}
