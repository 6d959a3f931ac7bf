//! `cargo xtask crash`: the fault laboratory, and the table of what it found.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;
use clap::{Args, ValueEnum};

use crate::run::{answers, cargo, root};
use crate::{debian, rocksdb, servers};

/// Make processes, disks and machines fail, and see what is left of the stores
#[derive(Args)]
pub(crate) struct Crash {
    /// Only these sections; all without names
    #[arg(value_enum)]
    sections: Vec<Section>,
    /// Only on these engines; otherwise on all. Of the section servers: redis, redis-cluster and postgres
    #[arg(long = "engine")]
    engines: Vec<String>,
    /// How often each server of the section servers is killed; 300 times otherwise
    #[arg(long)]
    kills: Option<u64>,
    /// How many histories are checked on each server of the section servers; 200 otherwise
    #[arg(long)]
    histories: Option<u64>,
    /// As much as fits into a few minutes
    #[arg(long)]
    short: bool,
    /// Which workloads and choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    Kill,
    Syscalls,
    Power,
    Io,
    Concurrency,
    Planted,
    Backups,
    BackupKill,
    Servers,
}

/// What the section of the servers runs on.
const SERVERS: [&str; 3] = ["redis", "redis-cluster", "postgres"];

impl Section {
    const ALL: [Section; 9] = [
        Section::Kill,
        Section::Syscalls,
        Section::Power,
        Section::Io,
        Section::Concurrency,
        Section::Planted,
        Section::Backups,
        Section::BackupKill,
        Section::Servers,
    ];

    fn name(self) -> &'static str {
        match self {
            Section::Kill => "kill",
            Section::Syscalls => "syscalls",
            Section::Power => "power",
            Section::Io => "io",
            Section::Concurrency => "concurrency",
            Section::Planted => "planted",
            Section::Backups => "backups",
            Section::BackupKill => "backup-kill",
            Section::Servers => "servers",
        }
    }

    /// Whether it runs on one engine at a time.
    fn is_per_engine(self) -> bool {
        !matches!(self, Section::Concurrency | Section::Planted | Section::Backups)
    }

    /// How much of it is done.
    fn amount(self, engine: &str, short: bool) -> Vec<String> {
        let words = match (self, short) {
            (Section::Kill, false) => "--kills 2000",
            (Section::Kill, true) => "--kills 50",
            (Section::Syscalls, false) => "--points 500",
            (Section::Syscalls, true) => "--points 70",
            (Section::Power, false) if engine == "redb" => "--images 10000",
            (Section::Power, false) => "--images 2000",
            (Section::Power, true) | (Section::Backups, true) => "--images 200",
            (Section::Backups, false) => "--images 5000",
            (Section::BackupKill, false) => "--kills 300",
            (Section::BackupKill, true) => "--kills 20",
            (Section::Io, false) => "",
            (Section::Io, true) => "--points 20",
            (Section::Concurrency | Section::Planted | Section::Servers, false) => "",
            (Section::Concurrency | Section::Planted | Section::Servers, true) => "--short",
        };
        words.split_whitespace().map(str::to_owned).collect()
    }
}

/// One line of the table.
struct Row {
    section: String,
    engine: String,
    /// Runs, acknowledged writes, lost, half, reused, other failures; empty for a section that counts otherwise.
    counts: [String; 6],
    seconds: String,
    verdict: String,
}

const COUNTS: [&str; 6] = ["runs", "acknowledged", "lost", "half", "reused", "other"];

