//! `stead backup run`.

use std::sync::Arc;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum, value_parser};
use indicatif::HumanBytes;
use serde_json::{Value, json};
use stead::Error;
use stead::backup::{
    BackupManager, CheckpointCoordinator, CheckpointEvent, CheckpointOptions, CheckpointRetention,
    CronExpression, FullReason, Repository, Schedule, TrialOptions, TrialStore,
};
use tokio::sync::mpsc;

use super::keeping::Keeping;
use super::{millis, scratch, show};
use crate::args;
use crate::exit::{Failure, Result, error_json};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::sorted::Sorted;
use crate::store::{self, Purpose};

/// Back up the store on a schedule, until Ctrl-C or SIGTERM
///
/// For a store on a server: while this runs, no other process can open one in a directory. What changed is backed up at each
/// tick, everything as often as --full-every says, and once more at the end. What fails is tried again. A line is printed
/// for each thing that happened.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("schedule").required(true).args(["every", "cron"]))]
pub(super) struct Run {
    /// So long after the backup before, such as 15m
    #[arg(long, value_name = "TIME", value_parser = args::span)]
    every: Option<Duration>,
    /// At these times, in UTC: a cron expression such as "*/15 * * * *"; with a sixth field before these, of seconds
    #[arg(long, value_name = "CRON", value_parser = cron)]
    cron: Option<CronExpression>,
    /// Everything, where the last full backup is so old
    #[arg(long, value_name = "TIME", value_parser = args::span, default_value = "1d")]
    full_every: Duration,
    /// Everything, where so many backups were made since and with the last full one
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..), default_value_t = 100)]
    full_every_backups: u32,
    /// A word to find the backups by, and to keep them for; may be given more than once
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// What is done to know that the newest backup can be restored
    #[arg(long, value_enum, default_value_t = Trials::Restore)]
    trials: Trials,
    /// How often that is done
    #[arg(long, value_name = "TIME", value_parser = args::span, default_value = "1d")]
    trial_every: Duration,
    /// No backup at the end
    #[arg(long)]
    no_final: bool,
    #[command(flatten)]
    keeping: Keeping,
    /// How long what is forgotten stays in the trash: longer than any backup or restore takes
    #[arg(long, value_name = "TIME", value_parser = args::duration, default_value = "1d")]
    grace: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Trials {
    /// It is restored into a store on redb in a temporary directory, and compared there
    Restore,
    /// It is read and compared with its hashes
    Read,
    /// Nothing
    None,
}

fn cron(text: &str) -> Result<CronExpression, String> {
    text.parse().map_err(|error: Error| error.message().to_owned())
}

impl Run {
    fn options(&self) -> CheckpointOptions {
        let schedule = match (&self.cron, self.every) {
            (Some(cron), _) => Schedule::Cron(cron.clone()),
            (None, every) => Schedule::Every(every.unwrap_or_default()),
        };
        let mut options = CheckpointOptions::new(schedule);
        options.full_every = self.full_every;
        options.full_every_checkpoints = self.full_every_backups;
        options.tags.clone_from(&self.tag);
        options.retention = self.keeping.policy().map(|policy| {
            let mut retention = CheckpointRetention::new(policy);
            retention.grace = self.grace;
            retention
        });
        let mut trials = TrialOptions::default();
        trials.every = Some(self.trial_every);
        options.trials = match self.trials {
            Trials::None => None,
            Trials::Read => Some(trials),
            Trials::Restore => Some(trials.with_store(|| async {
                let (directory, url) = scratch()?;
                let store = stead::open(&url).await?;
                Ok(TrialStore::new(store).with_guard(directory))
            })),
        };
        if self.no_final {
            options.final_checkpoint = None;
        }
        options
    }
}

/// A line for people, and one for programs.
type Line = (String, Value);

pub(super) async fn run(
    run: &Run,
    repository: &Repository,
    url: &str,
    output: &mut Output,
    interrupt: &Interrupt,
) -> Result<()> {
    let (lines, mut told) = mpsc::unbounded_channel();
    let options = run.options().with_observer(move |event| {
        // Nobody listens any more where the output is closed.
        let _ = line(event).map(|line| lines.send(line));
    });
    let opened = store::open(url, Purpose::Find).await?;
    let manager = BackupManager::new(repository.clone(), Arc::clone(&opened.backend));
    let result = match CheckpointCoordinator::start(manager, options) {
        Ok(coordinator) => follow(&coordinator, &mut told, output, interrupt).await,
        Err(error) => Err(error.into()),
    };
    let closed = opened.backend.close().await.map_err(Failure::from);
    result.and(closed)
}

