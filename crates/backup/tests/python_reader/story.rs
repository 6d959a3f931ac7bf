//! What a store went through, and what it held at each backup.

use stead_backup::{BackupMetadata, BackupType, CreateOptions};
use stead_core::{
    Backend, Expiry, Key, KeyRange, Partition, Random, ReadExt, Scan, SeededRandom, Timestamp, WriteBatch,
};

use crate::reader::State;
use crate::support::{Bench, NOW};

pub(crate) async fn state(store: &dyn Backend) -> State {
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
pub(crate) struct Story {
    pub(crate) bench: Bench,
    pub(crate) states: Vec<(BackupMetadata, State)>,
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

    pub(crate) async fn tell() -> Self {
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
