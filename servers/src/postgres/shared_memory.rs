//! The small piece of System V shared memory that a killed PostgreSQL leaves.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Removes what the server left whose data is in `directory`, unless the memory is another's by now or in use: the
/// system would keep it until it is started anew. A server that ended by itself has removed it.
pub(crate) fn remove(directory: &Path) {
    let Ok(lock) = fs::read_to_string(directory.join("data/postmaster.pid")) else {
        return;
    };
    let Ok(segments) = fs::read_to_string("/proc/sysvipc/shm") else {
        return;
    };
    if let Some(id) = left_over(&lock, &segments) {
        let _ = Command::new("ipcrm").args(["--shmem-id", id]).output();
    }
}

/// The id of the piece that `postmaster.pid` names, when the system's list says that the same process made it and
/// that nobody uses it.
fn left_over<'a>(lock: &str, segments: &'a str) -> Option<&'a str> {
    let lines: Vec<&str> = lock.lines().collect();
    let maker = lines.first()?.trim();
    let mut memory = lines.get(6)?.split_whitespace();
    let (key, id) = (memory.next()?, memory.next()?);
    // key shmid perms size cpid lpid nattch ...
    segments.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // Both print the key as a number, the one without a sign.
        let same_key =
            key.parse::<i64>().ok()? & 0xffff_ffff == fields.first()?.parse::<i64>().ok()? & 0xffff_ffff;
        let is_it = same_key && fields.get(1) == Some(&id) && fields.get(4) == Some(&maker);
        (is_it && fields.get(6) == Some(&"0")).then(|| fields[1])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str =
        "811\n/tmp/d/data\n1780000000\n15432\n/tmp/d/s\n127.0.0.1\n  4242        65538\nready   \n";
    const HEAD: &str = "key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap\n";

    #[test]
    fn only_the_unused_memory_of_the_same_server_is_removed() {
        let list = |line: &str| format!("{HEAD}{line}\n");
        assert_eq!(
            left_over(LOCK, &list("4242 65538 600 56 811 811 0 1")),
            Some("65538")
        );
        let others = [
            "4242 65538 600 56 811 811 2 1",
            "4242 65538 600 56 812 811 0 1",
            "4242 65539 600 56 811 811 0 1",
            "4243 65538 600 56 811 811 0 1",
        ];
        for other in others {
            assert_eq!(left_over(LOCK, &list(other)), None, "{other}");
        }
    }
}
