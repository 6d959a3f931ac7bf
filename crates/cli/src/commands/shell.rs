//! `stead completions` and `stead man`.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use stead::Error;

use crate::args::Cli;
use crate::exit::{Failure, Result};
use crate::output::print_now;

/// Print the completions of a shell
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

/// Print the manual page, or write all of them into a directory
#[derive(Args, Debug)]
pub(crate) struct Man {
    /// The directory, where stead.1, stead-set.1 and the others go
    dir: Option<PathBuf>,
}

impl Completions {
    pub(crate) fn run(&self) -> Result<()> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "stead", &mut text);
        print_now(&text)
    }
}

impl Man {
    pub(crate) fn run(&self) -> Result<()> {
        match &self.dir {
            Some(dir) => write_all(dir).map_err(|cause| {
                Failure::from(
                    Error::unavailable("cannot write the manual pages")
                        .with("dir", dir.display())
                        .because(cause),
                )
            }),
            None => {
                let mut text = Vec::new();
                clap_mangen::Man::new(Cli::command())
                    .render(&mut text)
                    .map_err(Failure::printing)?;
                print_now(&text)
            }
        }
    }
}

fn write_all(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(Cli::command(), dir)
}
