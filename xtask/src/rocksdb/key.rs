//! What a compiled library depends on: another of any of these needs another library.

use std::process::Command;

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;

use crate::run::root;

/// The variables that reach the compiler.
const FLAGS: &[&str] = &[
    "CFLAGS",
    "CXXFLAGS",
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "ROCKSDB_CXX_STD",
];

pub(super) struct Key {
    version: String,
    features: Vec<String>,
    host: String,
    compiler: String,
    flags: Vec<String>,
}

impl Key {
    /// Asks cargo for the version and the features, and the compilers for theirs.
    pub(super) fn of_this_machine() -> Result<Self> {
        let (version, features) = package()?;
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let rustc = answer(Command::new(rustc).arg("-vV"))?;
        let host = rustc.lines().find_map(|line| line.strip_prefix("host: "));
        // Who only uses the library needs no compiler, so its absence is not an error here.
        let compiler = answer(Command::new(cpp_compiler()).arg("--version")).unwrap_or_default();
        Ok(Key {
            version,
            features,
            host: host
                .context("rustc does not say what it compiles for")?
                .to_owned(),
            compiler: compiler.lines().next().unwrap_or("none").to_owned(),
            flags: FLAGS
                .iter()
                .map(|name| std::env::var(name).unwrap_or_default())
                .collect(),
        })
    }

    /// The name of the directory.
    pub(super) fn name(&self) -> String {
        let parts = [
            &self.features.join(","),
            &self.host,
            &self.compiler,
            &self.flags.join("\0"),
        ];
        let hash = parts
            .iter()
            .fold(FNV_BASIS, |hash, part| fnv(hash, part.as_bytes()));
        format!("librocksdb-{}-{hash:016x}", self.version)
    }
}

/// The C++ compiler that build scripts take.
pub(super) fn cpp_compiler() -> String {
    std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned())
}

/// The version and the features of the bindings, as they are built for the whole workspace.
fn package() -> Result<(String, Vec<String>)> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .exec()?;
    let package = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == "librocksdb-sys")
        .context("the workspace does not depend on librocksdb-sys any more")?;
    let resolve = metadata
        .resolve
        .as_ref()
        .context("cargo resolves no dependencies")?;
    let node = resolve.nodes.iter().find(|node| node.id == package.id);
    let mut features: Vec<String> = node
        .context("cargo does not resolve librocksdb-sys")?
        .features
        .iter()
        .map(ToString::to_string)
        .collect();
    features.sort_unstable();
    Ok((package.version.to_string(), features))
}

fn answer(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

const FNV_BASIS: u64 = 0xCBF2_9CE4_8422_2325;

/// FNV-1a, with an end to each part: the standard library's hash may change with the compiler.
fn fnv(hash: u64, part: &[u8]) -> u64 {
    part.iter().chain(&[0xFF]).fold(hash, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key {
            version: "0.19.0+11.8.1".to_owned(),
            features: vec!["lz4".to_owned(), "zstd".to_owned()],
            host: "x86_64-unknown-linux-gnu".to_owned(),
            compiler: "c++ 12.2.0".to_owned(),
            flags: vec![String::new(); 2],
        }
    }

    #[test]
    fn every_part_counts_and_nothing_else() {
        assert_eq!(key().name(), key().name());
        let others = [
            Key {
                version: "0.20.0".to_owned(),
                ..key()
            },
            Key {
                features: vec!["lz4".to_owned()],
                ..key()
            },
            Key {
                host: "aarch64-unknown-linux-gnu".to_owned(),
                ..key()
            },
            Key {
                compiler: "c++ 13.1.0".to_owned(),
                ..key()
            },
            Key {
                flags: vec!["-O3".to_owned(), String::new()],
                ..key()
            },
            Key {
                flags: vec![String::new(), "-O3".to_owned()],
                ..key()
            },
        ];
        let mut names: Vec<_> = others.iter().map(Key::name).chain([key().name()]).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 7);
        assert!(key().name().starts_with("librocksdb-0.19.0+11.8.1-"));
    }
}
