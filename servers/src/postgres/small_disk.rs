//! A file system that is soon full.

use std::path::Path;
use std::process::Command;

use crate::program::User;

/// Mounts, and becomes the server: the mount is seen by it alone and goes with it.
const SCRIPT: &str = r#"mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@""#;

/// `command` with a file system of `bytes` at `place`, which is there and empty. Root does it in a mount namespace; anybody
/// else in a user namespace as well, in which they are themselves again in the end.
pub(super) fn mounted(command: &Command, place: &Path, bytes: u64, user: Option<&User>) -> Command {
    let mut settings = format!("size={bytes},mode=0700");
    let mut mounting = Command::new("unshare");
    match user {
        Some(user) => {
            settings.push_str(&user.mount_options());
            mounting.args(["--mount", "--"]);
        }
        None => {
            mounting.args(["--user", "--map-root-user", "--mount", "--"]);
        }
    }
    mounting.args(["sh", "-c", SCRIPT, "sh", &settings]).arg(place);
    if user.is_none() {
        let id = |kind: &str, number: u32| format!("--map-{kind}={number}");
        let uid = id("user", rustix::process::geteuid().as_raw());
        let gid = id("group", rustix::process::getegid().as_raw());
        mounting.args(["unshare", "--user", &uid, &gid, "--"]);
    }
    mounting.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => mounting.env(name, value),
            None => mounting.env_remove(name),
        };
    }
    mounting
}
