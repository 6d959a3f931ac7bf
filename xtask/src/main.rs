//! The tasks of this repository. `cargo xtask help` lists them.

mod bench;
mod crash;
mod debian;
mod docs;
mod features;
mod reader;
mod rocksdb;
mod run;
mod s3;
mod servers;
mod tidy;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use run::cargo;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The tasks of this repository")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run all tests, the doctests among them, the conformance suite on every backend, and a short form of each section
    /// of the fault laboratory
    Test,
    /// Run the conformance suite on one backend
    Conformance {
        /// The backend
        #[arg(long)]
        backend: Backend,
        /// Only the cases whose name holds this
        filter: Option<String>,
    },
    /// Kill a writer with SIGKILL again and again and see that every acknowledged write is there
    Kill {
        /// How often
        #[arg(long, default_value_t = 2_000)]
        kills: u32,
    },
    Crash(crash::Crash),
    /// Measure Stead side by side with the bare structures and engines, and print the ratios
    Bench {
        /// Which of footprint, index, memory, engines, state, servers and scale, all without names; `--engine E`,
        /// `--server S`, `--entries N`, and `--chart` for the documentation. Or `criterion` and a filter for the small ones
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Write the tables of the documentation that say what the stores declare
    Docs,
    /// Build the facade with none of its features, and with each by itself
    Features,
    /// Print the variables that let a plain cargo use the compiled RocksDB of this machine: eval "$(cargo xtask env)"
    Env,
    /// The private Redis, PostgreSQL and S3 servers of the tests: start some, see what is installed, install the rest
    #[command(subcommand)]
    Servers(servers::Servers),
    /// Check the dependency rule, what the crates pull in, the length of files and the links between pages
    Tidy,
}

#[derive(Clone, Copy, ValueEnum)]
enum Backend {
    Fjall,
    Memory,
    Postgres,
    Redb,
    /// A single server and a Cluster
    Redis,
    Rocksdb,
    Sled,
}

impl Backend {
    fn package(self) -> &'static str {
        match self {
            Backend::Fjall => "stead-fjall",
            Backend::Memory => "stead-memory",
            Backend::Postgres => "stead-postgres",
            Backend::Redb => "stead-redb",
            Backend::Redis => "stead-redis",
            Backend::Rocksdb => "stead-rocksdb",
            Backend::Sled => "stead-sled",
        }
    }
}

fn main() -> Result<()> {
    match Arguments::parse().task {
        Task::Test => test(),
        Task::Conformance { backend, filter } => conformance(backend, filter.as_deref()),
        Task::Kill { kills } => kill(kills),
        Task::Crash(arguments) => crash::run(&arguments),
        Task::Bench { words } => bench::run(&words),
        Task::Docs => docs::run(),
        Task::Features => {
            rocksdb::ready()?;
            features::run()
        }
        Task::Env => rocksdb::print_environment(),
        Task::Servers(task) => servers::run(&task),
        Task::Tidy => tidy::run(),
    }
}

/// Everything in one build of the workspace. The suites of the backends are test targets of their crates, so none is
/// left out.
fn test() -> Result<()> {
    run::need_c_compiler()?;
    servers::ready()?;
    s3::ready()?;
    reader::ready()?;
    rocksdb::ready()?;
    cargo(&["test", "--workspace", "--all-features", "--no-fail-fast"])
}

fn conformance(backend: Backend, filter: Option<&str>) -> Result<()> {
    match backend {
        Backend::Rocksdb => rocksdb::ready()?,
        Backend::Postgres | Backend::Redis => servers::ready()?,
        Backend::Fjall | Backend::Memory | Backend::Redb | Backend::Sled => {}
    }
    let mut arguments = vec!["test", "--package", backend.package(), "--test", "conformance"];
    if let Some(filter) = filter {
        arguments.extend(["--", filter]);
    }
    cargo(&arguments)
}

fn kill(kills: u32) -> Result<()> {
    let arguments = [
        "test",
        "--release",
        "--package",
        "stead-cli",
        "--test",
        "kill",
        "--",
        "--nocapture",
    ];
    run::cargo_with(&arguments, &[("STEAD_KILLS", &kills.to_string())])
}
