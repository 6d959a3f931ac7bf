//! The server of the tests that speaks S3: packages of Python, in an environment of their own in the cache.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use stead_servers::{S3_ENVIRONMENT, S3_PACKAGES};

use crate::debian;
use crate::rocksdb::cache_root;

/// Whether it is there.
pub(crate) fn is_there() -> bool {
    stead_servers::s3_python().is_some()
}

/// Sees to it that it is there.
pub(crate) fn ready() -> Result<()> {
    if is_there() {
        return Ok(());
    }
    eprintln!("servers: installing {} for Python", S3_PACKAGES.join(", "));
    let root = cache_root()?;
    // Appears at once with all that is in it. Its Python finds its packages wherever it lies.
    let draft = root.join(format!("{S3_ENVIRONMENT}.{}", std::process::id()));
    let installed = install(&draft).and_then(|()| {
        fs::rename(&draft, root.join(S3_ENVIRONMENT))
            .or_else(|error| if is_there() { Ok(()) } else { Err(error) })
            .context("cannot put the S3 server into the cache")
    });
    if draft.exists() {
        fs::remove_dir_all(&draft)?;
    }
    installed
}

fn install(place: &Path) -> Result<()> {
    if !environment(place) {
        // Debian's Python comes without.
        debian::install(&["python3", "python3-venv"]);
        if !environment(place) {
            bail!(
                "the tests need a server that speaks S3, and `python3 -m venv` fails (Debian: apt-get install python3-venv)"
            );
        }
    }
    let pip = Command::new(place.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(S3_PACKAGES)
        .stdout(std::io::stderr())
        .status();
    if !pip.context("cannot run pip")?.success() {
        bail!(
            "the tests need a server that speaks S3, and pip cannot install {}; STEAD_S3_PYTHON names a Python that has them",
            S3_PACKAGES.join(", ")
        );
    }
    Ok(())
}

fn environment(place: &Path) -> bool {
    let made = Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(place)
        .stdout(std::io::stderr())
        .status();
    made.is_ok_and(|status| status.success())
}
