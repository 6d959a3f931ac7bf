//! The repository whose every bit is flipped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::ObjectStoreExt as _;
use object_store::memory::InMemory;
use object_store::path::Path;
use stead_core::{Clock, Expiry, Random as _, SeededRandom, Timestamp, WriteBatch};

use super::craft::{Craft, State, backend, key, logical, objects, record, state};
use crate::log::Log;
use crate::records::Shape;
use crate::repository::chunk_name;
use crate::{BackupId, BackupManager, BackupType, PruneOptions, RestorePoint, RetentionPolicy};

const DAY_MS: u64 = 86_400_000;

/// What reads a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadBy {
    /// Whoever reads anything.
    All,
    /// A restore of this backup; it is the newest one that needs the file.
    Backup(BackupId),
    /// No restore: it is in the trash.
    Nobody,
}

/// A repository, and what its backups give.
pub(super) struct Sample {
    pub(super) files: Vec<(Path, Bytes, ReadBy)>,
    pub(super) states: BTreeMap<BackupId, State>,
    pub(super) newest: BackupId,
}

impl Sample {
    /// About 64 KiB: full backups, increments with deletions and expiries, a differential one, one whose tree has two levels
    /// and several chunks; a backup that was verified, one that was forgotten and whose chunks are in the trash, and a gap
    /// where one was swept.
    pub(super) async fn make() -> Self {
        let craft = Craft::new().await;
        let store = backend(&craft.clock);
        let random = Arc::new(SeededRandom::new(5));
        let manager = BackupManager::new(craft.repository.clone(), Arc::clone(&store))
            .with_clock(craft.clock.clone())
            .with_random(random.clone());
        let text = |bytes: usize| -> String {
            let digits = (0..bytes.div_ceil(16)).map(|_| format!("{:016x}", random.next_u64()));
            digits.collect::<String>()[..bytes].to_owned()
        };
        let clock: Arc<dyn Clock> = craft.clock.clone();
        let prune = async |keep| {
            let mut options = PruneOptions::new(RetentionPolicy::CountBasedPolicy { max_backups: keep });
            options.grace = Duration::from_secs(3600);
            craft.repository.prune(&options, &clock).await.unwrap()
        };
        let mut states = BTreeMap::new();
        let mut taken = async |kind: BackupType| {
            let id = manager.create_backup(kind).await.unwrap();
            states.insert(id, state(&*store).await);
            id
        };
        let apply = async |batch: WriteBatch| {
            store.apply(batch).await.unwrap().committed().unwrap();
        };

        for round in 0..3_u64 {
            // The first round is swept, the second one is in the trash, the third stays.
            let many = if round == 2 { 120 } else { 40 };
            for number in 0..many {
                let batch = WriteBatch::new().put(key(format!("note/{number:03}")), text(462));
                apply(batch).await;
            }
            let soon = Timestamp::from_millis(craft.clock.now().as_millis() + 1_000);
            for number in 0..6 {
                let path = key(format!("timed/{number}"));
                apply(WriteBatch::new().put_with(path, text(60), Expiry::At(soon))).await;
            }
            taken(BackupType::Full).await;
            craft.clock.set(soon);
            for number in 0..3 {
                apply(WriteBatch::new().delete(key(format!("timed/{number}")))).await;
                apply(WriteBatch::new().delete(key(format!("note/{number:03}")))).await;
            }
            for number in 10..30 {
                apply(WriteBatch::new().put(key(format!("note/{number:03}")), text(320))).await;
            }
            let increment = taken(BackupType::IncrementalFromNewest).await;
            if round == 2 {
                craft
                    .repository
                    .note_verified(&[increment], "bytes", &clock)
                    .await
                    .unwrap();
            }
            craft.clock.advance_millis(2 * DAY_MS);
            prune(1).await;
        }
        for number in 30..50 {
            apply(WriteBatch::new().put(key(format!("note/{number:03}")), text(230))).await;
        }
        taken(BackupType::IncrementalFromNewest).await;
        taken(BackupType::Differential).await;
        let (id, crafted) = two_levels(&craft, text(6_000).as_bytes()).await;
        states.insert(id, crafted);
        Sample::of(&craft, states).await
    }

    async fn of(craft: &Craft, mut states: BTreeMap<BackupId, State>) -> Self {
        let log = Log::read(&craft.repository).await.unwrap();
        let mut owners = BTreeMap::new();
        let mut newest = None;
        for (_, manifest) in log.backups() {
            for below in log.chain(&manifest.id).unwrap() {
                let mut needed = BTreeMap::new();
                craft.repository.chunks_of(below, &mut needed).await.unwrap();
                owners.extend(needed.keys().map(|id| (Path::from(chunk_name(id)), manifest.id)));
            }
            newest = Some(manifest.id);
        }
        let there: BTreeSet<BackupId> = log.backups().map(|(_, manifest)| manifest.id).collect();
        states.retain(|id, _| there.contains(id));
        let read_by = |path: &Path| match owners.get(path) {
            Some(id) => ReadBy::Backup(*id),
            None if path.as_ref().starts_with("chunks/") => ReadBy::Nobody,
            None => ReadBy::All,
        };
        let files = objects(&craft.store).await.into_iter();
        Sample {
            files: files
                .map(|(path, bytes)| (path.clone(), bytes, read_by(&path)))
                .collect(),
            states,
            newest: newest.unwrap(),
        }
    }

