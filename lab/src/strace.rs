//! System calls of a worker: which ones it makes, and making one of them fail or its process end there.
//!
//! `strace` counts for each thread by itself: "the third fsync" is the third of whichever thread comes to its third
//! first. A point is a call and such a number.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// The calls that change what is on the disk. One that the system does not know is left out by strace.
pub(crate) const WRITES: &[&str] = &["write", "pwrite64", "pwritev", "pwritev2"];
pub(crate) const SYNCS: &[&str] = &["fsync", "fdatasync", "sync_file_range", "msync"];
pub(crate) const NAMES: &[&str] = &[
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "link",
    "linkat",
    "mkdir",
    "mkdirat",
    "rmdir",
];
pub(crate) const SIZES: &[&str] = &["ftruncate", "truncate", "fallocate"];
pub(crate) const OPENS: &[&str] = &["openat", "open", "creat"];

/// One call of a thread.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// Which call of this name it is in its thread, from 1.
    pub(crate) number: u64,
    /// The line without the thread.
    pub(crate) text: String,
    pub(crate) injected: bool,
}

/// Why system calls cannot be traced here, if they cannot.
pub(crate) fn missing() -> Option<String> {
    let run = |arguments: &[&str]| Command::new("strace").args(arguments).output();
    if run(&["-V"]).is_err() {
        return Some("strace is not installed (Debian: apt-get install strace)".to_owned());
    }
    let traced = run(&["-f", "-o", "/dev/null", "true"]);
    match traced {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!(
            "strace may not trace here: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Some(format!("strace cannot be started: {error}")),
    }
}

/// Runs a program under strace, which writes the named calls to `log`.
pub(crate) fn recording<'a>(calls: impl Iterator<Item = &'a str>, log: &Path) -> Vec<OsString> {
    let mut words = traced(calls, log);
    words.push("--".into());
    words
}

/// As [`recording`], and does `what` at the `when`th call of `name`.
pub(crate) fn injecting<'a>(
    calls: impl Iterator<Item = &'a str>,
    log: &Path,
    name: &str,
    what: &str,
    when: &str,
) -> Vec<OsString> {
    let mut words = traced(calls, log);
    words.push("-e".into());
    words.push(format!("inject={name}:{what}:when={when}").into());
    words.push("--".into());
    words
}

fn traced<'a>(calls: impl Iterator<Item = &'a str>, log: &Path) -> Vec<OsString> {
    // A question mark lets strace leave out what the system does not have.
    let calls: Vec<String> = calls.map(|call| format!("?{call}")).collect();
    // Not with --seccomp-bpf, which is faster: it keeps the injected signals back.
    let mut words = ["strace", "-f", "-qq", "-y", "-s", "48", "-o"]
        .map(OsString::from)
        .to_vec();
    words.push(log.into());
    words.push("-e".into());
    words.push(format!("trace={}", calls.join(",")).into());
    words.push("-e".into());
    words.push("signal=none".into());
    words
}

/// The calls in a log, in their order.
pub(crate) fn calls(log: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut counts: HashMap<(&str, &str), u64> = HashMap::new();
    let mut last_of: HashMap<&str, usize> = HashMap::new();
    for line in log.lines() {
        let Some((thread, text)) = line.split_once(' ') else {
            continue;
        };
        let text = text.trim_start();
        if let Some((_, rest)) = text.split_once(" resumed>")
            && text.starts_with("<... ")
        {
            if let Some(call) = last_of.get(thread).and_then(|index| calls.get_mut(*index)) {
                let begun = call.text.trim_end_matches(" <unfinished ...>").to_owned();
                call.text = begun + rest;
                call.injected |= text.ends_with("(INJECTED)");
            }
            continue;
        }
        let Some((name, _)) = text.split_once('(') else {
            continue;
        };
        if !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            continue;
        }
        let number = counts.entry((thread, name)).or_default();
        *number += 1;
        last_of.insert(thread, calls.len());
        calls.push(Call {
            name: name.to_owned(),
            number: *number,
            text: text.to_owned(),
            injected: text.ends_with("(INJECTED)"),
        });
    }
    calls
}

impl Call {
    /// Whether it is a write that wrote something, but less than was asked for.
    pub(crate) fn is_short(&self) -> bool {
        if !WRITES.contains(&self.name.as_str()) {
            return false;
        }
        let Some((arguments, result)) = self.text.rsplit_once(" = ") else {
            return false;
        };
        let mut numbers = arguments.trim_end().trim_end_matches(')').rsplit(", ");
        if self.name == "pwrite64" {
            // The last one is the place.
            numbers.next();
        }
        let length = numbers.next().and_then(|number| number.parse::<u64>().ok());
        let written = result
            .split(' ')
            .next()
            .and_then(|number| number.parse::<u64>().ok());
        length
            .zip(written)
            .is_some_and(|(length, written)| 0 < written && written < length)
    }

    /// Whether it is about something in `dir`, and changes it.
    pub(crate) fn changes(&self, dir: &Path) -> bool {
        let there = self.text.contains(&*dir.to_string_lossy());
        let opens = OPENS.contains(&self.name.as_str());
        there && (!opens || self.text.contains("O_CREAT") || self.text.contains("O_TRUNC"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_writes_are_seen() {
        let log = "\
7 write(3</s/a>, \"a, 9\"..., 4096) = 100
7 write(3</s/a>, \"a\"..., 4096) = 4096
7 write(3</s/a>, \"a\"..., 4096) = -1 ENOSPC (No space left on device)
8 pwrite64(4</s/b>, \"a\", 700, 512 <unfinished ...>
7 fsync(3</s/a>) = 0
8 <... pwrite64 resumed>) = 512
";
        let short: Vec<bool> = calls(log).iter().map(Call::is_short).collect();
        assert_eq!(short, [true, false, false, true, false]);
    }

    #[test]
    fn calls_are_counted_for_each_thread() {
        let log = "\
7 openat(AT_FDCWD</>, \"/s/a\", O_RDWR|O_CREAT, 0666) = 3</s/a>
7 fsync(3</s/a> <unfinished ...>
8 fsync(4</s/b>) = 0
7 <... fsync resumed>) = -1 EIO (Input/output error) (INJECTED)
7 fsync(3</s/a>) = 0
8 openat(AT_FDCWD</>, \"/s/a\", O_RDONLY) = 3</s/a>
7 +++ exited with 0 +++
";
        let calls = calls(log);
        let seen: Vec<(&str, u64, bool)> = calls
            .iter()
            .map(|call| (call.name.as_str(), call.number, call.injected))
            .collect();
        assert_eq!(
            seen,
            [
                ("openat", 1, false),
                ("fsync", 1, true),
                ("fsync", 1, false),
                ("fsync", 2, false),
                ("openat", 1, false)
            ]
        );
        assert!(calls[0].changes(Path::new("/s")));
        assert!(!calls[0].changes(Path::new("/t")));
        assert!(!calls[4].changes(Path::new("/s")), "it only reads");
    }
}
