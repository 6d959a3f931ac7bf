//! The repository of the second fixture: what prunes leave, and backups of a store that orders its revisions within
//! partitions only.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use stead_backup::{BackupManager, BackupType, CreateOptions, PruneOptions, Repository, RetentionPolicy};
use stead_conformance::reference::{Options, Reference};
use stead_core::kit::Walk;
use stead_core::{
    Backend, Clock, Expiry, Extent, KeyRange, ManualClock, SeededRandom, Timestamp, WriteBatch,
};
use stead_memory::{MemoryBackend, MemoryOptions};

use super::State;
use super::support::{NOW, key};

/// What `list` shows of it: the number, the kind, the store and the tags.
pub(crate) const LISTED: [&str; 4] = [
    r#"7 full memory ["nightly"]"#,
    "8 differential memory []",
    r#"10 full reference ["partitions", "v1.0"]"#,
    "11 incremental reference []",
];

const DAY_MS: u64 = 86_400_000;

pub(crate) fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format1-pruned")
}

struct Maker {
    clock: Arc<ManualClock>,
    repository: Repository,
    random: Arc<SeededRandom>,
}

impl Maker {
    async fn back_up(&self, store: &Arc<dyn Backend>, kind: BackupType, tags: &[&str]) -> State {
        let manager = BackupManager::new(self.repository.clone(), Arc::clone(store))
            .with_clock(self.clock.clone())
            .with_random(self.random.clone());
        let options = CreateOptions::new(kind);
        let options = tags.iter().fold(options, |options, tag| options.with_tag(*tag));
        manager.create(&options).await.unwrap();
        let state = state(&**store).await;
        self.clock.advance_millis(1_000);
        state
    }

    /// Keeps so many backups, and removes what was forgotten more than an hour ago. The files are as old as the machine's
    /// clock says, which this one is ahead of.
    async fn prune(&self, keep: usize) {
        let mut options = PruneOptions::new(RetentionPolicy::CountBasedPolicy { max_backups: keep });
        options.grace = Duration::from_secs(3_600);
        let clock: Arc<dyn Clock> = self.clock.clone();
        self.repository.prune(&options, &clock).await.unwrap();
        self.clock.advance_millis(DAY_MS);
    }
}

/// What a store holds, which may be scanned partition by partition only.
async fn state(store: &dyn Backend) -> State {
    let mut walk = Walk::new(store, store.capabilities(), KeyRange::all());
    let mut state = State::new();
    loop {
        let page = walk.page().await.unwrap();
        if page.is_empty() {
            return state;
        }
        for item in page {
            let entry = item.entry.unwrap();
            state.insert(item.key, (entry.value().to_vec(), entry.deadline()));
        }
    }
}

async fn apply(store: &Arc<dyn Backend>, batch: WriteBatch) {
    store.apply(batch).await.unwrap().committed().unwrap();
}

/// Makes it. The states of the backups that there are in the end.
pub(crate) async fn make(path: &Path) -> Vec<State> {
    let clock = Arc::new(ManualClock::at(NOW));
    let random = Arc::new(SeededRandom::new(2));
    let repository = Repository::init(path.to_str().unwrap(), &*clock, &*random)
        .await
        .unwrap();
    let options = MemoryOptions::default()
        .with_clock(clock.clone())
        .with_sweep_interval(Duration::from_secs(86_400 * 365));
    let memory: Arc<dyn Backend> = Arc::new(MemoryBackend::new(options));
    let declared = Options::default().declaring(|capabilities| {
        capabilities.atomicity = Extent::Partition;
        capabilities.revision_order = Extent::Partition;
    });
    let clocked: Arc<dyn Clock> = clock.clone();
    let partitioned: Arc<dyn Backend> = Arc::new(Reference::open(clocked.clone(), declared));
    let maker = Maker {
        clock: clock.clone(),
        repository: repository.clone(),
        random,
    };
    let later = Expiry::At(Timestamp::from_millis(1_900_000_000_000));
    let note = |number: u32| key("agent:1", &format!("note/{number}"));
    let value = |number: u32| format!("{number} ").repeat(40);

    // 1 to 4: a chain that is swept with the record of its prune; 3 is the full backup that was kept.
    for number in 0..6 {
        apply(&memory, WriteBatch::new().put(note(number), value(number))).await;
    }
    maker.back_up(&memory, BackupType::Full, &["old"]).await;
    apply(&memory, WriteBatch::new().delete(note(0))).await;
    maker
        .back_up(&memory, BackupType::IncrementalFromNewest, &[])
        .await;
    apply(&memory, WriteBatch::new().put_with(note(1), "short", later)).await;
    maker.back_up(&memory, BackupType::Full, &[]).await;
    maker.prune(1).await;
    // 5 is the sweep; 6 to 8 are other backups, of which the first is soon forgotten.
    maker.prune(9).await;
    apply(&memory, WriteBatch::new().put(note(7), value(7))).await;
    maker.back_up(&memory, BackupType::Full, &["weekly"]).await;
    apply(
        &memory,
        WriteBatch::new().put(note(8), "").put(note(2), "changed"),
    )
    .await;
    let mut states = vec![maker.back_up(&memory, BackupType::Full, &["nightly"]).await];
    apply(&memory, WriteBatch::new().delete(note(8)).put(note(9), "näher")).await;
    states.push(maker.back_up(&memory, BackupType::Differential, &[]).await);
    let backups = repository.backups().await.unwrap();
    let newest = backups.last().unwrap().id;
    repository
        .note_verified(&[newest], "restore", &clocked)
        .await
        .unwrap();
    // 10 and 11, of another store.
    for (partition, path) in [("agent:1", "plan"), ("agent:2", "plan"), ("user:ä", "name")] {
        apply(&partitioned, WriteBatch::new().put(key(partition, path), "first")).await;
    }
    let tags = ["partitions", "v1.0"];
    states.push(maker.back_up(&partitioned, BackupType::Full, &tags).await);
    let gone = WriteBatch::new().delete(key("agent:2", "plan"));
    apply(&partitioned, gone).await;
    let timed = WriteBatch::new().put_with(key("user:ä", "mail"), "m", later);
    apply(&partitioned, timed).await;
    states.push(
        maker
            .back_up(&partitioned, BackupType::IncrementalFromNewest, &[])
            .await,
    );
    // 12: 3 and 6 are forgotten, and what only they need is in the trash.
    maker.prune(4).await;
    states
}
