//! Tests on a file system that is soon full.

use std::path::PathBuf;
use std::process::Command;

/// Names the small file system to the test that runs in it.
const VARIABLE: &str = "STEAD_SMALL_DISK";

/// Runs an ignored test of the calling program again, in a process that has a file system of its own with `mebibytes`, which
/// goes with it. That test finds it by [`path`].
///
/// On Linux alone. It takes the rights of root, or a namespace of users.
///
/// # Panics
///
/// Where the test fails, where there is none of that name, and where the file system cannot be made.
pub fn run_test(name: &str, mebibytes: usize) {
    let place = tempfile::tempdir().expect("a temporary directory");
    let script =
        format!(r#"mount -t tmpfs -o "$1" tmpfs "$2" && export {VARIABLE}="$2" && shift 2 && exec "$@""#);
    let mut command = Command::new("unshare");
    let id = Command::new("id").arg("-u").output().expect("id runs");
    if id.stdout != b"0\n" {
        command.args(["--user", "--map-root-user"]);
    }
    let output = command
        .args(["--mount", "--", "sh", "-c", &script, "sh"])
        .arg(format!("size={mebibytes}m,mode=0700"))
        .arg(place.path())
        .arg(std::env::current_exe().expect("this program has a path"))
        .args([name, "--exact", "--ignored", "--nocapture"])
        .output()
        .expect("unshare runs");
    let shown = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && shown.contains("1 passed"),
        "{shown}{errors}"
    );
}

/// Where the small file system is, in a test that [`run_test`] runs.
///
/// # Panics
///
/// Elsewhere.
#[must_use]
pub fn path() -> PathBuf {
    let path = std::env::var_os(VARIABLE);
    path.map(PathBuf::from).expect("this test is run by another one")
}
