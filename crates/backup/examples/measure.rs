//! Times a full backup and an increment of a store in memory, and a restore.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement may panic, and looks at the clock"
)]

use std::sync::Arc;
use std::time::Instant;

use stead_backup::{BackupManager, BackupType, CreateOptions, Repository};
use stead_core::{Backend, Key, Partition, SystemClock, SystemRandom, WriteBatch};
use stead_memory::MemoryBackend;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn value(number: u64, round: u64) -> String {
    let mixed = (number + round * 7_919).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    format!(
        r#"{{"id":{number},"name":"agent-{:05}","score":{:.4},"state":"{}","note":"{:012x}","round":{round}}}"#,
        number % 20_000,
        f64::from(u32::try_from(mixed % 1_000_000).unwrap()) / 1000.0,
        ["idle", "running", "waiting", "done"][usize::try_from(mixed % 4).unwrap()],
        mixed,
    )
}

fn key(number: u64) -> Key {
    // 30 bytes.
    Key::new(
        &Partition::new("agent:planner").unwrap(),
        format!("task/{number:011}"),
    )
    .unwrap()
}

#[tokio::main]
async fn main() {
    let entries: u64 = std::env::args().nth(1).map_or(1_000_000, |n| n.parse().unwrap());
    let store = Arc::new(MemoryBackend::default());
    let mut bytes = 0;
    for start in (0..entries).step_by(1000) {
        let mut batch = WriteBatch::new();
        for number in start..start + 1000 {
            let value = value(number, 0);
            bytes += value.len();
            batch = batch.put(key(number), value);
        }
        store.apply(batch).await.unwrap().committed().unwrap();
    }
    println!(
        "{entries} entries, mean value {} bytes, key {} bytes",
        bytes as u64 / entries,
        key(1).as_bytes().len()
    );
    for round in 0..5 {
        let dir = tempfile::tempdir_in(".").unwrap();
        let url = dir.path().to_str().unwrap();
        let repository = Repository::init(url, &SystemClock, &SystemRandom).await.unwrap();
        let manager = BackupManager::new(repository.clone(), store.clone());
        let start = Instant::now();
        let full = manager
            .create(&CreateOptions::new(BackupType::Full))
            .await
            .unwrap();
        let full_time = start.elapsed();
        for number in 0..entries / 100 {
            let number = (number * 97 + round) % entries;
            store
                .apply(WriteBatch::new().put(key(number), value(number, round + 1)))
                .await
                .unwrap()
                .committed()
                .unwrap();
        }
        let start = Instant::now();
        let part = manager
            .create(&CreateOptions::new(BackupType::IncrementalFromNewest))
            .await
            .unwrap();
        let part_time = start.elapsed();
        println!(
            "full {full_time:?} {} MB in {} chunks; increment {part_time:?} ({:.2} %) {} KB ({:.2} %) {} entries",
            full.counts.stored_bytes / 1_000_000,
            full.counts.chunks,
            part_time.as_secs_f64() / full_time.as_secs_f64() * 100.0,
            part.counts.stored_bytes / 1000,
            part.counts.stored_bytes as f64 / full.counts.stored_bytes as f64 * 100.0,
            part.counts.entries,
        );
    }
}
