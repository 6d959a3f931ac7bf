//! Times full backups, increments and restores, in wall time and in time of the processor, which others on the machine
//! disturb less.
//!
//! ```text
//! measure [ENGINE [ENTRIES [ROUNDS [PART]]]]
//! ```
//!
//! `ENGINE` is `memory`, `redb`, `sled`, `rocksdb` or `fjall`; `PART` is `full`, `increment`, `restore` or `all`. Repositories
//! and stores are made in the current directory.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement may panic, and looks at the clock"
)]

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stead_backup::{
    BackupManager, BackupMetadata, BackupType, CreateOptions, Repository, RestoreOptions, RestorePoint,
};
use stead_core::{Backend, Key, KeyRange, Partition, ReadExt as _, SystemClock, SystemRandom, WriteBatch};
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

type Store = Arc<dyn Backend>;

async fn open(engine: &str, dir: &Path) -> Store {
    let url = format!("{engine}:{}", dir.join(engine).display()).parse();
    match engine {
        "memory" => return Arc::new(MemoryBackend::default()),
        "redb" => stead_redb::open_url(url.unwrap()).await,
        "sled" => stead_sled::open_url(url.unwrap()).await,
        "rocksdb" => stead_rocksdb::open_url(url.unwrap()).await,
        "fjall" => stead_fjall::open_url(url.unwrap()).await,
        _ => panic!("the engines are memory, redb, sled, rocksdb and fjall"),
    }
    .unwrap()
}

async fn put(store: &Store, numbers: impl Iterator<Item = u64>, round: u64) {
    let mut batch = WriteBatch::new();
    let mut numbers = numbers.peekable();
    while let Some(number) = numbers.next() {
        batch = batch.put(key(number), value(number, round));
        if batch.mutations().len() == 1000 || numbers.peek().is_none() {
            let whole = std::mem::take(&mut batch);
            store.apply(whole).await.unwrap().committed().unwrap();
        }
    }
}

/// How long something took each time.
#[derive(Default)]
struct Times {
    wall: Vec<Duration>,
    processor: Vec<Duration>,
}

impl Times {
    async fn of<T>(&mut self, work: impl Future<Output = T>) -> T {
        let (start, used) = (Instant::now(), processor_time());
        let result = work.await;
        self.wall.push(start.elapsed());
        self.processor.push(processor_time().saturating_sub(used));
        result
    }

    fn least(&self) -> Duration {
        self.wall.iter().min().copied().unwrap_or_default()
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut wall, mut processor) = (self.wall.clone(), self.processor.clone());
        wall.sort_unstable();
        processor.sort_unstable();
        let millis = |times: &[Duration], index: usize| times[index].as_secs_f64() * 1000.0;
        let middle = wall.len() / 2;
        write!(
            f,
            "least {:7.1} ms, median {:7.1} ms; on the processor least {:7.1} ms, median {:7.1} ms",
            millis(&wall, 0),
            millis(&wall, middle),
            millis(&processor, 0),
            millis(&processor, middle),
        )
    }
}

/// What all threads have used so far.
fn processor_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let nanos = threads.filter_map(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

async fn create(manager: &BackupManager, kind: BackupType) -> BackupMetadata {
    manager.create(&CreateOptions::new(kind)).await.unwrap()
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument =
        |index: usize, default: &str| arguments.get(index).map_or(default, |found| found).to_owned();
    let (engine, part) = (argument(0, "memory"), argument(3, "all"));
    let entries: u64 = argument(1, "1000000").parse().unwrap();
    let rounds: u64 = argument(2, "7").parse().unwrap();
    let wanted = |name: &str| part == "all" || part == name;

    let dir = tempfile::tempdir_in(".").unwrap();
    let store = open(&engine, dir.path()).await;
    put(&store, 0..entries, 0).await;
    store.sync().await.unwrap();
    let (mut full, mut increment, mut restore) = (Times::default(), Times::default(), Times::default());
    for round in 0..rounds {
        let dir = tempfile::tempdir_in(".").unwrap();
        let url = dir.path().join("backups");
        let url = url.to_str().unwrap();
        let repository = Repository::init(url, &SystemClock, &SystemRandom).await.unwrap();
        let manager = BackupManager::new(repository.clone(), store.clone());
        let base = full.of(create(&manager, BackupType::Full)).await;
        if wanted("increment") {
            put(
                &store,
                (0..entries / 100).map(|number| (number * 97 + round) % entries),
                round + 1,
            )
            .await;
            let next = increment
                .of(create(&manager, BackupType::IncrementalFromNewest))
                .await;
            assert_eq!(next.forced, None);
            if round == 0 {
                println!(
                    "full {} entries, {} bytes, {} chunks; increment {} entries, {} bytes ({:.2} %), {} chunks",
                    base.counts.entries,
                    base.counts.stored_bytes,
                    base.counts.chunks,
                    next.counts.entries,
                    next.counts.stored_bytes,
                    next.counts.stored_bytes as f64 / base.counts.stored_bytes as f64 * 100.0,
                    next.counts.chunks,
                );
            }
        }
        if wanted("restore") {
            let target = open(&engine, dir.path()).await;
            let options = RestoreOptions::new(RestorePoint::Backup(base.id));
            let report = restore
                .of(repository.restore(&target, &options, &SystemClock))
                .await
                .unwrap();
            assert_eq!(report.entries, entries);
            assert_eq!(target.count(&KeyRange::all()).await.unwrap(), entries);
            target.close().await.unwrap();
        }
    }
    println!("full      {full}");
    if wanted("increment") {
        println!(
            "increment {increment}: {:.2} % of the full one's time",
            share(&increment, &full)
        );
    }
    if wanted("restore") {
        println!("restore   {restore}");
    }
}

fn share(part: &Times, whole: &Times) -> f64 {
    part.least().as_secs_f64() / whole.least().as_secs_f64() * 100.0
}
