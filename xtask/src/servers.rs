//! The servers of the tests: installing them, and starting some to look at.

use std::process::Command;

use anyhow::{Result, bail};
use clap::{Subcommand, ValueEnum};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use stead_servers::{
    AppendFsync, Need, PgBouncer, PostgresOptions, PostgresServer, RedisCluster, RedisOptions, RedisServer,
};

use crate::{debian, s3};

#[derive(Subcommand)]
pub(crate) enum Servers {
    /// Start private servers, print their URLs, and stop them at Ctrl-C
    Start {
        /// Which
        #[arg(default_value = "all")]
        which: Which,
    },
    /// Say what is installed and what is missing; fails when something is
    Check,
    /// Install what is missing where that is possible: Debian, as root or with sudo. No service is left on
    Install,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// One Redis that syncs each write
    Redis,
    /// A Redis Cluster of three masters and three replicas
    Cluster,
    /// A PostgreSQL, and a PgBouncer before it
    Postgres,
    /// All of these
    All,
}

pub(crate) fn run(task: &Servers) -> Result<()> {
    match task {
        Servers::Start { which } => start(*which),
        Servers::Check => check(),
        Servers::Install => {
            ready()?;
            s3::ready()
        }
    }
}

/// Sees to it that the servers are there, for tests that take nothing in their place.
pub(crate) fn ready() -> Result<()> {
    let lacking = missing();
    if lacking.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = lacking.iter().map(|need| need.package).collect();
    eprintln!(
        "servers: installing {} where that is possible",
        packages.join(", ")
    );
    // What counts is what is there afterwards.
    debian::install(&packages);
    let lacking = missing();
    if lacking.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = lacking.iter().map(|need| need.program).collect();
    let packages: Vec<&str> = lacking.iter().map(|need| need.package).collect();
    bail!(
        "the tests need servers that are not installed: {}; install them (Debian: apt-get install {})",
        names.join(", "),
        packages.join(" ")
    )
}

fn missing() -> Vec<Need> {
    let needs = stead_servers::needs().into_iter();
    needs
        .filter_map(|(need, path)| path.is_none().then_some(need))
        .collect()
}

fn check() -> Result<()> {
    for (need, path) in stead_servers::needs() {
        let Some(path) = path else {
            println!(
                "{:<14}missing (Debian: apt-get install {})",
                need.program, need.package
            );
            continue;
        };
        let version = Command::new(&path).arg("--version").output();
        let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let version = version.unwrap_or_else(|error| format!("cannot be run: {error}"));
        let line = version.lines().next().unwrap_or_default();
        println!("{:<14}{}  ({line})", need.program, path.display());
    }
    let s3 = stead_servers::s3_python();
    match &s3 {
        Some(python) => println!("{:<14}{}", "s3", python.display()),
        None => println!(
            "{:<14}missing (Python: {})",
            "s3",
            stead_servers::S3_PACKAGES.join(", ")
        ),
    }
    let count = missing().len() + usize::from(s3.is_none());
    if count > 0 {
        bail!("{count} missing; `cargo xtask servers install` installs them where that is possible");
    }
    Ok(())
}

fn start(which: Which) -> Result<()> {
    // Before the first start: a Ctrl-C during it ends what has been started, too.
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let wanted = |one| which == one || which == Which::All;
    let redis = wanted(Which::Redis)
        .then(|| RedisServer::start(RedisOptions::default().with_append_only(AppendFsync::Always)))
        .transpose()?;
    if let Some(redis) = &redis {
        println!("{:<10} {}", "redis", redis.url());
    }
    let cluster = wanted(Which::Cluster).then(RedisCluster::start).transpose()?;
    if let Some(cluster) = &cluster {
        println!("{:<10} {}", "cluster", cluster.url());
    }
    let postgres = wanted(Which::Postgres)
        .then(|| PostgresServer::start(PostgresOptions::default()))
        .transpose()?;
    let bouncer = postgres.as_ref().map(PgBouncer::start).transpose()?;
    if let (Some(postgres), Some(bouncer)) = (&postgres, &bouncer) {
        println!("{:<10} {}", "postgres", postgres.url());
        println!("{:<10} {}", "pgbouncer", bouncer.url());
    }
    println!("Ctrl-C stops them and removes what they stored.");
    signals.forever().next();
    Ok(())
}
