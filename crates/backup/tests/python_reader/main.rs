//! The reader in Python, which was written from the page of the format, reads what the crate writes, and refuses what is
//! damaged.
//!
//! A target without a harness: what decompresses zstd for Python may be missing, and a test that cannot run says so.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use libtest_mimic::{Arguments, Completion, Trial};
use serde_json::Value;
use stead_backup::{BackupKind, BackupMetadata, BackupType, CreateOptions, Hash, Repository, VerifyOptions};
use stead_core::{
    Backend, Clock, Expiry, Key, KeyRange, Partition, Random, ReadExt, Scan, SeededRandom, Timestamp,
    WriteBatch,
};
use support::{Bench, NOW};

/// `NotThere`, `Invalid` and `Damaged` of the reader.
const NOT_THERE: i32 = 1;
const INVALID: i32 = 2;
const DAMAGED: i32 = 5;

type Case = (&'static str, fn(&Reader));

fn main() -> ExitCode {
    let decompressing: [Case; 2] = [
        ("lists_and_extracts_every_state", lists_and_extracts_every_state),
        ("reads_the_fixture_of_format_1", reads_the_fixture_of_format_1),
    ];
    let others: [Case; 4] = [
        ("refuses_every_damaged_object", refuses_every_damaged_object),
        (
            "refuses_what_was_sealed_but_is_malformed",
            refuses_what_was_sealed_but_is_malformed,
        ),
        ("follows_a_log_that_was_swept", follows_a_log_that_was_swept),
        ("says_what_is_not_there", says_what_is_not_there),
    ];
    let (package, program) = (Reader::find("package"), Reader::find("program"));
    let any = package.clone().or_else(|_| program.clone());
    let groups = [
        ("zstd_package", package, &decompressing[..]),
        ("zstd_program", program, &decompressing[..]),
        ("reader", any, &others[..]),
    ];
    let trials = groups
        .into_iter()
        .flat_map(|(group, reader, cases)| cases.iter().map(move |case| trial(group, case, reader.clone())));
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// Ignored, with the reason, where there is nothing to run it with.
fn trial(group: &str, (name, case): &Case, reader: Result<Reader, String>) -> Trial {
    let (case, reason) = (*case, reader.as_ref().err().cloned());
    let run = move || match reader {
        Ok(reader) => {
            case(&reader);
            Ok(Completion::Completed)
        }
        // It stays ignored even when ignored ones are asked for: it could only mislead.
        Err(reason) => Ok(Completion::ignored_with(reason)),
    };
    Trial::ignorable_test(format!("{group}::{name}"), run)
        .with_ignored_flag(reason.is_some())
        .with_kind(reason.unwrap_or_default())
}

/// The script, and what runs it.
#[derive(Clone)]
struct Reader {
    python: PathBuf,
    zstd: &'static str,
}

impl Reader {
    /// The reader with one of the two ways to decompress; or why it cannot be run.
    fn find(zstd: &'static str) -> Result<Self, String> {
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

    fn run(&self, command: &str, repository: &Path, more: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tools/stead_backup.py");
        let mut process = Command::new(&self.python);
        process.arg("-B").arg(script).arg(command);
        if command != "list" {
            process.args(["--zstd", self.zstd]);
        }
        process.arg(repository).args(more).output().unwrap()
    }

    /// What it prints, line by line.
    fn lines(&self, command: &str, repository: &Path, more: &[&str]) -> Vec<Value> {
        let output = self.run(command, repository, more);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// That it refuses, with this exit code and a word of this, and without a line of what it refuses.
    fn refuses(&self, command: &str, repository: &Path, more: &[&str], code: i32, word: &str, what: &str) {
        let output = self.run(command, repository, more);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{command}, {what}: {errors}");
        assert!(
            errors.starts_with("stead_backup.py: ") && errors.contains(word),
            "{command}, {what}: {errors}"
        );
        assert!(output.stdout.is_empty(), "{command}, {what}");
    }

    fn verifies(&self, repository: &Path) {
        let output = self.run("verify", repository, &[]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// What there is under a key: revision, deadline, value.
type State = BTreeMap<Key, (u64, Option<u64>, Vec<u8>)>;

async fn state(store: &dyn Backend) -> State {
    let items = store.collect(&Scan::new(KeyRange::all())).await.unwrap();
    let of = |entry: stead_core::Entry| {
        let deadline = entry.deadline().map(Timestamp::as_millis);
        (entry.revision().get(), deadline, entry.value().to_vec())
    };
    items
        .into_iter()
        .map(|item| (item.key, of(item.entry.unwrap())))
        .collect()
}

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

fn extracted(lines: &[Value]) -> State {
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

fn assert_listed(listed: &Value, backup: &BackupMetadata) {
    assert_eq!(listed["id"], backup.id.to_string());
    assert_eq!(listed["kind"], backup.kind.as_str());
    assert_eq!(listed["taken_ms"], backup.taken.as_millis());
    assert_eq!(listed["revision"], backup.revision.get());
    assert_eq!(
        listed["base"].as_str().map(str::to_owned),
        backup.base.map(|base| base.to_string())
    );
    assert_eq!(listed["tags"], Value::from(backup.tags.clone()));
    assert_eq!(listed["backend"], backup.backend);
    assert_eq!(listed["state"], backup.state.to_string());
    assert_eq!(listed["record"], backup.record.to_string());
    assert_eq!(listed["verified"], backup.verified);
    assert_eq!(listed["forced"].as_str().map(str::to_owned), backup.forced);
    let counts = serde_json::to_value(backup.counts).unwrap();
    for (name, count) in counts.as_object().unwrap() {
        assert_eq!(&listed[name], count, "{name}");
    }
}

fn key(path: impl AsRef<[u8]>) -> Key {
    Key::new(&Partition::new("agent:1").unwrap(), path).unwrap()
}

fn noise(seed: u64, size_bytes: usize) -> Vec<u8> {
    let random = SeededRandom::new(seed);
    (0..size_bytes / 8)
        .flat_map(|_| random.next_u64().to_le_bytes())
        .collect()
}

/// A store's life, with backups in between and the state at each.
struct Story {
    bench: Bench,
    states: Vec<(BackupMetadata, State)>,
}

impl Story {
    async fn backup(&mut self, kind: BackupType, batches: Vec<WriteBatch>) {
        for batch in batches {
            self.bench.store.apply(batch).await.unwrap().committed().unwrap();
        }
        self.bench.clock.advance_millis(1_000);
        let state = state(&*self.bench.store).await;
        let options = CreateOptions::new(kind).with_tag("story");
        let backup = self.bench.manager.create(&options).await.unwrap();
        assert_eq!(backup.forced, None);
        self.states.push((backup, state));
    }

    async fn tell() -> Self {
        let mut story = Story {
            bench: Bench::new().await,
            states: Vec::new(),
        };
        let at = |seconds: u64| Expiry::At(Timestamp::from_millis(NOW.as_millis() + seconds * 1_000));
        let binary = Key::new(&Partition::new([0xff; 255]).unwrap(), [0, 0xff, b'\n']).unwrap();
        let long = key([b'k'; Key::MAX_PATH_BYTES]);
        let tasks = (0..2_000).fold(WriteBatch::new(), |batch, number| {
            let value = format!(r#"{{"number":{number},"state":"waiting for more"}}"#);
            batch.put(key(format!("task/{number:06}")), value)
        });
        let new = WriteBatch::new;
        let first = vec![
            tasks,
            new()
                .put(binary.clone(), (0..=255).collect::<Vec<u8>>())
                .put(key(""), ""),
            new()
                .put(long.clone(), "ünï\u{2028}\0")
                .put(key("large"), noise(1, 3 << 19)),
            new()
                .put_with(key("soon"), "s", at(3))
                .put_with(key("late"), "l", at(1 << 40)),
        ];
        let second = vec![
            new()
                .delete(key("task/000007"))
                .put(key("task/000008"), "changed"),
            new()
                .touch(key("task/000009"), at(6))
                .put_with(key("brief"), "b", at(3)),
        ];
        let third = vec![
            new().put(key("task/000007"), "again").delete(binary).delete(long),
            new()
                .put(key("large"), noise(2, 5 << 18))
                .put(key("soon"), "back"),
        ];
        let fourth = vec![new().put(key("task/000008"), "changed again").delete(key("late"))];

        story.backup(BackupType::Full, Vec::new()).await;
        story.backup(BackupType::Full, first).await;
        for batches in [second, Vec::new(), third, fourth] {
            story.backup(BackupType::IncrementalFromNewest, batches).await;
        }
        story.backup(BackupType::Differential, Vec::new()).await;
        story
    }
}

fn lists_and_extracts_every_state(reader: &Reader) {
    let story = block_on(async {
        let story = Story::tell().await;
        let clock: std::sync::Arc<dyn Clock> = story.bench.clock.clone();
        story
            .bench
            .repository
            .note_verified(&[story.states[2].0.id], "bytes", &clock)
            .await
            .unwrap();
        story
    });
    let path = story.bench.path();
    reader.verifies(path);
    let backups = block_on(story.bench.repository.backups()).unwrap();
    let listed = reader.lines("list", path, &["--json"]);
    assert_eq!(listed.len(), backups.len());
    for (listed, backup) in listed.iter().zip(&backups) {
        assert_listed(listed, backup);
    }
    assert_eq!(
        listed.iter().filter(|listed| listed["verified"] == true).count(),
        1
    );
    let table = String::from_utf8(reader.run("list", path, &[]).stdout).unwrap();
    assert_eq!(table.lines().count(), backups.len() + 1);
    let kinds: Vec<_> = story.states.iter().map(|(backup, _)| backup.kind).collect();
    assert_eq!(
        kinds
            .iter()
            .filter(|kind| **kind == BackupKind::Incremental)
            .count(),
        4
    );
    for (backup, state) in &story.states {
        let lines = reader.lines("extract", path, &[&backup.id.to_string()]);
        let found = extracted(&lines);
        assert!(found == *state, "{} has another state", backup.id);
    }
    let sizes: Vec<usize> = story.states.iter().map(|(_, state)| state.len()).collect();
    assert_eq!(sizes, [0, 2_006, 2_004, 2_004, 2_004, 2_002, 2_002]);
    let counts = story.states.iter().map(|(backup, _)| backup.counts);
    let removed: Vec<u64> = counts
        .map(|counts| counts.deleted.min(1) + counts.expired.min(1) * 10)
        .collect();
    assert_eq!(removed[2], 11, "both kinds of removals were read");
    let (_, newest) = story.states.last().unwrap();
    assert!(extracted(&reader.lines("extract", path, &["latest"])) == *newest);
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format1")
}

fn reads_the_fixture_of_format_1(reader: &Reader) {
    reader.verifies(&fixture());
    let found = extracted(&reader.lines("extract", &fixture(), &["3-d101b5b9"]));
    let values: Vec<&[u8]> = found.values().map(|(_, _, value)| &value[..]).collect();
    let long = vec![b'v'; 2_000];
    let wanted: [&[u8]; 7] = [
        b"",
        &long,
        "näher".as_bytes(),
        br#"{"state":"busy"}"#,
        b"t",
        b"same",
        b"\0\xff\n",
    ];
    assert_eq!(values, wanted);
    let deadlines: Vec<Option<u64>> = found.values().map(|(_, deadline, _)| *deadline).collect();
    let later = Some(1_900_000_000_000);
    assert_eq!(deadlines, [None, None, None, None, later, later, None]);
}

/// A copy of the fixture, and the names of its objects.
fn copy() -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(folder) = waiting.pop() {
        fs::create_dir_all(dir.path().join(&folder)).unwrap();
        for entry in fs::read_dir(fixture().join(&folder)).unwrap() {
            let name = folder.join(entry.unwrap().file_name());
            if fixture().join(&name).is_dir() {
                waiting.push(name);
            } else {
                fs::copy(fixture().join(&name), dir.path().join(&name)).unwrap();
                names.push(name);
            }
        }
    }
    names.sort();
    (dir, names)
}

fn refuses_every_damaged_object(reader: &Reader) {
    let (dir, names) = copy();
    assert_eq!(names.len(), 14);
    let refuses = |code: i32, what: &str| reader.refuses("verify", dir.path(), &[], code, "", what);
    for name in &names {
        let (path, what) = (dir.path().join(name), name.display().to_string());
        let whole = fs::read(&path).unwrap();
        for place in [whole.len() / 2, whole.len() - 1] {
            let mut flipped = whole.clone();
            flipped[place] ^= 0x04;
            fs::write(&path, flipped).unwrap();
            refuses(DAMAGED, &format!("{what}, byte {place}"));
        }
        // The newest backup and what it stands on.
        if what.starts_with("log/") || what.starts_with("chunks/b9") || what.starts_with("chunks/43") {
            reader.refuses("extract", dir.path(), &["latest"], DAMAGED, "Damaged", &what);
        }
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        refuses(DAMAGED, &format!("{what}, half"));
        fs::remove_file(&path).unwrap();
        refuses(
            if what == "FORMAT" { NOT_THERE } else { DAMAGED },
            &format!("{what}, missing"),
        );
        fs::write(&path, &whole).unwrap();
    }
    reader.verifies(dir.path());
}

fn sealed(json: &str) -> String {
    format!("{json}\n{}\n", Hash::of(json.as_bytes()))
}

fn refuses_what_was_sealed_but_is_malformed(reader: &Reader) {
    let (dir, _) = copy();
    let refuses_instead = |name: &str, from: &str, to: &str, word: &str| {
        let path = dir.path().join(name);
        let whole = fs::read_to_string(&path).unwrap();
        let (json, _) = whole.split_once('\n').unwrap();
        let changed = json.replacen(from, to, 1);
        assert_ne!(json, changed, "{from}");
        fs::write(&path, sealed(&changed)).unwrap();
        reader.refuses("verify", dir.path(), &[], DAMAGED, word, &format!("{name}: {to}"));
        reader.refuses("list", dir.path(), &[], DAMAGED, word, &format!("{name}: {to}"));
        fs::write(&path, whole).unwrap();
    };
    refuses_instead(
        "FORMAT",
        r#""version":1"#,
        r#""version":2,"more":[]"#,
        "NewerVersion",
    );
    refuses_instead("FORMAT", "stead-backup", "stead-other", "Damaged");
    refuses_instead("FORMAT", "910a", "810a", "Damaged");
    let newest = "log/000000000005";
    refuses_instead(newest, r#""depth":"#, r#" "depth":"#, "malformed");
    refuses_instead(newest, "\"bytes\"", r#""\u0062ytes""#, "malformed");
    refuses_instead(newest, r#","depth":"bytes""#, "", "malformed");
    refuses_instead(newest, "verified", "unheard-of", "malformed");
    refuses_instead(newest, r#""sequence":5"#, r#""sequence":5.0"#, "malformed");
    refuses_instead(newest, "bytes", "bytez", "HEAD");
    refuses_instead("HEAD", r#"{"sequence":5"#, r#"{"sequence":6"#, "000000000006");
    refuses_instead(
        "log/000000000003",
        r#""sequence":3"#,
        r#""sequence":2"#,
        "another place",
    );
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    refuses_instead(newest, "\"bytes\"", &deep, "malformed");
    fs::write(dir.path().join("chunks/stray"), "x").unwrap();
    reader.refuses("verify", dir.path(), &[], DAMAGED, "chunks/stray", "a stray file");
    // What a writer that was ended leaves.
    fs::rename(dir.path().join("chunks/stray"), dir.path().join("chunks/stray#1")).unwrap();
    reader.verifies(dir.path());
}

/// Adds records to a copy of the fixture: two backups are forgotten, and their records are swept as `gone` says.
fn sweep(repository: &Path, gone: &str) {
    let id = "910a2dec89025cc1beeb8da1658eec67";
    let newest = fs::read_to_string(repository.join("log/000000000005")).unwrap();
    let mut previous = newest.lines().nth(1).unwrap().to_owned();
    let forgotten = r#"{"prune":{"forgotten":["2-ee42c90b","3-d101b5b9"]}}"#;
    for (sequence, action) in [
        (6, forgotten.to_owned()),
        (7, format!(r#"{{"sweep":{{"gone":{gone}}}}}"#)),
    ] {
        let json = format!(
            r#"{{"repository":"{id}","sequence":{sequence},"previous":"{previous}","at_ms":1,"action":{action}}}"#
        );
        previous = Hash::of(json.as_bytes()).to_string();
        fs::write(repository.join(format!("log/{sequence:012}")), sealed(&json)).unwrap();
    }
    let head = format!(r#"{{"sequence":7,"record":"{previous}"}}"#);
    fs::write(repository.join("HEAD"), sealed(&head)).unwrap();
}

fn follows_a_log_that_was_swept(reader: &Reader) {
    let (dir, _) = copy();
    let hash_of = |sequence: u64| {
        let text = fs::read_to_string(fixture().join(format!("log/{sequence:012}"))).unwrap();
        text.lines().nth(1).unwrap().to_owned()
    };
    let span = |first: u64, last: u64, record: &str| {
        format!(r#"[{{"first":{first},"last":{last},"record":"{record}"}}]"#)
    };
    sweep(dir.path(), &span(2, 3, &hash_of(3)));
    let listed = |repository: &Path| {
        let lines = reader.lines("list", repository, &["--json"]);
        lines
            .iter()
            .map(|line| line["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    // The records may be there still.
    for removed in ["log/000000000002", "log/000000000003"] {
        assert_eq!(
            listed(dir.path()),
            ["1-fb32555e", "4-90150280"],
            "before {removed}"
        );
        fs::remove_file(dir.path().join(removed)).unwrap();
    }
    assert_eq!(listed(dir.path()), ["1-fb32555e", "4-90150280"]);
    reader.verifies(dir.path());
    let newest = extracted(&reader.lines("extract", dir.path(), &["4-90150280"]));
    assert_eq!(
        newest,
        extracted(&reader.lines("extract", &fixture(), &["4-90150280"]))
    );
    reader.refuses(
        "extract",
        dir.path(),
        &["2-ee42c90b"],
        NOT_THERE,
        "no such backup",
        "a forgotten one",
    );
    block_on(async {
        let repository = Repository::open(dir.path().to_str().unwrap()).await.unwrap();
        let ids: Vec<_> = repository
            .backups()
            .await
            .unwrap()
            .iter()
            .map(|backup| backup.id.to_string())
            .collect();
        assert_eq!(ids, listed(dir.path()));
        assert_eq!(
            repository
                .verify(&VerifyOptions::default())
                .await
                .unwrap()
                .backups,
            2
        );
    });
    for gone in [
        span(2, 2, &hash_of(2)),
        span(2, 3, &hash_of(2)),
        span(3, 2, &hash_of(3)),
        span(1, 3, &hash_of(3)),
        "[]".to_owned(),
    ] {
        sweep(dir.path(), &gone);
        reader.refuses("verify", dir.path(), &[], DAMAGED, "", &gone);
    }
}

fn says_what_is_not_there(reader: &Reader) {
    let dir = tempfile::tempdir().unwrap();
    reader.refuses(
        "list",
        dir.path(),
        &[],
        NOT_THERE,
        "NotThere",
        "an empty directory",
    );
    reader.refuses(
        "list",
        &dir.path().join("none"),
        &[],
        NOT_THERE,
        "NotThere",
        "no directory",
    );
    reader.refuses(
        "extract",
        &fixture(),
        &["9-00000000"],
        NOT_THERE,
        "NotThere",
        "another id",
    );
    reader.refuses(
        "extract",
        &fixture(),
        &["../1-fb32555e"],
        INVALID,
        "Invalid",
        "no id",
    );
    let empty = block_on(Bench::new());
    reader.refuses(
        "extract",
        empty.path(),
        &["latest"],
        NOT_THERE,
        "NotThere",
        "no backup",
    );
    assert!(reader.lines("list", empty.path(), &["--json"]).is_empty());
}
