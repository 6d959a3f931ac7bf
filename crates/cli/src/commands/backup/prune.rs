//! `stead backup prune`.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::{HumanBytes, ProgressBar};
use serde_json::json;
use stead::Error;
use stead::backup::{PruneOptions, PruneReport, Repository, RetentionPolicy};
use stead::core::{Clock, SystemClock};

use super::keeping::Keeping;
use super::shown_by;
use crate::args;
use crate::exit::Result;
use crate::output::Output;
use crate::sorted::Sorted;

/// Forget backups, and remove what was forgotten before
///
/// Kept is what any of the --keep options and --max-age picks, as far as it is within --max-backups and --max-bytes, and
/// whatever these say: all that a kept backup stands on, and the last full backup that was verified. What is forgotten stays
/// in the trash for the time of --grace, and is removed by a prune after that. Ages are measured between backups: a clock
/// that jumped forward evicts nothing.
#[derive(Args, Debug)]
pub(super) struct Prune {
    #[command(flatten)]
    keeping: Keeping,
    /// How long what is forgotten stays in the trash: longer than any backup or restore takes
    #[arg(long, value_name = "TIME", value_parser = args::duration, default_value = "1d")]
    grace: Duration,
    /// Print what would be forgotten and removed, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Prune {
    fn policy(&self) -> Result<RetentionPolicy> {
        self.keeping.policy().ok_or_else(|| {
            Error::invalid("nothing says which backups to keep; say so, as in --keep-daily 7 --keep-weekly 4")
                .into()
        })
    }
}

pub(super) async fn run(
    prune: &Prune,
    repository: &Repository,
    bar: &ProgressBar,
    output: &mut Output,
) -> Result<()> {
    let mut options = PruneOptions::new(prune.policy()?);
    options.grace = prune.grace;
    options.dry_run = prune.dry_run;
    options.observer = Some(shown_by(bar));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let report = repository.prune(&options, &clock).await?;
    bar.finish_and_clear();
    print(&report, prune.dry_run, output)
}

fn print(report: &PruneReport, dry_run: bool, output: &mut Output) -> Result<()> {
    let kept = report.kept.iter().map(|(id, reasons)| {
        let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        (id.to_string(), reasons)
    });
    let kept: Vec<(String, Vec<String>)> = kept.collect();
    let forgotten: Vec<String> = report.forgotten.iter().map(ToString::to_string).collect();
    if output.is_json() {
        let kept = kept
            .iter()
            .map(|(id, reasons)| json!({"id": id, "reasons": reasons}));
        return output.json(&Sorted(&json!({
            "dry_run": dry_run,
            "kept": kept.collect::<Vec<_>>(),
            "forgotten": forgotten,
            "removed_chunks": report.removed_chunks,
            "removed_bytes": report.removed_bytes,
            "waiting_chunks": report.waiting_chunks,
            "waiting_bytes": report.waiting_bytes,
        })));
    }
    for (id, reasons) in &kept {
        output.text(&format!("keep    {id}: {}", reasons.join(", ")));
    }
    for id in &forgotten {
        output.text(&format!("forget  {id}"));
    }
    let would = if dry_run { "would be " } else { "" };
    output.text(&format!(
        "{} kept, {} {would}forgotten; {} in {} chunks {would}removed, {} in {} chunks wait for the end of their grace",
        kept.len(),
        forgotten.len(),
        HumanBytes(report.removed_bytes),
        report.removed_chunks,
        HumanBytes(report.waiting_bytes),
        report.waiting_chunks,
    ));
    Ok(())
}
