//! What the reader says of a repository that is whole.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use stead_backup::{
    BackupKind, BackupMetadata, BackupType, PruneOptions, Repository, RestoreOptions, RestorePoint,
    RetentionPolicy,
};
use stead_core::{Clock, Entry, ManualClock, Timestamp};

use crate::block_on;
use crate::life::Life;
use crate::reader::{Reader, State, extracted};
use crate::story::{Story, state};
use crate::support::{Bench, memory, put};

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

pub(crate) fn extracts_increments_within_partitions(reader: &Reader) {
    block_on(async {
        let life = Life::tell().await;
        reader.verifies(life.path());
        for (backup, entries) in &life.states {
            let of = |entry: &Entry| {
                let deadline = entry.deadline().map(Timestamp::as_millis);
                (entry.revision().get(), deadline, entry.value().to_vec())
            };
            let state: State = entries
                .iter()
                .map(|(key, entry)| (key.clone(), of(entry)))
                .collect();
            let mut found = extracted(&reader.lines("extract", life.path(), &[&backup.id.to_string()]));
            found.retain(|_, (_, deadline, _)| {
                deadline.is_none_or(|deadline| deadline > backup.taken.as_millis())
            });
            assert!(found == state, "{} has another state", backup.id);
        }
    });
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

pub(crate) fn reads_the_fixtures_of_format_1(reader: &Reader) {
    for name in ["format1", "format1-history"] {
        reads_a_fixture(reader, &fixture(name));
    }
}

fn reads_a_fixture(reader: &Reader, fixture: &Path) {
    reader.verifies(fixture);
    let found = extracted(&reader.lines("extract", fixture, &["3-d101b5b9"]));
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

pub(crate) fn reads_the_pruned_fixture_of_format_1(reader: &Reader) {
    let path = fixture("format1-pruned");
    reader.verifies(&path);
    let repository = block_on(Repository::open(path.to_str().unwrap())).unwrap();
    let backups = block_on(repository.backups()).unwrap();
    let listed = reader.lines("list", &path, &["--json"]);
    assert_eq!((listed.len(), backups.len()), (4, 4));
    for (listed, backup) in listed.iter().zip(&backups) {
        assert_listed(listed, backup);
        let found = extracted(&reader.lines("extract", &path, &[&backup.id.to_string()]));
        let clock = Arc::new(ManualClock::at(backup.taken));
        let target = memory(&clock);
        let options = RestoreOptions::new(RestorePoint::Backup(backup.id));
        let restored = block_on(repository.restore(&target, &options, &*clock));
        assert_eq!(restored.unwrap().entries, found.len() as u64);
        // Revisions are raised by a restore.
        let without = |state: State| -> Vec<_> {
            let without = |(key, (_, deadline, value))| (key, deadline, value);
            state.into_iter().map(without).collect()
        };
        assert!(
            without(block_on(state(&*target))) == without(found),
            "{}",
            backup.id
        );
    }
}

/// Two rounds, so that the second one takes the records of the first from the log as well.
pub(crate) fn reads_what_prunes_left(reader: &Reader) {
    let bench = block_on(Bench::new());
    let clock: Arc<dyn Clock> = bench.clock.clone();
    for round in 0..3 {
        let (newest, state) = block_on(async {
            for kind in [BackupType::Full, BackupType::IncrementalFromNewest] {
                bench.clock.advance_millis(60_000);
                put(&bench.store, "agent:1", &format!("note/{round}"), "new").await;
                put(&bench.store, "agent:1", "plan", &format!("{kind:?} of {round}")).await;
                bench.manager.create_backup(kind).await.unwrap();
            }
            let policy = RetentionPolicy::CountBasedPolicy { max_backups: 1 };
            let mut options = PruneOptions::new(policy);
            // The files are as old as the machine's clock says, which the store's is ahead of.
            options.grace = std::time::Duration::from_secs(60);
            bench.repository.prune(&options, &clock).await.unwrap();
            let forgotten = bench.repository.backups().await.unwrap();
            reader.verifies(bench.path());
            bench.clock.advance_millis(60_000);
            bench.repository.prune(&options, &clock).await.unwrap();
            assert_eq!(bench.repository.backups().await.unwrap(), forgotten);
            (forgotten.last().unwrap().clone(), state(&*bench.store).await)
        });
        reader.verifies(bench.path());
        let listed = reader.lines("list", bench.path(), &["--json"]);
        let backups = block_on(bench.repository.backups()).unwrap();
        assert_eq!(listed.len(), 2, "the newest and what it stands on");
        for (listed, backup) in listed.iter().zip(&backups) {
            assert_listed(listed, backup);
        }
        let found = extracted(&reader.lines("extract", bench.path(), &[&newest.id.to_string()]));
        assert!(found == state, "round {round}");
    }
    let records = std::fs::read_dir(bench.path().join("log")).unwrap().count();
    assert!(records < 6, "{records} records are left of 12: there are gaps");
}
