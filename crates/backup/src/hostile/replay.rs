//! The corpus of the fuzz targets, replayed: each input as it is, and changed in some ways.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use stead_core::{ManualClock, Random as _, SeededRandom};

use super::cases::cases;
use super::craft::{NOW, backend, objects};
use crate::fuzzing;

/// The most bytes that the inputs of all targets may have.
const MOST_BYTES: usize = 200 << 10;
/// Changed forms of each input.
const CHANGED: u64 = 12;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(target)
}

fn inputs(target: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(corpus(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn run(target: &str, bytes: &[u8]) {
    match target {
        "backup_sealed" => fuzzing::sealed(bytes),
        "backup_chunk" => fuzzing::chunk(bytes),
        "backup_contents" => fuzzing::contents(bytes),
        _ => {
            let clock = Arc::new(ManualClock::at(NOW));
            let files = fuzzing::unpack(bytes);
            for reseal in [false, true] {
                fuzzing::repository(&files, reseal, || backend(&clock), &*clock);
            }
        }
    }
}

const TARGETS: [&str; 4] = [
    "backup_sealed",
    "backup_chunk",
    "backup_contents",
    "backup_repository",
];

/// The input with a few of its bytes flipped, cut out, doubled, or made large.
fn changed(random: &SeededRandom, input: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.next_u64() % 4 {
        if bytes.is_empty() {
            bytes.push(0);
        }
        let below = |most: usize| usize::try_from(random.next_u64() % most as u64).unwrap();
        let (at, length) = (below(bytes.len()), 1 + below(16));
        let end = (at + length).min(bytes.len());
        match below(6) {
            0 => bytes[at] ^= 1 << below(8),
            1 => bytes[at] = [0, 0x7f, 0x80, 0xff, b'0', b'9'][below(6)],
            2 => drop(bytes.drain(at..end)),
            3 => {
                let twice = bytes[at..end].to_vec();
                bytes.splice(at..at, twice);
            }
            4 => bytes[at..end].fill(0xff),
            _ => bytes.truncate(at),
        }
    }
    bytes
}

#[test]
fn the_corpus_is_answered_and_so_is_what_it_becomes() {
    let mut total = 0;
    for target in TARGETS {
        let inputs = inputs(target);
        assert!(inputs.len() >= 8, "{target} has {} inputs", inputs.len());
        let random = SeededRandom::new(7);
        for input in &inputs {
            total += input.len();
            run(target, input);
            for _ in 0..CHANGED {
                run(target, &changed(&random, input));
            }
        }
    }
    assert!(total <= MOST_BYTES, "{total} bytes");
}

/// For a change of the format: the inputs are the files of the fixture, and the hostile repositories.
#[tokio::test]
#[ignore = "writes the corpus; run it by name"]
async fn write_corpus() {
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let name: String = name
            .chars()
            .map(|letter| {
                if letter.is_ascii_alphanumeric() {
                    letter
                } else {
                    '-'
                }
            })
            .collect();
        std::fs::create_dir_all(corpus(target)).unwrap();
        std::fs::write(corpus(target).join(name), bytes).unwrap();
    };
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format1");
    let mut whole = Vec::new();
    let mut waiting = vec![fixture.clone()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let name = path.strip_prefix(&fixture).unwrap().to_str().unwrap().to_owned();
            let bytes = std::fs::read(&path).unwrap();
            let short = &name[..name.len().min(20)];
            if name.starts_with("chunks") {
                write("backup_chunk", short, &bytes);
                write("backup_contents", short, &bytes[16..]);
            } else {
                write("backup_sealed", short, &bytes);
            }
            whole.push((name, bytes));
        }
    }
    whole.sort();
    write("backup_repository", "fixture", &fuzzing::pack(&whole));
    for (what, craft) in cases().await {
        let files = objects(&craft.store).await;
        let files: Vec<(String, Vec<u8>)> = files
            .into_iter()
            .map(|(path, bytes)| (path.to_string(), bytes.to_vec()))
            .collect();
        let packed = fuzzing::pack(&files);
        if packed.len() < 4_096 {
            write("backup_repository", &what, &packed);
        }
        for (name, bytes) in files.iter().filter(|(_, bytes)| bytes.len() < 600) {
            if name.starts_with("chunks")
                && (what.contains("node") || what.contains("GiB") || what.contains("records"))
            {
                write("backup_chunk", &what, bytes);
                write("backup_contents", &what, &bytes[16..]);
            }
        }
    }
    let holder = super::craft::sealed(r#"{"process":7,"until_ms":1800000060000}"#);
    write("backup_sealed", "lock", &holder);
}
