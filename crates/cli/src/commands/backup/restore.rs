//! `stead backup restore`.

use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde_json::json;
use stead::StateScope;
use stead::backup::{
    BackupId, Deadlines, Repository, RestoreOptions, RestorePoint, RestoreReport, RestoreWay,
};
use stead::core::{Revision, SystemClock, Timestamp};
use stead::state::encode_range;

use super::{id, shown_by, time};
use crate::args;
use crate::exit::Result;
use crate::output::Output;
use crate::sorted::Sorted;
use crate::store;

/// Restore a backup into the store
///
/// All that is read is compared with its hashes before anything is written. An empty store is filled and compared. One that
/// holds something is left alone, unless --replace is given: then what differs is written in one batch, so that others see
/// all of it or nothing. Where that is more than a batch holds, a second store is filled in the directory of the first,
/// compared, and put in its place in one step; it takes as much room on the disk again, until then. A kill at any instant
/// leaves the old or the new state, whole. Stores that are in no directory (Redis, PostgreSQL) are restored into another
/// prefix or schema in that case.
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
    /// Keep the data of a store that another one takes the place of, in the folder PREVIOUS of its directory
    #[arg(long, requires = "replace")]
    keep_previous: bool,
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
    options.keep_previous = restore.keep_previous;
    options.dry_run = restore.dry_run;
    options.observer = Some(shown_by(bar));
    // There has to be something to restore before a store is made for it.
    repository.find(point).await?;
    if restore.dry_run {
        store::look(url)?;
    }
    let report = stead::restore(url, repository, &options, &SystemClock).await;
    bar.finish_and_clear();
    let report = report?;
    output.either(&text(restore, &report), &Sorted(&object(restore, &report)))
}

fn text(restore: &Restore, report: &RestoreReport) -> String {
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
    let how = match (report.way, restore.dry_run) {
        (RestoreWay::Batch, false) => "in one batch",
        (RestoreWay::Batch, true) => "it would be one batch",
        (RestoreWay::Switch, false) => "into a second store, which took the place of the first",
        (RestoreWay::Switch, true) => {
            "it is more than a batch holds: a second store would be filled, and take the place of this one"
        }
        (RestoreWay::Impossible, _) => {
            "it is more than a batch holds, and would be refused: restore into an empty store, such as another schema or \
             prefix"
        }
        _ => "into an empty store",
    };
    text.push_str(&format!("\n{how}"));
    if let Some(previous) = &report.previous {
        let what = if restore.keep_previous {
            "what was replaced is kept, a store of its own, in"
        } else {
            "what was replaced could not be removed, and is still in"
        };
        text.push_str(&format!("\n{what} {}", previous.display()));
    }
    text
}

fn object(restore: &Restore, report: &RestoreReport) -> serde_json::Value {
    json!({
        "backup": report.backup.to_string(),
        "dry_run": restore.dry_run,
        "entries": report.entries,
        "added": report.added,
        "changed": report.changed,
        "removed": report.removed,
        "expired": report.expired,
        "revision": report.revision.get(),
        "way": match report.way {
            RestoreWay::Batch => "batch",
            RestoreWay::Switch => "switch",
            RestoreWay::Impossible => "impossible",
            _ => "fill",
        },
        "previous": report.previous.as_ref().map(|path| path.display().to_string()),
    })
}
