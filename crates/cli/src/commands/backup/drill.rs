//! `stead backup drill`.

use std::sync::Arc;

use clap::Args;
use indicatif::{HumanBytes, ProgressBar};
use serde_json::json;
use stead::Error;
use stead::backup::{BackupId, Repository, RestorePoint, TrialReport};
use stead::core::{Clock, SystemClock};

use super::{find, id, millis, scratch, shown_by, unnoted};
use crate::exit::{Failure, Result};
use crate::output::Output;
use crate::sorted::Sorted;
use crate::store;

/// Practise a recovery: restore a backup into a store of its own, compare it there, and say how long that took
///
/// The time is what a recovery would take from the call to a closed store. Deadlines are dropped, so that what has expired
/// since is compared as well. That it went well is noted in the repository, as by `verify`; exit code 5 where the backup is
/// damaged.
#[derive(Args, Debug)]
pub(super) struct Drill {
    /// This backup, instead of the newest
    #[arg(long, value_name = "ID", value_parser = id)]
    id: Option<BackupId>,
    /// The store to restore into: an empty one, which stays [default: one on redb in a temporary directory, removed
    /// afterwards]
    #[arg(long, value_name = "URL")]
    into: Option<String>,
}

pub(super) async fn run(
    drill: &Drill,
    repository: &Repository,
    bar: &ProgressBar,
    output: &mut Output,
) -> Result<()> {
    let point = drill.id.map_or(RestorePoint::Latest, RestorePoint::Backup);
    // There has to be something to restore before a store is made for it.
    let backup = find(repository, point).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (directory, url) = match &drill.into {
        Some(url) => (None, url.clone()),
        None => scratch().map(|(directory, url)| (Some(directory), url))?,
    };
    store::check_place(&url)?;
    let point = RestorePoint::Backup(backup);
    if drill.into.is_some() && stead::is_missing(&url)? {
        // A damaged backup leaves no store behind.
        repository
            .trial(point, None, &*clock, Some(shown_by(bar)))
            .await?;
    }
    let began = clock.now();
    let store = stead::open(&url).await?;
    let tried = repository
        .trial(point, Some(&store), &*clock, Some(shown_by(bar)))
        .await;
    let closed = store.close().await.map_err(Failure::from);
    let mut report = tried?;
    closed?;
    report.took = began.until(clock.now());
    drop(store);
    if let Some(directory) = directory {
        directory.close().map_err(|cause| {
            Error::unavailable("the temporary directory of the drill cannot be removed; remove it by hand")
                .because(cause)
        })?;
    }
    let not_noted = unnoted(repository.note_trial(&report, &clock).await)?;
    bar.finish_and_clear();
    let into = drill.into.as_deref();
    output.either(
        &text(&report, into, not_noted.as_deref()),
        &Sorted(&object(&report, into, not_noted.is_none())),
    )
}

fn text(report: &TrialReport, into: Option<&str>, not_noted: Option<&str>) -> String {
    let millis = millis(report.took).max(1);
    let mut text = format!(
        "{} can be restored: {} entries of {} backups, {} read, into {} and compared, in {}.{:03} s ({}/s of keys and values)",
        report.backup,
        report.entries,
        report.chain.len(),
        HumanBytes(report.stored_bytes),
        into.map_or("a temporary store", |_| "the store"),
        millis / 1000,
        millis % 1000,
        HumanBytes(report.logical_bytes.saturating_mul(1000) / millis),
    );
    text.push_str(not_noted.unwrap_or_default());
    text
}

fn object(report: &TrialReport, into: Option<&str>, noted: bool) -> serde_json::Value {
    let chain: Vec<String> = report.chain.iter().map(ToString::to_string).collect();
    json!({
        "backup": report.backup.to_string(),
        "chain": chain,
        "entries": report.entries,
        "logical_bytes": report.logical_bytes,
        "stored_bytes": report.stored_bytes,
        "temporary": into.is_none(),
        "duration_ms": millis(report.took),
        "noted": noted,
    })
}
