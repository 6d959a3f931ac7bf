//! The parts of the documentation that are made from the code.

use anyhow::Result;

use crate::rocksdb;
use crate::run::cargo_with;
use crate::servers;

/// Opens every kind of store and writes what it declares into docs/src/stores.md. `cargo xtask test` fails while the page
/// says something else.
pub(crate) fn run() -> Result<()> {
    servers::ready()?;
    rocksdb::ready()?;
    cargo_with(&ARGUMENTS, &[("STEAD_WRITE_DOCS", "1")])
}

const ARGUMENTS: [&str; 7] = [
    "test",
    "--quiet",
    "--package",
    "stead",
    "--all-features",
    "--test",
    "declared",
];
