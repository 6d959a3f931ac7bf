//! Measures Stead side by side with the bare structures and engines below it, in one run, and prints ratios.
//!
//! Run it with `cargo xtask bench [footprint|index|memory|engines|state|backup|servers|scale]...`; without names everything
//! runs. `--engine E` measures one engine only, `--server S` one server only, `--part P` one part of the backups only,
//! `--entries N` sets the size of the stores, and `--chart` writes the table and the charts of docs/src/performance.md. `cargo
//! xtask bench criterion` runs the small comparisons in `benches/` with criterion; what it needs of this crate is public.

pub mod engines;
pub mod workload;

mod backup;
mod chart;
mod footprint;
mod index;
mod measure;
mod memory;
mod process;
mod report;
#[cfg(feature = "servers")]
mod servers;
mod state;

use std::process::ExitCode;

use engines::Settings;
use report::Report;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BENCHES: &[&str] = &[
    "footprint",
    "index",
    "memory",
    "engines",
    "state",
    "backup",
    #[cfg(feature = "servers")]
    "servers",
    #[cfg(feature = "servers")]
    "scale",
];
#[cfg(feature = "servers")]
const SERVERS: &[&str] = &servers::SERVERS;
#[cfg(not(feature = "servers"))]
const SERVERS: &[&str] = &[];

/// What was asked for on the command line.
#[derive(Debug, Default)]
struct Arguments {
    names: Vec<String>,
    settings: Settings,
    /// Only this server.
    server: Option<String>,
    /// Only this part of the backups.
    part: Option<String>,
}

/// Runs what the command line asks for.
#[must_use]
pub fn main() -> ExitCode {
    if footprint::ran_as_child() || engines::ran_as_child() || backup::ran_as_child() {
        return ExitCode::SUCCESS;
    }
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let mut report = Report::default();
    for &name in BENCHES {
        if !arguments.names.is_empty() && !arguments.names.iter().any(|wanted| wanted == name) {
            continue;
        }
        match name {
            "footprint" => footprint::run(&mut report),
            "index" => index::run(),
            "memory" => memory::run(&mut report),
            "engines" => engines::run(&mut report, &arguments.settings),
            "backup" => backup::run(&mut report, &arguments.settings, arguments.part.as_deref()),
            #[cfg(feature = "servers")]
            "servers" => servers::run(&mut report, arguments.server.as_deref()),
            #[cfg(feature = "servers")]
            "scale" => servers::scale(&mut report, arguments.server.as_deref()),
            _ => state::run(&mut report),
        }
    }
    report.finish();
    ExitCode::SUCCESS
}

fn parse(words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    let mut words = words;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match &*word {
            "--engine" => {
                let name = value()?;
                if !engines::ENGINES.iter().any(|engine| engine.name == name) {
                    return Err(unknown(
                        "engine",
                        &name,
                        engines::ENGINES.iter().map(|engine| engine.name),
                    ));
                }
                arguments.settings.engine = Some(name);
            }
            "--server" => {
                let name = value()?;
                if !SERVERS.contains(&&*name) {
                    return Err(unknown("server", &name, SERVERS.iter().copied()));
                }
                arguments.server = Some(name);
            }
            "--part" => {
                let name = value()?;
                if !backup::PARTS.contains(&&*name) {
                    return Err(unknown(
                        "part of the backups",
                        &name,
                        backup::PARTS.iter().copied(),
                    ));
                }
                arguments.part = Some(name);
            }
            "--entries" => {
                let entries = value()?;
                arguments.settings.entries = match entries.parse() {
                    Ok(entries) if entries >= 1_000 => entries,
                    _ => return Err(format!("--entries takes a number from 1000 on, not {entries:?}")),
                };
            }
            "--chart" => arguments.settings.chart = true,
            name if BENCHES.contains(&name) => arguments.names.push(word),
            name => return Err(unknown("benchmark", name, BENCHES.iter().copied())),
        }
    }
    if arguments.settings.chart && arguments.settings.engine.is_some() {
        return Err("--chart shows all engines in one run; leave out --engine".to_owned());
    }
    Ok(arguments)
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.collect();
    format!("unknown {what} {name:?}; there are {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Arguments, String> {
        parse(words.iter().map(|&word| word.to_owned()))
    }

    #[test]
    fn names_and_options_are_taken() {
        let arguments = parsed(&["engines", "--entries", "5000", "state", "--chart"]).expect("it is valid");
        assert_eq!(arguments.names, ["engines", "state"]);
        assert_eq!(arguments.settings.entries, 5_000);
        assert!(arguments.settings.chart && arguments.settings.engine.is_none());
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        for (words, said) in [
            (&["redb"][..], "unknown benchmark \"redb\"; there are footprint"),
            (&["--engine", "lmdb"], "unknown engine \"lmdb\"; there are "),
            (&["--server", "valkey"], "unknown server \"valkey\"; there are "),
            (
                &["--part", "prune"],
                "unknown part of the backups \"prune\"; there are checkpoint",
            ),
            (&["--engine"], "--engine needs a value"),
            (&["--entries", "10"], "from 1000 on"),
        ] {
            let refused = parsed(words).expect_err("it is not valid");
            assert!(refused.contains(said), "{refused}");
        }
    }

    #[test]
    fn chart_of_a_part_is_refused() {
        let name = engines::ENGINES[0].name;
        let refused = parsed(&["--chart", "--engine", name]).expect_err("it is not valid");
        assert!(refused.contains("all engines"), "{refused}");
    }
}
