//! A feature only adds: each builds by itself.

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;

use crate::run::{cargo, root};

/// Checks the facade without features and with each by itself.
pub(crate) fn run() -> Result<()> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()?;
    let facade = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == "stead");
    let facade = facade.context("the workspace has a facade")?;
    let features = facade
        .features
        .keys()
        .map(String::as_str)
        .filter(|name| *name != "default");
    for feature in std::iter::once("").chain(features) {
        println!("features: {}", if feature.is_empty() { "none" } else { feature });
        cargo(&[
            "check",
            "--quiet",
            "--package",
            "stead",
            "--no-default-features",
            "--features",
            feature,
        ])?;
    }
    Ok(())
}
