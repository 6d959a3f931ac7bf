//! Dependencies point one way, and the lower crates stay free of what users did not ask for.

use anyhow::Result;
use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::run::{cargo_output, root};

/// The floors of the house. A crate may depend on lower floors only, and on none of its own but where `WITHIN` says so.
const FLOORS: &[&[&str]] = &[
    &["stead-core"],
    &["stead-codec"],
    BACKENDS,
    &["stead-backup", "stead-copy", "stead-state"],
    &["stead"],
    &["stead-cli"],
];

/// The edges inside a floor: the thin engines implement the embedded kit, and the server stores share the network kit.
const WITHIN: &[(&str, &str)] = &[
    ("stead-fjall", "stead-embedded"),
    ("stead-redb", "stead-embedded"),
    ("stead-rocksdb", "stead-embedded"),
    ("stead-sled", "stead-embedded"),
    ("stead-postgres", "stead-network"),
    ("stead-redis", "stead-network"),
];

/// Edges to lower floors that are forbidden all the same: domain crates know traits, not backends.
const UPPER: &[&str] = &["stead-backup", "stead-copy", "stead-state"];
const BACKENDS: &[&str] = &[
    "stead-embedded",
    "stead-fjall",
    "stead-memory",
    "stead-network",
    "stead-postgres",
    "stead-redb",
    "stead-redis",
    "stead-rocksdb",
    "stead-sled",
];

/// For tests and tools only, on no floor.
const TOOLS: &[&str] = &[
    "stead-benches",
    "stead-conformance",
    "stead-engine-testing",
    "stead-lab",
    "stead-servers",
    "xtask",
];

/// What a crate must not pull in, whatever the way.
const KEPT_OUT: &[(&[&str], &[&str])] = &[
    (
        &["--package", "stead-core"],
        &["tokio", "redb", "sled", "rocksdb", "async-trait", "serde"],
    ),
    (&["--package", "stead-memory"], &["tokio", "redb", "serde"]),
    (&["--package", "stead-copy"], &["tokio", "serde", "stead-codec"]),
    (&["--package", "stead-backup"], &["reqwest", "rustls", "ring"]),
    (
        &["--package", "stead-backup", "--all-features"],
        &["aws-lc-rs", "aws-lc-sys", "openssl-sys"],
    ),
    (&["--package", "stead-sled"], &["zstd-sys"]),
    (&["--package", "stead-fjall"], &["zstd-sys", "cc"]),
    (
        &["--package", "stead-embedded"],
        &["redb", "sled", "rocksdb", "fjall", "serde_json", "stead-codec"],
    ),
    (
        &["--package", "stead-network"],
        &["redis", "tokio-postgres", "rustls"],
    ),
    (
        &[
            "--package",
            "stead",
            "--no-default-features",
            "--features",
            "memory",
        ],
        &["redb", "stead-embedded"],
    ),
    (
        &["--package", "stead"],
        &[
            "rocksdb",
            "librocksdb-sys",
            "bindgen",
            "openssl-sys",
            "stead-conformance",
        ],
    ),
];

pub(crate) fn rule() -> Result<Vec<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()?;
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let from = package.name.as_str();
        if TOOLS.contains(&from) {
            continue;
        }
        let Some(floor) = floor_of(from) else {
            findings.push(format!(
                "{from} has no floor; give it one in xtask/src/tidy/dependencies.rs"
            ));
            continue;
        };
        for dependency in package
            .dependencies
            .iter()
            .filter(|one| one.kind != DependencyKind::Development)
        {
            let to = dependency.name.as_str();
            let lower = floor_of(to).is_none_or(|other| other < floor) || WITHIN.contains(&(from, to));
            let sideways = UPPER.contains(&from) && BACKENDS.contains(&to);
            if !lower || sideways || TOOLS.contains(&to) {
                findings.push(format!("{from} must not depend on {to}"));
            }
        }
    }
    Ok(findings)
}

fn floor_of(name: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&name))
}

pub(crate) fn trees() -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for (selection, kept_out) in KEPT_OUT {
        let mut arguments = vec![
            "tree",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ];
        arguments.extend_from_slice(selection);
        let tree = cargo_output(&arguments)?;
        for name in *kept_out {
            if tree
                .lines()
                .any(|line| line.split_whitespace().next() == Some(name))
            {
                findings.push(format!("{} pulls in {name}", selection.join(" ")));
            }
        }
    }
    Ok(findings)
}
