//! The programs of PostgreSQL, and directories of data, made once and copied from then on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::server::USER;
use crate::directory::Directory;
use crate::program::{self, POSTGRES, User};

/// Changes with what `initdb` is told.
const RECIPE: u32 = 1;

/// Where Debian keeps its versions.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The directory of `postgres`, `initdb` and the others.
pub(crate) fn programs() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("STEAD_POSTGRES_BIN") {
        return Ok(PathBuf::from(named));
    }
    // On Debian, pg_config speaks for the newest headers, whether or not there is a server beside them.
    newest()
        .or_else(configured)
        .filter(|directory| has_server(directory))
        .context(POSTGRES)
}

fn has_server(directory: &Path) -> bool {
    directory.join("postgres").is_file() && directory.join("initdb").is_file()
}

fn newest() -> Option<PathBuf> {
    let versions = fs::read_dir(DEBIAN).ok()?.flatten().filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let directory = entry.path().join("bin");
        has_server(&directory).then_some((version, directory))
    });
    versions.max().map(|(_, directory)| directory)
}

fn configured() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let directory = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(directory.trim()))
}

/// Fills `data`, which is not there yet, with a fresh cluster whose only user is [`USER`].
pub(super) fn fill(data: &Path, programs: &Path, user: Option<&User>) -> Result<()> {
    let template = match cache(programs)? {
        Some(cached) if cached.join("PG_VERSION").is_file() => cached,
        cached => {
            let scratch = Directory::make()?;
            scratch.let_in(user)?;
            let made = initialise(&scratch, programs, user)?;
            if let Some(cached) = &cached {
                publish(&made, cached)?;
            }
            return place(&made, data, user);
        }
    };
    place(&template, data, user)
}

/// `initdb` takes a second or two; what it made is kept where other builds are.
fn cache(programs: &Path) -> Result<Option<PathBuf>> {
    let output = Command::new(programs.join("postgres"))
        .arg("--version")
        .output()
        .with_context(|| format!("cannot run postgres in {}", programs.display()))?;
    let version: String = String::from_utf8_lossy(&output.stdout)
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '-'
            }
        })
        .collect();
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    Ok(cache.map(|cache| {
        let name = format!("{}-{RECIPE}", version.trim_matches('-'));
        cache.join("stead").join("postgres").join(name)
    }))
}

fn initialise(scratch: &Directory, programs: &Path, user: Option<&User>) -> Result<PathBuf> {
    let data = scratch.folder("data")?;
    if let Some(user) = user {
        user.own(&data)?;
    }
    let output = program::command(&programs.join("initdb"), user)?
        .current_dir(scratch.path())
        .args(["--username", USER, "--encoding", "UTF8", "--locale", "C.UTF-8"])
        .args(["--auth", "trust", "--no-sync", "--pgdata"])
        .arg(&data)
        .output()?;
    if !output.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(data)
}

/// Puts a template where the next finds it, at once with all that is in it. A cache that cannot be written to is no
/// reason to fail, and neither is somebody who was quicker.
fn publish(made: &Path, cached: &Path) -> Result<()> {
    let Some(parent) = cached.parent() else {
        return Ok(());
    };
    if fs::create_dir_all(parent).is_err() {
        return Ok(());
    }
    let Ok(draft) = tempfile::Builder::new().prefix("draft-").tempdir_in(parent) else {
        return Ok(());
    };
    let copy_of = draft.path().join("data");
    copy(made, &copy_of)?;
    let _ = fs::rename(copy_of, cached);
    Ok(())
}

fn place(template: &Path, data: &Path, user: Option<&User>) -> Result<()> {
    copy(template, data)?;
    user.map_or(Ok(()), |user| user.own_all(data))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let output = Command::new("cp")
        .args([
            "--recursive",
            "--preserve=mode",
            "--reflink=auto",
            "--no-target-directory",
        ])
        .args([from, to])
        .output()
        .context("cannot run cp")?;
    if !output.status.success() {
        bail!(
            "cannot copy {}: {}",
            from.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
