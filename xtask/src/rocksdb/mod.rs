//! RocksDB, compiled once for a machine.
//!
//! Its C++ takes many minutes. The build script of `librocksdb-sys` links a library that it finds in `ROCKSDB_LIB_DIR`
//! instead; then only the bindings are made. So the library is built once, without debug information, into a cache
//! outside of the checkout, and every task that needs it points there: in debug and in release, in every target
//! directory, and in every checkout of the same version.

mod cache;
mod clang;
mod key;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub(crate) use cache::root as cache_root;

use crate::run;

/// What the build script reads.
const LIB_DIR: &str = "ROCKSDB_LIB_DIR";
const STATIC: &str = "ROCKSDB_STATIC";
const ARCHIVE: &str = "librocksdb.a";

/// Makes sure that the library is there, and lets every cargo that this task runs from now on use it.
pub(crate) fn ready() -> Result<()> {
    clang::need()?;
    if let Some(directory) = library()? {
        run::set_variables(variables(&directory));
    }
    Ok(())
}

/// Prints what a shell has to export so that cargo finds the library; builds it if need be.
pub(crate) fn print_environment() -> Result<()> {
    clang::need()?;
    for (name, value) in library()?.as_deref().map(variables).unwrap_or_default() {
        println!("export {name}={}", quoted(&value));
    }
    Ok(())
}

fn variables(directory: &Path) -> Vec<(&'static str, String)> {
    vec![
        (LIB_DIR, directory.display().to_string()),
        (STATIC, "1".to_owned()),
    ]
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// The directory with the library, or `None` where there is nothing to do: somebody chose one already, or builds for
/// another machine than this.
fn library() -> Result<Option<PathBuf>> {
    if std::env::var_os(LIB_DIR).is_some() || std::env::var_os("CARGO_BUILD_TARGET").is_some() || !cfg!(unix)
    {
        return Ok(None);
    }
    let key = key::Key::of_this_machine()?;
    let directory = cache::ensure(&cache::root()?, &key.name(), ARCHIVE, build)?;
    Ok(Some(directory))
}

/// Compiles the library in `scratch` and returns where it is.
fn build(scratch: &Path) -> Result<PathBuf> {
    need_cpp_compiler()?;
    eprintln!("rocksdb: compiling its C++ once for this machine; this takes many minutes (13 on two cores)");
    let target = scratch.display().to_string();
    let arguments = [
        "build",
        "--release",
        "--quiet",
        "--package",
        "stead-rocksdb",
        "--target-dir",
        &target,
    ];
    let child = run::command(&arguments)
        .env_remove(LIB_DIR)
        .env_remove(STATIC)
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .spawn()
        .context("cannot start cargo")?;
    watch(child, scratch)?;
    outputs(scratch)
        .map(|directory| directory.join(ARCHIVE))
        .find(|archive| archive.is_file())
        .context("the build of rocksdb left no library")
}

/// Waits for the build and tells how far it is.
fn watch(mut child: Child, scratch: &Path) -> Result<()> {
    let mut told = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            if status.success() {
                return Ok(());
            }
            bail!("compiling rocksdb failed: {status}");
        }
        let objects = objects(scratch);
        if objects >= told + 20 {
            told = objects;
            eprintln!("rocksdb: {objects} of about 345 files");
            io::stderr().flush()?;
        }
        thread::sleep(Duration::from_secs(1));
    }
}

fn objects(scratch: &Path) -> usize {
    let is_object = |entry: &fs::DirEntry| entry.path().extension().is_some_and(|extension| extension == "o");
    outputs(scratch)
        .filter_map(|directory| fs::read_dir(directory).ok())
        .map(|entries| entries.flatten().filter(is_object).count())
        .sum()
}

/// Where build scripts of librocksdb-sys put things.
fn outputs(scratch: &Path) -> impl Iterator<Item = PathBuf> {
    let scripts = fs::read_dir(scratch.join("release/build"))
        .into_iter()
        .flatten()
        .flatten();
    scripts
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("librocksdb-sys-"))
        .map(|entry| entry.path().join("out"))
}

fn need_cpp_compiler() -> Result<()> {
    let compiler = key::cpp_compiler();
    if run::answers(Command::new(&compiler).arg("--version")) {
        return Ok(());
    }
    bail!(
        "there is no C++ compiler, which rocksdb needs: install g++ or clang (Debian: apt-get install g++), or name one in CXX"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_what_is_printed() {
        assert_eq!(quoted("/home/o'neill/my cache"), r"'/home/o'\''neill/my cache'");
    }
}
