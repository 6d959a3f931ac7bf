//! `stead backup verify`.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use indicatif::{HumanBytes, ProgressBar};
use serde_json::json;
use stead::backup::{BackupId, Repository, VerifyDepth, VerifyOptions};
use stead::core::{Clock, SystemClock};

use super::{shown_by, unnoted};
use crate::exit::Result;
use crate::output::Output;
use crate::sorted::Sorted;

/// Look for damage
///
/// Exit code 5, with the name of what is damaged or missing, for the first thing that is wrong.
#[derive(Args, Debug)]
pub(super) struct Verify {
    /// How closely to look
    #[arg(long, value_enum, default_value_t = Depth::Bytes)]
    depth: Depth,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Depth {
    /// The log and the chains, and that every chunk is there in its length
    Structure,
    /// All bytes as well, compared with their hashes
    Bytes,
    /// The newest backup restored as well, into memory, and compared there
    Restore,
}

pub(super) async fn run(
    verify: &Verify,
    repository: &Repository,
    bar: &ProgressBar,
    output: &mut Output,
) -> Result<()> {
    let depth = match verify.depth {
        Depth::Structure => VerifyDepth::Structure,
        Depth::Bytes | Depth::Restore => VerifyDepth::Bytes,
    };
    let options = VerifyOptions::new(depth).with_observer(shown_by(bar));
    let report = repository.verify(&options).await?;
    let mut restored = None;
    if let (Depth::Restore, Some(newest)) = (verify.depth, report.ids.last()) {
        let scratch = stead::open("memory:").await?;
        let entries = repository
            .trial_restore(newest, &scratch, &SystemClock, Some(shown_by(bar)))
            .await?;
        restored = Some((newest, entries));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut not_noted = None;
    if depth >= VerifyDepth::Bytes {
        let noted = note(repository, &report.ids, restored.map(|(id, _)| *id), &clock).await;
        not_noted = unnoted(noted)?;
    }
    bar.finish_and_clear();
    let mut text = format!(
        "{} backups are whole: {} in {} chunks",
        report.backups,
        HumanBytes(report.bytes),
        report.chunks,
    );
    if report.unused_chunks > 0 {
        text.push_str(&format!(
            "; {} chunks of {} belong to none",
            report.unused_chunks,
            HumanBytes(report.unused_bytes)
        ));
    }
    if let Some((newest, entries)) = restored {
        text.push_str(&format!("; {newest} was restored on trial, {entries} entries"));
    }
    let noted = depth >= VerifyDepth::Bytes && not_noted.is_none();
    if let Some(why) = not_noted {
        text.push_str(&why);
    }
    let object = json!({
        "noted": noted,
        "backups": report.backups,
        "chunks": report.chunks,
        "bytes": report.bytes,
        "unused_chunks": report.unused_chunks,
        "unused_bytes": report.unused_bytes,
        "restored": restored.map(|(id, _)| id.to_string()),
        "restored_entries": restored.map(|(_, entries)| entries),
    });
    output.either(&text, &Sorted(&object))
}

/// Notes what was read, and what was restored of it.
async fn note(
    repository: &Repository,
    read: &[BackupId],
    restored: Option<BackupId>,
    clock: &Arc<dyn Clock>,
) -> stead::Result<()> {
    if let Some(restored) = restored {
        repository.note_verified(&[restored], "restore", clock).await?;
    }
    repository
        .note_verified(read, VerifyDepth::Bytes.as_str(), clock)
        .await
}
