//! What the reader of backups in Python needs (`docs/tools/stead_backup.py`). The tests run it.

use std::process::Command;

use anyhow::{Result, bail};

use crate::debian;
use crate::run::answers;

/// Sees to it that it is there.
pub(crate) fn ready() -> Result<()> {
    if is_there() {
        return Ok(());
    }
    eprintln!("reader of backups: installing python3 and zstd where that is possible");
    // What counts is what is there afterwards.
    debian::install(&["python3", "zstd"]);
    if is_there() {
        return Ok(());
    }
    bail!(
        "the tests run a reader of backups in Python: it needs Python 3.11 or later (STEAD_PYTHON names another than \
         python3), and its package zstandard or the program zstd (Debian: apt-get install python3 zstd)"
    )
}

fn is_there() -> bool {
    let python = std::env::var_os("STEAD_PYTHON").unwrap_or_else(|| "python3".into());
    let says = |code: &str| answers(Command::new(&python).args(["-c", code]));
    says("import sys; sys.exit(sys.version_info < (3, 11))")
        && (answers(Command::new("zstd").arg("--version")) || says("import zstandard"))
}