/// Prints what happens until the user wants it to end, and ends it.
async fn follow(
    coordinator: &CheckpointCoordinator,
    told: &mut mpsc::UnboundedReceiver<Line>,
    output: &mut Output,
    interrupt: &Interrupt,
) -> Result<()> {
    let mut printed = Ok(());
    while printed.is_ok() {
        let line = tokio::select! {
            line = told.recv() => line,
            () = interrupt.raised() => None,
        };
        let Some(line) = line else {
            break;
        };
        printed = print(&line, output);
        if printed.is_ok() {
            printed = output.finish(interrupt).await;
        }
    }
    let last = coordinator.shutdown().await;
    while let Ok(line) = told.try_recv() {
        printed = printed.and_then(|()| print(&line, output));
    }
    last?;
    printed
}

fn print((text, object): &Line, output: &mut Output) -> Result<()> {
    output.either(text, &Sorted(object))
}

fn line(event: &CheckpointEvent) -> Option<Line> {
    Some(match event {
        CheckpointEvent::Made {
            checkpoint,
            full,
            took,
        } => {
            let counts = &checkpoint.counts;
            let why = full.map_or(String::new(), |full| format!(" ({})", full.as_str()));
            let text = format!(
                "{} made: {}{why}, {} entries, {} new, {} ms",
                checkpoint.id,
                checkpoint.kind,
                counts.entries,
                HumanBytes(counts.new_bytes),
                millis(*took),
            );
            let mut object = show::object(checkpoint);
            object["event"] = "made".into();
            object["full_reason"] = full.map(FullReason::as_str).into();
            object["duration_ms"] = millis(*took).into();
            (text, object)
        }
        CheckpointEvent::Failed { error, retry_after } => {
            let again = retry_after.map_or(String::new(), |wait| format!("; again in {} ms", millis(wait)));
            (
                format!("failed: {error}{again}"),
                json!({
                    "event": "failed",
                    "error": error_json(error, error.kind().as_str()),
                    "retry_after_ms": retry_after.map(millis),
                }),
            )
        }
        CheckpointEvent::Retained(report) if report.forgotten.is_empty() && report.removed_chunks == 0 => {
            return None;
        }
        CheckpointEvent::Retained(report) => {
            let forgotten: Vec<String> = report.forgotten.iter().map(ToString::to_string).collect();
            (
                format!(
                    "forgotten: {} of {}; {} in {} chunks removed",
                    forgotten.len(),
                    forgotten.len() + report.kept.len(),
                    HumanBytes(report.removed_bytes),
                    report.removed_chunks
                ),
                json!({
                    "event": "forgotten",
                    "forgotten": forgotten,
                    "kept": report.kept.len(),
                    "removed_chunks": report.removed_chunks,
                    "removed_bytes": report.removed_bytes,
                }),
            )
        }
        CheckpointEvent::RetentionFailed(error) => (
            format!("retention failed: {error}"),
            json!({"event": "retention_failed", "error": error_json(error, error.kind().as_str())}),
        ),
        event => return trial(event),
    })
}

fn trial(event: &CheckpointEvent) -> Option<Line> {
    Some(match event {
        CheckpointEvent::TrialPassed(report) => (
            format!(
                "{} can be restored: {} entries, {} read, {} ms",
                report.backup,
                report.entries,
                HumanBytes(report.stored_bytes),
                millis(report.took)
            ),
            json!({
                "event": "trial_passed",
                "backup": report.backup.to_string(),
                "entries": report.entries,
                "stored_bytes": report.stored_bytes,
                "depth": report.depth(),
                "duration_ms": millis(report.took),
            }),
        ),
        CheckpointEvent::TrialFailed {
            backup,
            error,
            retry_after,
        } => {
            let backup = backup.map(|backup| backup.to_string());
            let shown = backup.as_deref().unwrap_or("the newest backup");
            (
                format!(
                    "{shown} cannot be restored: {error}; tried again in {} ms",
                    millis(*retry_after)
                ),
                json!({
                    "event": "trial_failed",
                    "backup": backup,
                    "error": error_json(error, error.kind().as_str()),
                    "retry_after_ms": millis(*retry_after),
                }),
            )
        }
        _ => return None,
    })
}
