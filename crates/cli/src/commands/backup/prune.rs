//! `stead backup prune`.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::{HumanBytes, ProgressBar};
use serde_json::json;
use stead::Error;
use stead::backup::{Keep, PruneOptions, PruneReport, Repository, RetentionPolicy};
use stead::core::{Clock, SystemClock, parse_bytes};

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
    /// The newest N
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_last: usize,
    /// The newest of each of the last N hours that have one
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_hourly: usize,
    /// The newest of each of the last N days that have one
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_daily: usize,
    /// The newest of each of the last N weeks that have one
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_weekly: usize,
    /// The newest of each of the last N months that have one
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_monthly: usize,
    /// The newest of each of the last N years that have one
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    keep_yearly: usize,
    /// Those that are not older than this, such as 30d
    #[arg(long, value_name = "TIME", value_parser = args::duration)]
    keep_within: Option<Duration>,
    /// Those with this tag; may be given more than once
    #[arg(long, value_name = "TAG")]
    keep_tag: Vec<String>,
    /// Those that are not older than this, and --min-backups of the newest whatever their age
    #[arg(long, value_name = "TIME", value_parser = args::duration)]
    max_age: Option<Duration>,
    /// With --max-age: how many of the newest are always kept
    #[arg(long, value_name = "N", default_value_t = 1, requires = "max_age")]
    min_backups: usize,
    /// At most N of them
    #[arg(long, value_name = "N")]
    max_backups: Option<usize>,
    /// At most so many bytes, such as 100GiB
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    max_bytes: Option<u64>,
    /// How long what is forgotten stays in the trash: longer than any backup or restore takes
    #[arg(long, value_name = "TIME", value_parser = args::duration, default_value = "1d")]
    grace: Duration,
    /// Print what would be forgotten and removed, and change nothing
    #[arg(long)]
    dry_run: bool,
}

fn bytes(text: &str) -> Result<u64, String> {
    parse_bytes(text).map_err(|error| error.message().to_owned())
}

impl Prune {
    fn policy(&self) -> Result<RetentionPolicy> {
        let keep = Keep {
            last: self.keep_last,
            hourly: self.keep_hourly,
            daily: self.keep_daily,
            weekly: self.keep_weekly,
            monthly: self.keep_monthly,
            yearly: self.keep_yearly,
            within: self.keep_within.unwrap_or_default(),
            tags: self.keep_tag.clone(),
        };
        let picked = (keep != Keep::default()).then_some(RetentionPolicy::Keep(keep));
        let aged = self.max_age.map(|max_age| RetentionPolicy::TimeBasedPolicy {
            max_age,
            min_backups: self.min_backups,
        });
        let any: Vec<RetentionPolicy> = picked.into_iter().chain(aged).collect();
        let any = (!any.is_empty()).then_some(RetentionPolicy::AnyOf(any));
        let counted = self
            .max_backups
            .map(|max_backups| RetentionPolicy::CountBasedPolicy { max_backups });
        let sized = self
            .max_bytes
            .map(|max_bytes| RetentionPolicy::SizeBasedPolicy { max_bytes });
        let all: Vec<RetentionPolicy> = any.into_iter().chain(counted).chain(sized).collect();
        if all.is_empty() {
            return Err(Error::invalid(
                "nothing says which backups to keep; say so, as in --keep-daily 7 --keep-weekly 4",
            )
            .into());
        }
        Ok(RetentionPolicy::AllOf(all))
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
