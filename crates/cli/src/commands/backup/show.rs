//! `stead backup list` and `stead backup show`.

use clap::Args;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use indicatif::HumanBytes;
use serde_json::{Value, json};
use stead::Error;
use stead::backup::{BackupId, BackupMetadata, Repository};

use super::{id, written};
use crate::exit::{Failure, Result};
use crate::output::Output;
use crate::sorted::Sorted;

/// Print the backups that there are, the oldest first
#[derive(Args, Debug)]
pub(super) struct List {
    /// Only those with this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
}

/// Print what there is to know about a backup
#[derive(Args, Debug)]
pub(super) struct Show {
    /// The backup
    #[arg(value_parser = id)]
    id: BackupId,
}

pub(super) async fn list(list: &List, repository: &Repository, output: &mut Output) -> Result<()> {
    let mut backups = repository.backups().await?;
    if let Some(tag) = &list.tag {
        backups.retain(|backup| backup.tags.contains(tag));
    }
    if output.is_json() {
        return backups
            .iter()
            .try_for_each(|backup| output.json(&Sorted(&object(backup))));
    }
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header([
        "id", "kind", "taken", "on", "entries", "gone", "size", "new", "verified", "tags",
    ]);
    for backup in &backups {
        let counts = &backup.counts;
        table.add_row([
            backup.id.to_string(),
            backup.kind.to_string(),
            written(backup.taken),
            backup
                .base
                .map_or_else(|| "-".to_owned(), |base| base.to_string()),
            counts.entries.to_string(),
            (counts.deleted + counts.expired).to_string(),
            HumanBytes(counts.stored_bytes).to_string(),
            HumanBytes(counts.new_bytes).to_string(),
            if backup.verified { "yes" } else { "no" }.to_owned(),
            backup.tags.join(","),
        ]);
    }
    output.text(&table.trim_fmt());
    Ok(())
}

pub(super) async fn show(show: &Show, repository: &Repository, output: &mut Output) -> Result<()> {
    let backups = repository.backups().await?;
    match backups.iter().find(|backup| backup.id == show.id) {
        Some(backup) => one(backup, output),
        None => Err(Failure::NotThere(
            Error::invalid("there is no backup of this id; `list` shows those that there are")
                .with("id", show.id),
        )),
    }
}

/// Prints one backup.
pub(super) fn one(backup: &BackupMetadata, output: &mut Output) -> Result<()> {
    if output.is_json() {
        return output.json(&Sorted(&object(backup)));
    }
    let counts = &backup.counts;
    output.text(&format!(
        "{}: {} of {}",
        backup.id,
        backup.kind,
        written(backup.taken)
    ));
    if let Some(reason) = &backup.forced {
        output.text(&format!("  full although an increment was asked for: {reason}"));
    }
    if let Some(base) = &backup.base {
        output.text(&format!("  stands on {base}"));
    }
    output.text(&format!(
        "  {} entries, {} deleted, {} expired; {} in {} chunks, {} of it new",
        counts.entries,
        counts.deleted,
        counts.expired,
        HumanBytes(counts.stored_bytes),
        counts.chunks,
        HumanBytes(counts.new_bytes),
    ));
    output.text(&format!(
        "  of a store on {} at revision {}",
        backup.backend, backup.revision
    ));
    output.text(&format!("  state {}", backup.state));
    if !backup.tags.is_empty() {
        output.text(&format!("  tags {}", backup.tags.join(", ")));
    }
    Ok(())
}

pub(super) fn object(backup: &BackupMetadata) -> Value {
    let counts = &backup.counts;
    json!({
        "id": backup.id.to_string(),
        "kind": backup.kind.as_str(),
        "taken": written(backup.taken),
        "taken_ms": backup.taken.as_millis(),
        "revision": backup.revision.get(),
        "base": backup.base.map(|base| base.to_string()),
        "tags": backup.tags,
        "backend": backup.backend,
        "state": backup.state.to_string(),
        "record": backup.record.to_string(),
        "entries": counts.entries,
        "deleted": counts.deleted,
        "expired": counts.expired,
        "logical_bytes": counts.logical_bytes,
        "stored_bytes": counts.stored_bytes,
        "new_bytes": counts.new_bytes,
        "chunks": counts.chunks,
        "verified": backup.verified,
        "forced": backup.forced,
    })
}
