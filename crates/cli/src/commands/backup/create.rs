//! `stead backup create`.

use std::sync::Arc;

use clap::Args;
use indicatif::ProgressBar;
use stead::backup::{BackupId, BackupManager, BackupType, CreateOptions, Repository};

use super::{id, show, shown_by};
use crate::exit::{Failure, Result};
use crate::output::Output;
use crate::store::{self, Purpose};

/// Back up the store
///
/// What changed since the newest backup, if there is one and the store's log of changes reaches back to it; else
/// everything, and the output says why.
#[derive(Args, Debug)]
pub(super) struct Create {
    /// Everything
    #[arg(long, conflicts_with_all = ["incremental", "differential", "base"])]
    full: bool,
    /// What changed since the newest backup: the default
    #[arg(long, conflicts_with_all = ["differential", "base"])]
    incremental: bool,
    /// What changed since the newest full backup
    #[arg(long, conflicts_with = "base")]
    differential: bool,
    /// What changed since this backup
    #[arg(long, value_name = "ID", value_parser = id)]
    base: Option<BackupId>,
    /// A word to find the backup by, and to keep it for; may be given more than once
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
}

pub(super) async fn run(
    create: &Create,
    repository: &Repository,
    url: &str,
    bar: &ProgressBar,
    output: &mut Output,
) -> Result<()> {
    let kind = match (create.full, create.differential, create.base) {
        (true, ..) => BackupType::Full,
        (_, true, _) => BackupType::Differential,
        (_, _, Some(base_backup_id)) => BackupType::Incremental { base_backup_id },
        _ => BackupType::IncrementalFromNewest,
    };
    let options = create
        .tag
        .iter()
        .fold(CreateOptions::new(kind), CreateOptions::with_tag);
    let opened = store::open(url, Purpose::Find).await?;
    let observer = shown_by(bar);
    let manager = BackupManager::new(repository.clone(), Arc::clone(&opened.backend))
        .with_observer(move |progress| observer(progress));
    let created = manager.create(&options).await;
    let closed = opened.backend.close().await.map_err(Failure::from);
    bar.finish_and_clear();
    show::one(&created?, output)?;
    closed
}
