//! A short form of the sections that kill, let system calls fail and take the power, on every engine that is compiled in,
//! and while backups are made. The long form is `cargo xtask crash`.
//!
//! What cannot be done here shows as ignored, with the reason in its name.

use std::path::Path;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

const ENGINES: &[&str] = &[
    #[cfg(feature = "fjall")]
    "fjall",
    #[cfg(feature = "redb")]
    "redb",
    #[cfg(feature = "rocksdb")]
    "rocksdb",
    #[cfg(feature = "sled")]
    "sled",
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let strace = untraceable();
    let mount = unmountable();
    let mut trials = Vec::new();
    for engine in ENGINES {
        let mut add = |name: &str, words: &'static [&'static str], obstacle: Option<&str>| {
            let shown = match obstacle {
                Some(reason) => format!("{name}::{engine} ({reason})"),
                None => format!("{name}::{engine}"),
            };
            let trial = Trial::test(shown, move || lab(engine, words).map(drop));
            trials.push(trial.with_ignored_flag(obstacle.is_some()));
        };
        add("kill", &["kill", "--kills", "20"], None);
        add("syscalls", &["syscalls", "--points", "21"], strace);
        add("io_errors", &["io", "--part", "errors", "--points", "8"], strace);
        add(
            "short_writes",
            &["io", "--part", "short-writes", "--points", "5"],
            None,
        );
        #[cfg(feature = "backup")]
        add("backup_kill", &["backup-kill", "--kills", "12"], None);
        add("disk_full", &["io", "--part", "full", "--points", "6"], mount);
        let shown = strace.map_or_else(String::new, |reason| format!(" ({reason})"));
        let power = Trial::test(format!("power::{engine}{shown}"), move || power(engine));
        trials.push(power.with_ignored_flag(strace.is_some()));
    }
    #[cfg(feature = "backup")]
    {
        let shown = strace.map_or_else(String::new, |reason| format!(" ({reason})"));
        let trial = Trial::test(format!("backups{shown}"), backups);
        trials.push(trial.with_ignored_flag(strace.is_some()));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The loss of power, and the control: a disk that syncs nothing is found out.
fn power(engine: &str) -> Result<(), Failed> {
    // redb's are made in memory.
    let images = if engine == "redb" { "400" } else { "60" };
    let said = lab(engine, &["power", "--images", images])?;
    let line = |begin: &str| said.lines().find(|line| line.starts_with(begin));
    let counted = format!("runs={images} ");
    let result =
        line("result ").filter(|line| line.contains(&counted) && line.contains("lost=0 half=0 reused=0"));
    let control = line("control ").filter(|line| !line.contains("without syncs 0 of"));
    match (result, control) {
        (Some(_), Some(_)) => Ok(()),
        _ => Err(Failed::from(said)),
    }
}

/// The loss of power while backups are made, and its control.
#[cfg(feature = "backup")]
fn backups() -> Result<(), Failed> {
    let said = run(&["backups", "--images", "150"])?;
    let failed = said
        .lines()
        .find_map(|line| line.strip_prefix("control backups: without syncs "));
    match failed.filter(|failed| !failed.starts_with("0 ")) {
        Some(_) if said.contains(" runs=150 ") => Ok(()),
        _ => Err(Failed::from(said)),
    }
}

/// Runs a section on an engine.
fn lab(engine: &str, words: &[&str]) -> Result<String, Failed> {
    run(&[words, &["--engine", engine]].concat())
}

/// Runs a section, which has to end well, and returns what it said.
fn run(words: &[&str]) -> Result<String, Failed> {
    let output = Command::new(env!("CARGO_BIN_EXE_stead-lab"))
        .args(words)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    if output.status.success() && said.contains(" verdict=ok") {
        return Ok(format!("{said}{complaints}"));
    }
    Err(Failed::from(format!("{}\n{said}\n{complaints}", output.status)))
}

/// Why system calls cannot be traced, if they cannot.
fn untraceable() -> Option<&'static str> {
    let traced = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .output();
    match traced {
        Err(_) => Some("strace is not installed"),
        Ok(output) if !output.status.success() => Some("strace may not trace"),
        Ok(_) => None,
    }
}

/// Why a tmpfs cannot be mounted, if it cannot.
fn unmountable() -> Option<&'static str> {
    let Ok(home) = tempfile::tempdir() else {
        return Some("there is no temporary directory");
    };
    if mount(&["-t", "tmpfs", "-o", "size=64k", "stead-lab"], home.path()) {
        let unmounted = Command::new("umount").arg(home.path()).status();
        assert!(
            unmounted.is_ok_and(|status| status.success()),
            "{} stays mounted",
            home.path().display()
        );
        return None;
    }
    Some("a tmpfs cannot be mounted without the rights of root")
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    let mounted = Command::new("mount").args(arguments).arg(at).output();
    mounted.is_ok_and(|output| output.status.success())
}