    /// A copy of it.
    pub(super) async fn copy(&self) -> Arc<InMemory> {
        let store = Arc::new(InMemory::new());
        for (path, bytes, _) in &self.files {
            store.put(path, bytes.clone().into()).await.unwrap();
        }
        store
    }

    /// The backup to restore in order to find damage of a file.
    pub(super) fn point(&self, read_by: ReadBy) -> RestorePoint {
        match read_by {
            ReadBy::All | ReadBy::Nobody => RestorePoint::Backup(self.newest),
            ReadBy::Backup(id) => RestorePoint::Backup(id),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.files.iter().map(|(_, bytes, _)| bytes.len()).sum()
    }
}

/// A backup with a tree of two levels, as stores get with more than 1,024 chunks.
async fn two_levels(craft: &Craft, value: &[u8]) -> (BackupId, State) {
    let sequence = Log::read(&craft.repository).await.unwrap().next_sequence();
    let mut chunks = Vec::new();
    let mut top = Vec::new();
    let mut held = Vec::new();
    for half in value.chunks(value.len() / 2) {
        let mut leaves = Vec::new();
        for part in half.chunks(half.len() / 2) {
            let path = |number: usize| format!("leaf/{:02}/{number:02}", held.len());
            let records: Vec<_> = part
                .chunks(100)
                .enumerate()
                .map(|(number, value)| record(&path(number), value))
                .collect();
            let leaf = craft.leaf(&records, Shape::Full).await;
            chunks.push(leaf.chunk);
            leaves.push(leaf);
            held.push(records);
        }
        let (first, last) = (leaves[0].first.clone(), leaves[1].last.clone());
        let root = craft.node(1, leaves).await;
        chunks.push(root.chunk);
        top.push(crate::index::Child {
            chunk: root.chunk,
            digest: root.digest,
            records: root.records,
            first,
            last,
        });
    }
    let root = craft.node(2, top).await;
    chunks.push(root.chunk);
    let records = held.concat();
    let mut manifest = craft.manifest(sequence, root, &chunks, logical(&records));
    manifest.taken_ms = craft.clock.now().as_millis();
    let id = manifest.id;
    craft.backup(manifest).await;
    let entry = |record: &crate::records::Record| {
        let value = record.payload.value().unwrap().to_vec();
        (record.key.clone(), value, None)
    };
    (id, records.iter().map(entry).collect())
}

#[tokio::test]
async fn the_sample_has_all_that_a_repository_can_have() {
    let sample = Sample::make().await;
    let log: Vec<String> = sample
        .files
        .iter()
        .filter(|(path, _, _)| path.as_ref().starts_with("log/"))
        .map(|(_, bytes, _)| String::from_utf8(bytes.to_vec()).unwrap())
        .collect();
    let has = |what: &str| log.iter().any(|record| record.contains(what));
    for what in [
        r#""kind":"full""#,
        r#""kind":"incremental""#,
        r#""kind":"differential""#,
        r#"{"verified""#,
        r#"{"prune""#,
        r#"{"sweep":{"gone":[{"first":1"#,
        r#""level":2"#,
    ] {
        assert!(has(what), "{what}");
    }
    assert!(!log[0].contains(r#""sequence":1,"#), "the first records are gone");
    let of = |wanted: fn(&ReadBy) -> bool| sample.files.iter().filter(|(_, _, by)| wanted(by)).count();
    assert!(of(|by| *by == ReadBy::Nobody) >= 3, "there is no trash");
    assert!(of(|by| matches!(by, ReadBy::Backup(_))) >= 12);
    let kib = sample.bytes() >> 10;
    assert!((64..=72).contains(&kib), "{kib} KiB");
    assert_eq!(sample.states.len(), 5);
    // It is whole, and gives what was backed up.
    let store = sample.copy().await;
    let report = super::craft::verify(&store).await.unwrap();
    assert_eq!(report.backups, 5);
    assert!(report.unused_chunks > 0);
    let repository = crate::Repository::open_at(super::craft::location(&store))
        .await
        .unwrap();
    for backup in repository.backups().await.unwrap() {
        let (id, state_then) = (&backup.id, &sample.states[&backup.id]);
        let clock = Arc::new(stead_core::ManualClock::at(backup.taken));
        let target = backend(&clock);
        super::craft::restore(&store, RestorePoint::Backup(*id), &target, &clock)
            .await
            .unwrap();
        let found = state(&*target).await;
        assert!(found == *state_then, "{id}");
    }
}
