//! Running cargo.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

/// The root of the repository that the task was started in. Asked at run time: checkouts that share a target directory
/// share this program, and the path that it was compiled under may be another's.
pub(crate) fn root() -> PathBuf {
    let manifest_dir =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(manifest_dir).join("..")
}

/// Runs cargo in the root and fails when it fails.
pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    cargo_with(arguments, &[])
}

/// As [`cargo`], with additional environment variables.
pub(crate) fn cargo_with(arguments: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    let status = command(arguments)
        .envs(variables.iter().copied())
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("cargo {} failed: {status}", arguments.join(" "));
    }
    Ok(())
}

/// What cargo prints.
pub(crate) fn cargo_output(arguments: &[&str]) -> Result<String> {
    let output = command(arguments).output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!(
            "cargo {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// cargo in the root, with the variables that were set.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let variables = VARIABLES.get().into_iter().flatten();
    command
        .current_dir(root())
        .args(arguments)
        .envs(variables.map(|(name, value)| (name, value)));
    command
}

static VARIABLES: OnceLock<Vec<(&'static str, String)>> = OnceLock::new();

/// Sets what every cargo from now on finds in its environment; once.
pub(crate) fn set_variables(variables: Vec<(&'static str, String)>) {
    let _ = VARIABLES.set(variables);
}

/// Whether a command can be run and succeeds. What it prints is dropped.
pub(crate) fn answers(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Names what is missing before a long build fails over it: zstd and the allocator of the binaries are C.
pub(crate) fn need_c_compiler() -> Result<()> {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    if !answers(Command::new(&compiler).arg("--version")) {
        bail!(
            "there is no C compiler: install gcc or clang (Debian: apt-get install gcc), or name one in CC"
        );
    }
    Ok(())
}
