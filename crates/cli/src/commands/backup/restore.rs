//! `stead backup restore`.

use std::error::Error as _;

use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde_json::json;
use stead::StateScope;
use stead::backup::{
    BackupId, Deadlines, KeyFilter, LatestReport, PassedOver, Repository, RestoreOptions, RestorePoint,
    RestoreReport, RestoreWay,
};
use stead::core::{Revision, SystemClock, Timestamp};
use stead::state::{Pattern, decode_key, encode_range};
use stead::{Error, ErrorKind};

use super::{find, id, shown_by, time};
use crate::args;
use crate::exit::{Failure, Result, error_json, is_of_a_repository};
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
/// Revisions go on far above those of before, so that none that was read before the restore matches an entry that it wrote.
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
    /// Where the newest is damaged, the newest before it that is whole. With --at, of this time or before
    ///
    /// What is left of a damaged log is used as well; whether there was a newer backup is not known then.
    #[arg(long, conflicts_with_all = ["id", "revision"])]
    or_older: bool,
    /// This scope alone
    #[arg(long, value_name = "SCOPE", value_parser = args::scope)]
    scope: Option<StateScope>,
    /// Of the scope, only keys that start with this
    #[arg(long, default_value = "", hide_default_value = true, requires = "scope")]
    prefix: String,
    /// The scopes whose names match this alone, such as "agent:*": * is any text, ? one character
    #[arg(long, value_name = "PATTERN", value_parser = args::pattern, conflicts_with = "scope")]
    scopes: Option<Pattern>,
    /// The keys that match this alone, such as "note/*"
    #[arg(long, value_name = "PATTERN", value_parser = args::pattern)]
    pattern: Option<Pattern>,
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

impl Restore {
    /// Which keys are restored, where patterns say so. What is no scope's has neither of the names.
    fn filter(&self) -> Option<KeyFilter> {
        if self.scopes.is_none() && self.pattern.is_none() {
            return None;
        }
        let any = |pattern: &Option<Pattern>| pattern.clone().unwrap_or_else(Pattern::any);
        let (scopes, keys) = (any(&self.scopes), any(&self.pattern));
        Some(KeyFilter::new(move |key| {
            decode_key(key).is_ok_and(|(scope, key)| keys.matches(&key) && scopes.matches(&scope.to_string()))
        }))
    }

    /// Damage of the repository, with what a person who has to restore may do about it.
    fn with_a_way_out(&self, error: Error) -> Error {
        let has_none = self.or_older || self.id.is_some() || self.revision.is_some();
        if has_none || error.kind() != ErrorKind::Corrupt || !is_of_a_repository(&error) {
            return error;
        }
        let message = error.message().split("; ").next().unwrap_or_default();
        let advice = format!("{message}; restore the newest backup that is whole with --or-older");
        let advised = Error::corrupt(advice);
        let told = error
            .context()
            .fold(advised, |told, (name, value)| told.with(name, value));
        if error.source().is_some() {
            told.because(error)
        } else {
            told
        }
    }
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
    options.filter = restore.filter();
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
    match find(repository, point).await {
        Err(Failure::Error(error)) if error.kind() == ErrorKind::Corrupt => {
            if !restore.or_older {
                return Err(restore.with_a_way_out(error).into());
            }
        }
        found => drop(found?),
    }
    store::check_place(url)?;
    if restore.dry_run && stead::is_missing(url)? {
        return Err(Failure::NotThere(Error::invalid(
            "there is no store to compare with; a restore would make one, and fill it",
        )));
    }
    let restored = if restore.or_older {
        stead::restore_latest(url, repository, &options, &SystemClock).await
    } else {
        let restored = stead::restore(url, repository, &options, &SystemClock).await;
        restored.map(LatestReport::from)
    };
    bar.finish_and_clear();
    let report = restored.map_err(|error| restore.with_a_way_out(error))?;
    output.either(&text(restore, &report), &Sorted(&object(restore, &report)))
}

fn text(restore: &Restore, latest: &LatestReport) -> String {
    let mut text = String::new();
    if let Some(damage) = &latest.log_damage {
        text.push_str(&format!(
            "the log is damaged, and there may have been newer backups: {damage}\n"
        ));
    }
    for PassedOver { backup, error, .. } in &latest.passed_over {
        text.push_str(&format!("{backup} is damaged and was passed over: {error}\n"));
    }
    text.push_str(&restored_text(restore, &latest.restored));
    text
}

fn restored_text(restore: &Restore, report: &RestoreReport) -> String {
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

fn object(restore: &Restore, latest: &LatestReport) -> serde_json::Value {
    let report = &latest.restored;
    let passed_over = latest.passed_over.iter().map(|PassedOver { backup, error, .. }| {
        json!({ "backup": backup.to_string(), "error": error_json(error, error.kind().as_str()) })
    });
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
        "passed_over": passed_over.collect::<Vec<_>>(),
        "log_damage": latest.log_damage.as_ref().map(|damage| error_json(damage, damage.kind().as_str())),
    })
}
