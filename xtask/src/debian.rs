//! Packages of Debian and its kin.

use std::path::Path;
use std::process::Command;

use crate::run::answers;

/// Installs a package where that is possible without a question: for root and for who may use sudo without a password.
/// Returns whether that succeeded.
pub(crate) fn install(package: &str) -> bool {
    let Some(is_root) = rights() else { return false };
    let apt = |words: &[&str]| {
        let mut command = if is_root {
            Command::new("apt-get")
        } else {
            let mut sudo = Command::new("sudo");
            sudo.args(["-n", "apt-get"]);
            sudo
        };
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["--quiet", "--yes"])
            .args(words);
        command.status().is_ok_and(|status| status.success())
    };
    let install = || apt(&["install", "--no-install-recommends", package]);
    // A list of packages that is there may do; a fresh machine has none.
    install() || (apt(&["update"]) && install())
}

/// Whether this user is root, or `None` where nothing can be installed.
fn rights() -> Option<bool> {
    if !Path::new("/etc/debian_version").exists() {
        return None;
    }
    let is_root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|id| id.stdout == b"0\n");
    (is_root || answers(Command::new("sudo").args(["-n", "true"]))).then_some(is_root)
}
