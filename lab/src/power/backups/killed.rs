//! SIGKILL while backups are made of a store that others write to, and while they are pruned.
//!
//! A [writer](super::writer) with a store on an engine makes backups of it, again and again in the same repository, while tasks
//! of the same process write to the store. Whenever it is killed, what it announced has to be [there](super::known), and
//! whole; the store has to open and be whole; and the next increment of it, on what is left of the repository, has to
//! give what the store holds.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context as _, Result};
use clap::Args;
use stead_backup::{BackupManager, BackupType, Repository, RestoreOptions, RestorePoint};
use stead_conformance::crash::{Failure, FailureKind};
use stead_core::{Backend, Entry, Key, KeyRange, ReadExt as _, Scan, SystemClock};
use stead_embedded::EmbeddedOptions;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::super::dice::Dice;
use super::super::traced::temporary;
use super::REPOSITORY;
use super::known::{Known, Said};
use super::writer::{runtime, store as in_memory};
use crate::engines::{Engine, engine};
use crate::tally::Tally;

/// The directory of the store, beside that of the repository.
const STORE: &str = "store";
/// After so many kills another store and another repository are begun.
const KILLS_EACH: u64 = 100;

/// Kill what makes backups of a store under load, and prunes them, and see that each that was announced is there and whole
#[derive(Args, Debug)]
pub(crate) struct BackupKill {
    /// The engine of the store
    #[arg(long)]
    engine: String,
    /// How often
    #[arg(long, default_value_t = 100)]
    kills: u64,
    /// Repeats the workloads and the choices, though not the instants at which the system lets its threads run
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the section.
///
/// # Errors
///
/// A failure of the laboratory.
pub(crate) fn run(arguments: &BackupKill) -> Result<u8> {
    let engine = engine(&arguments.engine)?;
    let mut tally = Tally::new("backup-kill", engine.name);
    let runtime = runtime()?;
    let mut dice = Dice::new(arguments.seed, 0);
    let mut stand = None;
    while tally.runs < arguments.kills && tally.failures() == 0 {
        if tally.runs.is_multiple_of(KILLS_EACH) {
            println!("backup-kill {}: {} kills", engine.name, tally.runs);
            stand = Some(Stand::new(engine)?);
        }
        let Some(stand) = &mut stand else { continue };
        tally.acknowledged += stand.kill(&mut dice)?;
        tally.runs += 1;
        if let Err(failure) = stand.look(&runtime)? {
            let kept = std::mem::replace(&mut stand.home, temporary()?).keep();
            tally.fail(&failure, &format!("it is kept in {}", kept.display()));
        }
    }
    Ok(tally.finish())
}

/// A store, a repository beside it, and what is known of that.
struct Stand {
    engine: &'static Engine,
    home: TempDir,
    known: Known,
}

impl Stand {
    fn new(engine: &'static Engine) -> Result<Self> {
        Ok(Stand {
            engine,
            home: temporary()?,
            known: Known::default(),
        })
    }

    /// Starts a writer and kills it. How many backups it announced.
    fn kill(&mut self, dice: &mut Dice) -> Result<u64> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["backup-writer", "--engine", self.engine.name]);
        command.arg("--store").arg(self.home.path().join(STORE));
        command.arg("--dir").arg(self.home.path().join(REPOSITORY));
        command.args(["--seed", &dice.number().to_string()]);
        command.args(["--steps", &u64::MAX.to_string()]);
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the writer")?;
        let most = [30, 120, 500][dice.below(3)];
        thread::sleep(Duration::from_millis(dice.below(most) as u64));
        child.kill()?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8(output.stdout)?;
        let mut made = 0;
        // A line that was cut short was not said.
        let whole = said
            .split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'));
        for line in whole {
            let said = line.parse::<Said>()?;
            made += u64::from(matches!(said, Said::Made(_)));
            self.known.note(said);
        }
        Ok(made)
    }

    /// Looks at copies of the repository, and at the store.
    fn look(&mut self, runtime: &Runtime) -> Result<Result<(), Failure>> {
        let repository = self.home.path().join(REPOSITORY);
        let (one, other) = (temporary()?, temporary()?);
        let copies = [&one, &other].map(|copy| copy.path().join(REPOSITORY));
        if repository.exists() {
            copies.iter().try_for_each(|copy| copied(&repository, copy))?;
        }
        let [one, other] = &copies;
        let looked = runtime.block_on(async {
            let found = self.known.look(one).await?;
            self.live(other, !found.is_empty()).await?;
            Ok(found)
        });
        Ok(looked.map(|found| self.known.settle(&found)))
    }

    /// That the store is whole, and that the next backup gives what it holds.
    async fn live(&self, repository: &Path, has_backups: bool) -> Result<(), Failure> {
        let of_the_store = |error: stead_core::Error| failed(FailureKind::Damaged, "the store", &error);
        let options = EmbeddedOptions::default();
        let opened = self.engine.open_with(&self.home.path().join(STORE), options);
        let live = opened.map_err(of_the_store)?;
        live.check(&|_| {}).await.map_err(of_the_store)?;
        let compared = match has_backups {
            true => backed_up(&live, repository).await,
            false => Ok(()),
        };
        live.close().await.map_err(of_the_store)?;
        compared
    }
}

/// Copies a directory, to a path where nothing is.
fn copied(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copied(&entry.path(), &to)?,
            false => fs::copy(entry.path(), to).map(drop)?,
        }
    }
    Ok(())
}

/// Makes an increment of the store, restores it, and compares.
async fn backed_up(live: &Arc<dyn Backend>, repository: &Path) -> Result<(), Failure> {
    let unusable = |error: stead_core::Error| failed(FailureKind::Unusable, "another backup", &error);
    let dir = repository.to_str().unwrap_or_default();
    let repository = Repository::open(dir).await.map_err(unusable)?;
    let manager = BackupManager::new(repository.clone(), Arc::clone(live));
    let made = manager.create_backup(BackupType::IncrementalFromNewest).await;
    let options = RestoreOptions::new(RestorePoint::Backup(made.map_err(unusable)?));
    let target = in_memory().map_err(|error| Failure::new(FailureKind::Unusable, format!("{error:#}")))?;
    let restored = repository.restore(&target, &options, &SystemClock).await;
    restored.map_err(unusable)?;
    match content(live).await.map_err(unusable)? == content(&target).await.map_err(unusable)? {
        true => Ok(()),
        false => Err(Failure::new(
            FailureKind::Invented,
            "a backup of the store gives another state than the store has",
        )),
    }
}

async fn content(store: &Arc<dyn Backend>) -> stead_core::Result<Vec<(Key, Vec<u8>)>> {
    let items = store.collect(&Scan::new(KeyRange::all())).await?;
    let value = |entry: Entry| entry.value().to_vec();
    let entries = items.into_iter();
    Ok(entries
        .map(|item| (item.key, item.entry.map(value).unwrap_or_default()))
        .collect())
}

fn failed(kind: FailureKind, what: &str, error: &stead_core::Error) -> Failure {
    Failure::new(kind, format!("{what}: {error:?}"))
}
