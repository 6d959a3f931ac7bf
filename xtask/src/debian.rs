//! Packages of Debian and its kin.

use std::io;
use std::path::Path;
use std::process::Command;

use crate::run::answers;

/// Runs as root, with the names of the packages.
///
/// A package of a server starts it, and has it started with the machine from then on. Neither is wanted for tests, which
/// start their own: while this runs a policy forbids the start, and the services that came by it are switched off. Those
/// that were there before stay as they are.
const SCRIPT: &str = r#"
services="redis-server postgresql pgbouncer"
policy=/usr/sbin/policy-rc.d
export DEBIAN_FRONTEND=noninteractive

if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi
new=""
for service in $services; do
    [ -e "/etc/init.d/$service" ] || new="$new $service"
done

install() { apt-get --quiet --yes install --no-install-recommends "$@"; }
# A list of packages that is there may do; a fresh machine has none.
install "$@" || { apt-get --quiet --yes update && install "$@"; }
status=$?

for service in $new; do
    [ -e "/etc/init.d/$service" ] || continue
    service "$service" stop
    if command -v systemctl; then systemctl disable "$service"; else update-rc.d "$service" disable; fi
done >/dev/null 2>&1
exit $status
"#;

/// Installs packages where that is possible without a question: for root and for who may use sudo without a password.
/// Returns whether that succeeded. No service is started or left switched on by it.
pub(crate) fn install(packages: &[&str]) -> bool {
    let Some(is_root) = rights() else { return false };
    let mut command = if is_root {
        Command::new("sh")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "sh"]);
        sudo
    };
    command.args(["-c", SCRIPT, "sh"]).args(packages);
    // A shell may read what a task prints (`cargo xtask env`), and this is no part of it.
    command.stdout(io::stderr());
    command.status().is_ok_and(|status| status.success())
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
