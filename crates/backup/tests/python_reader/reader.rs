//! Running the script, and what it prints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use stead_core::{Key, Partition};

/// `NotThere`, `Invalid` and `Damaged` of the reader.
pub(crate) const NOT_THERE: i32 = 1;
pub(crate) const INVALID: i32 = 2;
pub(crate) const DAMAGED: i32 = 5;

/// The script, and what runs it.
#[derive(Clone)]
pub(crate) struct Reader {
    python: PathBuf,
    zstd: &'static str,
}

impl Reader {
    /// The reader with one of the two ways to decompress; or why it cannot be run.
    pub(crate) fn find(zstd: &'static str) -> Result<Self, String> {
        let python = std::env::var_os("STEAD_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
        let answers = |code: &str| {
            let ran = Command::new(&python).args(["-c", code]).output();
            ran.is_ok_and(|output| output.status.success())
        };
        if !answers("import sys; sys.exit(sys.version_info < (3, 11))") {
            return Err(
                "there is no Python of 3.11 or later; STEAD_PYTHON names another than python3".to_owned(),
            );
        }
        match zstd {
            "package" if !answers("import zstandard") => {
                Err("this Python has no package zstandard; STEAD_PYTHON names another".to_owned())
            }
            "program" if Command::new("zstd").arg("--version").output().is_err() => {
                Err("there is no program zstd (Debian: apt-get install zstd)".to_owned())
            }
            _ => Ok(Reader { python, zstd }),
        }
    }

    pub(crate) fn run(&self, command: &str, repository: &Path, more: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tools/stead_backup.py");
        let mut process = Command::new(&self.python);
        process.arg("-B").arg(script).arg(command);
        if command != "list" {
            process.args(["--zstd", self.zstd]);
        }
        process.arg(repository).args(more).output().unwrap()
    }

    /// What it prints, line by line.
    pub(crate) fn lines(&self, command: &str, repository: &Path, more: &[&str]) -> Vec<Value> {
        let output = self.run(command, repository, more);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// That it refuses, with this exit code and a word of this, and without a line of what it refuses.
    pub(crate) fn refuses(
        &self,
        command: &str,
        repository: &Path,
        more: &[&str],
        code: i32,
        word: &str,
        what: &str,
    ) {
        let output = self.run(command, repository, more);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{command}, {what}: {errors}");
        assert!(
            errors.starts_with("stead_backup.py: ") && errors.contains(word),
            "{command}, {what}: {errors}"
        );
        assert!(output.stdout.is_empty(), "{command}, {what}");
    }

    pub(crate) fn verifies(&self, repository: &Path) {
        let output = self.run("verify", repository, &[]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// What there is under a key: revision, deadline, value.
pub(crate) type State = BTreeMap<Key, (u64, Option<u64>, Vec<u8>)>;

/// Bytes as the reader prints them: text, or `{"base64": ".."}`.
fn bytes(shown: &Value) -> Vec<u8> {
    if let Some(text) = shown.as_str() {
        return text.as_bytes().to_vec();
    }
    let text = shown["base64"].as_str().unwrap().trim_end_matches('=');
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut found, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for byte in text.bytes() {
        let digit = digits.iter().position(|digit| *digit == byte).unwrap();
        bits = (bits << 6 | u32::try_from(digit).unwrap()) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            found.push((bits >> held & 0xff) as u8);
        }
    }
    found
}

pub(crate) fn extracted(lines: &[Value]) -> State {
    let found: State = lines
        .iter()
        .map(|line| {
            let partition = Partition::new(bytes(&line["partition"])).unwrap();
            let key = Key::new(&partition, bytes(&line["path"])).unwrap();
            let revision = line["revision"].as_u64().unwrap();
            (
                key,
                (revision, line["deadline_ms"].as_u64(), bytes(&line["value"])),
            )
        })
        .collect();
    assert_eq!(found.len(), lines.len(), "no key comes twice");
    found
}
