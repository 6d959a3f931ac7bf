//! `stead backup restore`.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde_json::json;
use stead::StateScope;
use stead::backup::{BackupId, Deadlines, Repository, RestoreOptions, RestorePoint};
use stead::core::{Backend, Revision, SystemClock, Timestamp};
use stead::state::encode_range;

use super::{id, shown_by, time};
use crate::args;
use crate::exit::{Failure, Result};
use crate::output::Output;
use crate::sorted::Sorted;
use crate::store::{self, Purpose};

/// Restore a backup into the store
///
/// All that is read is compared with its hashes before anything is written. An empty store is filled and compared. One that
/// holds something is left alone, unless --replace is given: then what differs is written in one step, so that others see
/// all of it or nothing. What is too much for one step is restored into an empty store, which then takes the place of the
/// other.
///
/// Revisions go on far above those of before, so that none that was read before the restore matches an entry of after.
#[derive(Args, Debug)]
pub(super) struct Restore {
    /// This backup, instead of the newest
    #[arg(long, value_name = "ID", value_parser = id)]
    id: Option<BackupId>,
    /// The newest backup of this time or before, such as 2026-11-21T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "id")]
    at: Option<Timestamp>,
    /// The state at this revision of the store
    #[arg(long, value_name = "N", value_parser = args::revision, conflicts_with_all = ["id", "at"])]
    revision: Option<Revision>,
    /// This scope alone
    #[arg(long, value_name = "SCOPE", value_parser = args::scope)]
    scope: Option<StateScope>,
    /// Of the scope, only keys that start with this
    #[arg(long, default_value = "", hide_default_value = true, requires = "scope")]
    prefix: String,
    /// What becomes of deadlines
    #[arg(long, value_enum, default_value_t = Rule::Keep)]
    deadlines: Rule,
    /// Replace what the store holds
    #[arg(long)]
    replace: bool,
    /// Print what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Rule {
    /// They stay: what has passed meanwhile is left out
    Keep,
    /// They are put off by the time since the backup
    Extend,
    /// There are none any more
    Drop,
}

pub(super) async fn run(
    restore: &Restore,
    repository: &Repository,
    url: &str,
    bar: &ProgressBar,
    output: &mut Output,
) -> Result<()> {
    let point = match (restore.id, restore.at, restore.revision) {
        (Some(id), ..) => RestorePoint::Backup(id),
        (_, Some(at), _) => RestorePoint::Time(at),
        (_, _, Some(revision)) => RestorePoint::Revision(revision),
        _ => RestorePoint::Latest,
    };
    let mut options = RestoreOptions::new(point);
    if let Some(scope) = &restore.scope {
        options.range = encode_range(scope, &restore.prefix)?;
    }
    options.deadlines = match restore.deadlines {
        Rule::Keep => Deadlines::Keep,
        Rule::Extend => Deadlines::Extend,
        Rule::Drop => Deadlines::Drop,
    };
    options.replace = restore.replace;
    options.dry_run = restore.dry_run;
    options.observer = Some(shown_by(bar));
    // There has to be something to restore before a store is made for it.
    repository.find(point).await?;
    let purpose = if restore.dry_run {
        Purpose::Find
    } else {
        Purpose::Make
    };
    let opened = store::open(url, purpose).await?;
    let target: Arc<dyn Backend> = Arc::clone(&opened.backend);
    let report = repository.restore(&target, &options, &SystemClock).await;
    let closed = target.close().await.map_err(Failure::from);
    bar.finish_and_clear();
    let report = report?;
    closed?;
    let verb = if restore.dry_run {
        "would be restored"
    } else {
        "were restored"
    };
    let mut text = format!(
        "{} entries of {} {verb}: {} added, {} changed, {} removed",
        report.entries, report.backup, report.added, report.changed, report.removed,
    );
    if report.expired > 0 {
        text.push_str(&format!(
            "; {} whose deadline has passed are left out",
            report.expired
        ));
    }
    let object = json!({
        "backup": report.backup.to_string(),
        "dry_run": restore.dry_run,
        "entries": report.entries,
        "added": report.added,
        "changed": report.changed,
        "removed": report.removed,
        "expired": report.expired,
        "revision": report.revision.get(),
    });
    output.either(&text, &Sorted(&object))
}
