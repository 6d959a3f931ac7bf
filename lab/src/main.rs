//! The fault laboratory: what is left of a store when its process, its disk or its machine fails.
//!
//! `cargo xtask crash` runs it; `docs/src/reliability.md` says what each section does.

mod child;
mod concurrency;
mod engines;
mod files;
mod flavour;
mod io;
mod kill;
mod planted;
mod power;
#[cfg(feature = "servers")]
mod servers;
mod stand;
mod strace;
mod syscalls;
mod tally;
mod worker;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "stead-lab", about = "The fault laboratory of Stead")]
struct Arguments {
    #[command(subcommand)]
    section: Section,
}

#[derive(Subcommand)]
enum Section {
    Kill(kill::Kill),
    Syscalls(syscalls::Syscalls),
    Io(io::Io),
    Power(power::Power),
    #[cfg(feature = "backup")]
    Backups(power::backups::Backups),
    #[cfg(feature = "backup")]
    BackupKill(power::backups::BackupKill),
    Planted(planted::Planted),
    Concurrency(concurrency::Concurrency),
    #[cfg(feature = "servers")]
    Servers(servers::Servers),
    Worker(worker::Worker),
    #[cfg(feature = "backup")]
    BackupWriter(power::backups::Writer),
    /// Name the engines that are compiled in
    Engines,
}

fn main() -> Result<ExitCode> {
    let code = match Arguments::parse().section {
        Section::Kill(arguments) => kill::run(&arguments)?,
        Section::Syscalls(arguments) => syscalls::run(&arguments)?,
        Section::Io(arguments) => io::run(&arguments)?,
        Section::Power(arguments) => power::run(&arguments)?,
        #[cfg(feature = "backup")]
        Section::Backups(arguments) => power::backups::run(&arguments)?,
        #[cfg(feature = "backup")]
        Section::BackupKill(arguments) => power::backups::run_kills(&arguments)?,
        Section::Planted(arguments) => {
            planted::run(&arguments)?;
            0
        }
        Section::Concurrency(arguments) => {
            concurrency::run(&arguments)?;
            0
        }
        #[cfg(feature = "servers")]
        Section::Servers(arguments) => servers::run(&arguments)?,
        Section::Worker(arguments) => {
            worker::work(&arguments)?;
            0
        }
        #[cfg(feature = "backup")]
        Section::BackupWriter(arguments) => {
            power::backups::write(&arguments)?;
            0
        }
        Section::Engines => {
            for engine in engines::ENGINES {
                println!("{}", engine.name);
            }
            0
        }
    };
    Ok(ExitCode::from(code))
}
