//! The process that makes backups, and prunes them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use stead_backup::{BackupId, BackupManager, BackupType, PruneOptions, Repository, RetentionPolicy};
use stead_core::{
    Backend, Clock, Durability, ErrorKind, Key, Partition, SystemClock, SystemRandom, WriteBatch,
};
use stead_embedded::EmbeddedOptions;
use stead_memory::{MemoryBackend, MemoryOptions};
use tokio::runtime::{Builder, Runtime};

use super::super::dice::Dice;
use super::known::Said;
use crate::engines::engine;

/// So many backups are kept at least when some are forgotten.
const KEPT: usize = 2;
/// So many others write to a store that lasts.
const OTHERS: u64 = 3;
/// What was forgotten is removed by the next prune.
const GRACE: Duration = Duration::from_millis(1);

/// Make backups of a small store and prune them, and say so line by line on the standard output
#[derive(Args, Clone, Debug)]
pub(crate) struct Writer {
    /// The directory of the repository
    #[arg(long)]
    pub(crate) dir: PathBuf,
    /// What distinguishes this work from others
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many backups and prunes
    #[arg(long, default_value_t = 8)]
    pub(crate) steps: u64,
    /// The directory of a store that lasts, which others write to meanwhile; in memory otherwise, and of this writer alone
    #[arg(long, requires = "engine")]
    pub(crate) store: Option<PathBuf>,
    /// The engine of that store
    #[arg(long, requires = "store")]
    pub(crate) engine: Option<String>,
}

impl Writer {
    /// The store, with others who write to it where it lasts.
    fn store(&self) -> Result<Arc<dyn Backend>> {
        let (Some(path), Some(name)) = (&self.store, &self.engine) else {
            return store();
        };
        let store = engine(name)?.open_with(path, EmbeddedOptions::default())?;
        for number in 0..OTHERS {
            let dice = Dice::new(self.seed, number + 1);
            tokio::spawn(write_on(Arc::clone(&store), number, dice));
        }
        Ok(store)
    }
}

/// Writes and removes entries until the process ends.
async fn write_on(store: Arc<dyn Backend>, number: u64, mut dice: Dice) -> Result<()> {
    let partition = Partition::new(format!("agent:{number}"))?;
    loop {
        let durability = match dice.odds(1, 8) {
            true => Durability::Durable,
            false => Durability::Buffered,
        };
        let mut batch = WriteBatch::new().durability(durability);
        for _ in 0..=dice.below(20) {
            let key = Key::new(&partition, format!("k{}", dice.below(500)))?;
            batch = match dice.odds(1, 6) {
                true => batch.delete(key),
                false => batch.put(key, vec![b'v'; dice.below(800)]),
            };
        }
        store.apply(batch).await?.committed()?;
        tokio::task::yield_now().await;
    }
}

/// Does what the arguments say.
///
/// # Errors
///
/// Whatever fails: nothing does on a sound disk.
pub(crate) fn write(arguments: &Writer) -> Result<()> {
    runtime()?.block_on(async {
        let dir = arguments
            .dir
            .to_str()
            .context("the directory has no name in UTF-8")?;
        let repository = opened_or_made(dir).await?;
        Said::Ready.say();
        let mut dice = Dice::new(arguments.seed, 0);
        let store = arguments.store()?;
        let manager = BackupManager::new(repository, Arc::clone(&store));
        for step in 0..arguments.steps {
            fill(&*store, &mut dice).await?;
            // A writer before this one had another store, so there is nothing to stand on.
            let kind = match dice.below(7) {
                _ if step == 0 => BackupType::Full,
                0 | 1 => BackupType::Full,
                2 | 3 => BackupType::IncrementalFromNewest,
                4 => BackupType::Differential,
                _ => {
                    prune(manager.repository()).await?;
                    continue;
                }
            };
            Said::Made(manager.create_backup(kind).await?).say();
        }
        Ok(())
    })
}

/// What backups need: they are made by tasks.
pub(super) fn runtime() -> Result<Runtime> {
    // Without what waits for sockets and signals: that would make some, and the recorder does not know them.
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build();
    runtime.context("cannot start a runtime")
}

/// The repository in `dir`, which is made where there is none.
///
/// # Errors
///
/// What the repository says.
pub(super) async fn opened_or_made(dir: &str) -> stead_core::Result<Repository> {
    match Repository::open(dir).await {
        Err(error) if error.kind() == ErrorKind::Invalid => {
            Repository::init(dir, &SystemClock, &SystemRandom).await
        }
        opened => opened,
    }
}

/// An empty store.
pub(super) fn store() -> Result<Arc<dyn Backend>> {
    Ok(Arc::new(MemoryBackend::new(MemoryOptions::default())))
}

/// Writes entries of any length, most of which do not get shorter by compression.
pub(super) async fn fill(store: &dyn Backend, dice: &mut Dice) -> Result<()> {
    let partition = Partition::new("agent:planner")?;
    let mut batch = WriteBatch::new().durability(Durability::Buffered);
    for _ in 0..=dice.below(40) {
        let key = Key::new(&partition, format!("k{}", dice.below(200)))?;
        let words = (0..dice.below(300)).flat_map(|_| dice.number().to_le_bytes());
        batch = batch.put(key, words.collect::<Vec<u8>>());
    }
    let _committed = store.apply(batch).await?;
    Ok(())
}

/// Forgets what the newest backups do not need, after saying which ones that are, and removes what was forgotten before.
async fn prune(repository: &Repository) -> Result<()> {
    for id in forgetting(repository, KEPT, true).await? {
        Said::Forgetting(id).say();
    }
    for id in forgetting(repository, KEPT, false).await? {
        Said::Forgotten(id).say();
    }
    Ok(())
}

/// Prunes, and gives the backups that are forgotten.
pub(super) async fn forgetting(
    repository: &Repository,
    kept: usize,
    dry_run: bool,
) -> stead_core::Result<Vec<BackupId>> {
    let policy = RetentionPolicy::CountBasedPolicy { max_backups: kept };
    let mut options = PruneOptions::new(policy);
    options.grace = GRACE;
    options.dry_run = dry_run;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Ok(repository.prune(&options, &clock).await?.forgotten)
}
