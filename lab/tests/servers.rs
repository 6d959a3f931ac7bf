//! The short form of the section of the servers, as `cargo xtask crash servers --short` runs it.
//!
//! What cannot be done here shows as ignored, with the reason in its name. A server that is not installed is a failure.

use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    if cfg!(feature = "servers") {
        for engine in ["redis", "redis-cluster", "postgres"] {
            trials.push(Trial::test(format!("kills::{engine}"), move || {
                lab(engine, "kills")
            }));
            trials.push(Trial::test(format!("histories::{engine}"), move || {
                lab(engine, "histories")
            }));
        }
        trials.push(Trial::test("failover::redis-cluster", || {
            lab("redis-cluster", "failover")
        }));
        trials.push(Trial::test("weak::postgres", || lab("postgres", "weak")));
        let (name, obstacle) = match untraceable() {
            Some(reason) => (format!("weak::redis ({reason})"), true),
            None => ("weak::redis".to_owned(), false),
        };
        let weak = Trial::test(name, || lab("redis", "weak"));
        trials.push(weak.with_ignored_flag(obstacle));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs a part, which has to end well and to say so.
fn lab(engine: &str, part: &str) -> Result<(), Failed> {
    let output = Command::new(env!("CARGO_BIN_EXE_stead-lab"))
        .args(["servers", "--short", "--engine", engine, "--part", part])
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    if output.status.success() && said.contains(&format!("section={part} ")) && said.contains(" verdict=ok") {
        return Ok(());
    }
    Err(Failed::from(format!("{}\n{said}\n{complaints}", output.status)))
}

/// Why system calls cannot be traced, if they cannot: an fsync is made slow that way.
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
