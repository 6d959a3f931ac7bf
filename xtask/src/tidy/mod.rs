//! What no compiler checks: the dependency rule, what the crates pull in, the shape of files, and the
//! links between pages.

mod dependencies;
mod files;
mod pages;
mod sources;

use anyhow::{Result, bail};

/// Finds what breaks a rule; each finding is one line.
type Check = fn() -> Result<Vec<String>>;

const CHECKS: &[(&str, Check)] = &[
    ("dependency rule", dependencies::rule),
    ("what crates pull in", dependencies::trees),
    ("length of files", sources::length),
    ("exceptions and leftovers", sources::leftovers),
    ("links between pages", pages::links),
    ("pages of the book", pages::summary),
];

pub(crate) fn run() -> Result<()> {
    let mut findings = 0;
    for (name, check) in CHECKS {
        let found = check()?;
        println!("tidy: {name}: {}", if found.is_empty() { "ok" } else { "broken" });
        for finding in &found {
            println!("  {finding}");
        }
        findings += found.len();
    }
    if findings > 0 {
        bail!("{findings} findings");
    }
    Ok(())
}
