//! `stead backup`.

mod create;
mod diff;
mod drill;
mod keeping;
mod prune;
mod restore;
mod run;
mod show;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use stead::backup::{BackupId, Observer, Phase, Progress, Repository, RestorePoint};
use stead::core::{SystemClock, SystemRandom, Timestamp};
use stead::{Error, ErrorKind};
use tempfile::TempDir;

use super::demo::escaped;
use crate::exit::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::{progress, store};

/// Back up a store, and restore it
///
/// A repository keeps backups of any store, whatever its backend: in a directory, or in a bucket. A backup is of one
/// instant, while others write to the store; it is there, on disk, when `create` ends, and not before. Every byte of it is
/// covered by a hash.
#[derive(Args, Debug)]
pub(crate) struct Backup {
    /// The repository: a directory such as ./backups
    #[arg(
        long,
        value_name = "URL",
        env = "STEAD_BACKUP_REPO",
        hide_env_values = true,
        global = true
    )]
    repo: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Init(Init),
    Create(create::Create),
    List(show::List),
    Show(show::Show),
    Diff(diff::Diff),
    Verify(verify::Verify),
    Restore(restore::Restore),
    Drill(drill::Drill),
    Prune(prune::Prune),
    Run(run::Run),
}

/// Make a repository, in a place where there is nothing yet
#[derive(Args, Debug)]
struct Init {}

pub(crate) async fn run(
    backup: &Backup,
    store: Option<&str>,
    mut output: Output,
    interrupt: Interrupt,
) -> Result<()> {
    let url = backup
        .repo
        .as_deref()
        .filter(|url| !url.is_empty())
        .ok_or_else(|| {
            Error::invalid("no repository is named; name one with --repo, or with $STEAD_BACKUP_REPO")
        })?;
    let bar = progress::rated();
    let result = match &backup.command {
        // To be told to end is its usual end.
        Command::Run(run) => Box::pin(work_on(run, url, store, &mut output, &interrupt)).await,
        command => {
            let working = Box::pin(work(command, url, store, &bar, &mut output));
            tokio::select! {
                result = working => result,
                () = interrupt.raised() => Err(Failure::Interrupted(None)),
            }
        }
    };
    bar.finish_and_clear();
    let flushed = output.finish(&interrupt).await;
    result.and(flushed)
}

async fn work_on(
    run: &run::Run,
    url: &str,
    store: Option<&str>,
    output: &mut Output,
    interrupt: &Interrupt,
) -> Result<()> {
    let repository = Repository::open(url).await?;
    run::run(run, &repository, &store::which(store)?, output, interrupt).await
}

async fn work(
    command: &Command,
    url: &str,
    store: Option<&str>,
    bar: &ProgressBar,
    output: &mut Output,
) -> Result<()> {
    if let Command::Init(Init {}) = command {
        let repository = Repository::init(url, &SystemClock, &SystemRandom).await?;
        let text = format!("there is a repository for backups now in {}", repository.name());
        let object = serde_json::json!({"repository": repository.name(), "id": repository.id()});
        return output.either(&text, &crate::sorted::Sorted(&object));
    }
    let repository = Repository::open(url).await?;
    match command {
        Command::Init(_) | Command::Run(_) => Ok(()),
        Command::Create(create) => create::run(create, &repository, &store::which(store)?, bar, output).await,
        Command::List(list) => show::list(list, &repository, output).await,
        Command::Show(show) => show::show(show, &repository, output).await,
        Command::Diff(diff) => diff::run(diff, &repository, store, bar, output).await,
        Command::Drill(drill) => drill::run(drill, &repository, bar, output).await,
        Command::Prune(prune) => prune::run(prune, &repository, bar, output).await,
        Command::Verify(verify) => verify::run(verify, &repository, bar, output).await,
        Command::Restore(restore) => {
            restore::run(restore, &repository, &store::which(store)?, bar, output).await
        }
    }
}

/// Shows on `bar` what is told.
fn shown_by(bar: &ProgressBar) -> Observer {
    let show = progress::phased(bar);
    Arc::new(move |progress: &Progress| {
        let message = match progress.phase {
            Phase::Reading => "read",
            Phase::Verifying => "chunks verified",
            Phase::Restoring => "restored",
            Phase::Comparing => "compared",
            Phase::Removing => "removed",
            _ => "done",
        };
        show(message, progress.done, progress.total);
    })
}

/// A temporary directory, and the URL of a store that is to be made in it.
fn scratch() -> Result<(TempDir, String), Error> {
    let directory = tempfile::Builder::new()
        .prefix("stead-drill-")
        .tempdir()
        .map_err(|cause| {
            Error::unavailable(
                "there is no room for a temporary store; set TMPDIR, or name a store with --into",
            )
            .because(cause)
        })?;
    let url = format!("redb:{}", escaped(&directory.path().join("store"))?);
    Ok((directory, url))
}

/// The backup that `point` names. That there is none is no wrong input, but for a revision, of which there is more to say.
async fn find(repository: &Repository, point: RestorePoint) -> Result<BackupId> {
    repository
        .find(point)
        .await
        .map_err(|error| match (error.kind(), point) {
            (ErrorKind::Invalid, RestorePoint::Backup(_) | RestorePoint::Latest | RestorePoint::Time(_)) => {
                Failure::NotThere(error)
            }
            _ => error.into(),
        })
}

/// What to say where it could not be noted in the repository that a backup is whole: somebody else writes to it, or nobody may.
/// What was found out is worth as much.
fn unnoted(noted: stead::Result<()>) -> Result<Option<String>> {
    use ErrorKind::{Conflict, Denied, Full, Unavailable};
    match noted {
        Ok(()) => Ok(None),
        Err(error) if matches!(error.kind(), Conflict | Denied | Full | Unavailable) => {
            Ok(Some(format!("; not noted in the repository: {error}")))
        }
        Err(error) => Err(error.into()),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn id(text: &str) -> Result<BackupId, String> {
    text.parse().map_err(|error: Error| error.message().to_owned())
}

/// A point in time as RFC 3339 writes it. One of whole seconds is the end of that second, so that the time which a listing
/// shows of a backup is not before it.
fn time(text: &str) -> Result<Timestamp, String> {
    let wrong = || "not a point in time such as 2026-11-21T12:00:00Z".to_owned();
    let time: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
    let rest = if text.contains(['.', ',']) { 0 } else { 999 };
    u64::try_from(time.as_millisecond())
        .map(|millis| Timestamp::from_millis(millis + rest))
        .map_err(|_| wrong())
}

/// As RFC 3339 writes it, in UTC and whole seconds.
fn written(time: Timestamp) -> String {
    let seconds = i64::try_from(time.as_millis() / 1000).ok();
    let time = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "?".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        let at = time("2026-11-21T12:00:00Z").unwrap();
        assert_eq!(written(at), "2026-11-21T12:00:00Z");
        assert_eq!(time("2026-11-21T13:00:00+01:00").unwrap(), at);
        assert_eq!(time("2026-11-21T12:00:00.999Z").unwrap(), at);
        assert!(time("2026-11-21T12:00:00.998Z").unwrap() < at);
        for wrong in [
            "",
            "yesterday",
            "2026-11-21",
            "1969-12-31T23:59:59Z",
            "2026-13-01T00:00:00Z",
        ] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
