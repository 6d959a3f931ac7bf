//! The shape of source files.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::files::below;
use crate::run::root;

/// No file is longer than this.
const MOST_LINES: usize = 600;

/// Where sources are.
const TOPS: &[&str] = &["benches", "crates", "examples", "fuzz", "lab", "servers", "xtask"];

/// Built from halves, so that this file is not its own first finding.
const LEFTOVERS: &[&str] = &[
    concat!("to", "do!("),
    concat!("unimpl", "emented!("),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
];

pub(crate) fn length() -> Result<Vec<String>> {
    each_source(|path, text| {
        let lines = text.lines().count();
        (lines > MOST_LINES)
            .then(|| format!("{}: {lines} lines, at most {MOST_LINES}", path.display()))
            .into_iter()
            .collect()
    })
}

pub(crate) fn leftovers() -> Result<Vec<String>> {
    each_source(|path, text| {
        let lines: Vec<&str> = text.lines().collect();
        let mut findings = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let at = format!("{}:{}", path.display(), index + 1);
            if LEFTOVERS.iter().any(|word| line.contains(word)) {
                findings.push(format!("{at}: unfinished"));
            }
            let exception = ["#[allow(", "#![allow(", "#[expect(", "#![expect("]
                .iter()
                .any(|start| line.trim_start().starts_with(start));
            if exception && !attribute(&lines[index..]).contains("reason") {
                findings.push(format!("{at}: an exception without its reason"));
            }
            if line.trim() == "#[ignore]" {
                findings.push(format!("{at}: an ignored test without its reason"));
            }
        }
        findings
    })
}

/// The attribute that `lines` start with, which may go on for some lines.
fn attribute(lines: &[&str]) -> String {
    let end = lines
        .iter()
        .position(|line| line.trim_end().ends_with(")]"))
        .unwrap_or(0);
    lines[..=end].concat()
}

fn each_source(check: impl Fn(&Path, &str) -> Vec<String>) -> Result<Vec<String>> {
    let root = root();
    let mut findings = Vec::new();
    for top in TOPS {
        for path in below(&root.join(top), "rs")? {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            findings.extend(check(path.strip_prefix(&root).unwrap_or(&path), &text));
        }
    }
    Ok(findings)
}
