//! What the reader says of a repository that is whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use stead_backup::{BackupKind, BackupMetadata};
use stead_core::Clock;

use crate::block_on;
use crate::reader::{Reader, extracted};
use crate::story::Story;

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

pub(crate) fn lists_and_extracts_every_state(reader: &Reader) {
    let story = block_on(async {
        let story = Story::tell().await;
        let clock: Arc<dyn Clock> = story.bench.clock.clone();
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

pub(crate) fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format1")
}

pub(crate) fn reads_the_fixture_of_format_1(reader: &Reader) {
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