pub(crate) fn run(arguments: &Crash) -> Result<()> {
    let lab = build()?;
    let compiled = engines(&lab)?;
    let is_server = |engine: &String| SERVERS.contains(&engine.as_str());
    let (servers, named): (Vec<String>, Vec<String>) = arguments.engines.iter().cloned().partition(is_server);
    let (engines, servers) = if arguments.engines.is_empty() {
        (compiled, SERVERS.map(str::to_owned).to_vec())
    } else {
        (named.clone(), servers)
    };
    let sections = if arguments.sections.is_empty() {
        Section::ALL.to_vec()
    } else {
        arguments.sections.clone()
    };
    if sections.iter().any(|section| *section != Section::Planted) {
        need_strace();
    }
    if sections.contains(&Section::Servers) {
        servers::ready()?;
    }
    let mut rows = Vec::new();
    for section in sections {
        if section.is_per_engine() {
            let engines = if section == Section::Servers {
                &servers
            } else {
                &engines
            };
            for engine in engines {
                let mut words = vec![section.name().to_owned(), "--engine".to_owned(), engine.clone()];
                words.extend(section.amount(engine, arguments.short));
                words.extend(["--seed".to_owned(), arguments.seed.to_string()]);
                if section == Section::Servers {
                    let amounts = [("--kills", arguments.kills), ("--histories", arguments.histories)];
                    let given = amounts
                        .into_iter()
                        .filter_map(|(name, amount)| Some([name.to_owned(), amount?.to_string()]));
                    words.extend(given.flatten());
                }
                rows.extend(run_section(&lab, section, engine, &words)?);
            }
        } else {
            let mut words = vec![section.name().to_owned()];
            words.extend(section.amount("", arguments.short));
            if section == Section::Concurrency {
                words.extend(
                    named
                        .iter()
                        .flat_map(|engine| ["--engine".to_owned(), engine.clone()]),
                );
            }
            rows.extend(run_section(&lab, section, "all", &words)?);
        }
    }
    print(&rows);
    let bad: Vec<String> = rows
        .iter()
        .filter(|row| row.verdict != "ok")
        .map(|row| format!("{} {}: {}", row.section, row.engine, row.verdict))
        .collect();
    if !bad.is_empty() {
        bail!("{}", bad.join("; "));
    }
    Ok(())
}

/// Builds the laboratory with every engine, and says where it is.
fn build() -> Result<PathBuf> {
    rocksdb::ready()?;
    cargo(&[
        "build",
        "--release",
        "--quiet",
        "--package",
        "stead-lab",
        "--all-features",
    ])?;
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()?;
    let lab = metadata.target_directory.join("release").join("stead-lab");
    Ok(lab.into_std_path_buf())
}

fn engines(lab: &PathBuf) -> Result<Vec<String>> {
    let output = Command::new(lab)
        .arg("engines")
        .output()
        .context("cannot start the laboratory")?;
    let names = String::from_utf8(output.stdout)?;
    Ok(names.lines().map(str::to_owned).collect())
}

/// Installs strace where that is possible without a question. Where it is not, the sections that need it say so and count
/// as not run.
fn need_strace() {
    let there = || answers(Command::new("strace").arg("-V"));
    if there() {
        return;
    }
    eprintln!("crash: system calls are traced with strace; installing it where that is possible");
    if !debian::install(&["strace"]) || !there() {
        eprintln!("crash: there is no strace; install it (Debian: apt-get install strace)");
    }
}

/// Runs one section and passes on what it says. There is a row for each result that it tells.
#[expect(clippy::disallowed_methods, reason = "a tool may measure how long it takes")]
fn run_section(lab: &PathBuf, section: Section, engine: &str, words: &[String]) -> Result<Vec<Row>> {
    println!("--- {}", words.join(" "));
    let begun = Instant::now();
    let mut child = Command::new(lab)
        .args(words)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the laboratory")?;
    let mut results = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            println!("{line}");
            if let Some(words) = line.strip_prefix("result ") {
                results.push(words.to_owned());
            }
        }
    }
    let status = child.wait()?;
    if results.is_empty() {
        results.push(String::new());
    }
    let whole = begun.elapsed().as_secs().to_string();
    let row = |result: &String| {
        let said = |name: &str| {
            let mut pairs = result.split(' ').filter_map(|word| word.split_once('='));
            pairs
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.to_owned())
        };
        let passed = if status.success() { "ok" } else { "failed" };
        Row {
            section: said("section").unwrap_or_else(|| section.name().to_owned()),
            engine: said("engine").unwrap_or_else(|| engine.to_owned()),
            counts: COUNTS.map(|name| said(name).unwrap_or_default()),
            seconds: said("seconds").unwrap_or_else(|| whole.clone()),
            verdict: match said("verdict") {
                Some(verdict) if verdict == "ok" => passed.to_owned(),
                Some(verdict) => verdict,
                None => passed.to_owned(),
            },
        }
    };
    Ok(results.iter().map(row).collect())
}

fn print(rows: &[Row]) {
    println!();
    println!("| section | engine | runs | acknowledged | lost | half | reused | other | seconds | verdict |");
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|---|");
    for row in rows {
        println!(
            "| {} | {} | {} | {} | {} |",
            row.section,
            row.engine,
            row.counts.join(" | "),
            row.seconds,
            row.verdict
        );
    }
}
