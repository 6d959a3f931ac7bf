//! `stead copy`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;
use stead::Error;
use stead::copy::{Copier, CopyOptions, Occupied, Phase, Progress, Report};
use stead::core::StoreUrl;

use crate::exit::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::progress;
use crate::sorted::Sorted;
use crate::store::{self, DIRECTORIES, Purpose, Store};

/// Copy a store into another one, whatever their backends
///
/// Writes what the source holds, then what changed meanwhile, and compares both in the end: the number of entries and a hash
/// of them, partition by partition. Deadlines are kept, and revisions go on behind those of the source. All entries are
/// copied as they are, those of sensitive values included.
///
/// Until it is done, the target keeps how far the copy is: the same command goes on with one that was interrupted or
/// killed. Nothing else may write to the target meanwhile. --store has no say here.
#[derive(Args, Debug)]
pub(crate) struct Copy {
    /// The store to copy
    #[arg(long, value_name = "URL")]
    from: String,
    /// Where to; made where it is missing, and refused where it holds something
    #[arg(long, value_name = "URL")]
    to: String,
    /// Take a target that holds something: overwrite what has the same key, and keep the rest
    #[arg(long)]
    merge: bool,
    /// Go on copying what changes until Ctrl-C; the same command without --follow then ends the copy
    ///
    /// For sources that other processes write to, such as Redis and PostgreSQL.
    #[arg(long)]
    follow: bool,
}

/// Changes of this long are copied together.
const GATHER: Duration = Duration::from_millis(500);

pub(crate) async fn run(copy: &Copy, mut output: Output, interrupt: Interrupt) -> Result<()> {
    let (source, target) = (name(&copy.from)?, name(&copy.to)?);
    if source == target {
        return Err(
            Error::invalid("the source and the target are the same store; name two")
                .with("store", source)
                .into(),
        );
    }
    let (source_url, target_url) = (modest(&copy.from)?, modest(&copy.to)?);
    stead::check_url(&target_url)?;
    let from = store::open(&source_url, Purpose::Find).await?;
    let to = match store::open(&target_url, Purpose::Make).await {
        Ok(to) => to,
        Err(failure) => {
            from.backend.close().await?;
            return Err(failure);
        }
    };
    let mut following = false;
    let bar = progress::rated();
    let options = CopyOptions::new(source)
        .with_occupied(match copy.merge {
            true => Occupied::Merge,
            false => Occupied::Refuse,
        })
        .with_observer(shown_by(&bar));
    let copying = Box::pin(copy_all(
        copy,
        &from,
        &to,
        options,
        &bar,
        &mut output,
        &mut following,
    ));
    let result = tokio::select! {
        result = copying => result,
        () = interrupt.raised() => Err(Failure::Interrupted(None)),
    };
    bar.finish_and_clear();
    let result = match result {
        Err(Failure::Interrupted(_)) if following => Ok(()),
        Err(Failure::Interrupted(_)) => Err(Failure::Interrupted(Some(
            "the target keeps how far the copy is; the same command goes on with it".to_owned(),
        ))),
        result => result,
    };
    let flushed = output.finish(&interrupt).await;
    // What was written is made safe by the close.
    let closed = to.backend.close().await;
    let source_closed = from.backend.close().await;
    result
        .and(flushed)
        .and(closed.map_err(Failure::from))
        .and(source_closed.map_err(Failure::from))
}

async fn copy_all(
    copy: &Copy,
    from: &Store,
    to: &Store,
    options: CopyOptions,
    bar: &ProgressBar,
    output: &mut Output,
    following: &mut bool,
) -> Result<()> {
    let (source, target) = (Arc::clone(&from.backend), Arc::clone(&to.backend));
    let mut copier = Copier::begin(source, target, options).await?;
    copier.bulk().await?;
    copier.settle().await?;
    let verified = copier.verify().await?;
    if !copy.follow {
        copier.finish().await?;
    }
    bar.finish_and_clear();
    summary(&copier.report(verified), copy.follow, output)?;
    if !copy.follow {
        return Ok(());
    }
    *following = true;
    loop {
        output.flush().await?;
        copier.changed().await?;
        tokio::time::sleep(GATHER).await;
        let round = copier.catch_up().await?;
        if round.changed > 0 {
            let (changed, revision) = (round.changed, round.revision);
            let text = format!("{changed} changes, up to revision {revision}");
            let object = json!({"changed": changed, "revision": revision.get()});
            output.either(&text, &Sorted(&object))?;
        }
    }
}

fn summary(report: &Report, following: bool, output: &mut Output) -> Result<()> {
    let verified = &report.verified;
    let content: String = verified
        .content
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let text = format!(
        "{} entries in {} partitions are equal in both stores, as of revision {}",
        verified.entries, verified.partitions, report.revision,
    );
    let object = json!({
        "copied": report.copied,
        "caught_up": report.caught_up,
        "resumed": report.resumed,
        "following": following,
        "revision": report.revision.get(),
        "entries": verified.entries,
        "partitions": verified.partitions,
        "bytes": verified.bytes,
        "content_sha256": content,
    });
    output.either(&text, &Sorted(&object))
}

/// Shows on `bar` what a copy tells.
fn shown_by(bar: &ProgressBar) -> impl Fn(&Progress) + Send + Sync + 'static {
    let show = progress::phased(bar);
    move |progress: &Progress| {
        let message = match progress.phase {
            Phase::Copying => "copied",
            Phase::CatchingUp => "caught up",
            Phase::Comparing => "compared",
            Phase::Verifying => "verified",
        };
        show(message, progress.entries, progress.total);
    }
}

/// The URL with a small cache, unless it says how large: what is read and written once gains nothing by a large one.
fn modest(text: &str) -> Result<String> {
    let mut url: StoreUrl = text.parse()?;
    if !DIRECTORIES.contains(&url.scheme()) || url.take("cache").is_some() {
        return Ok(text.to_owned());
    }
    let joint = if text.contains('?') { '&' } else { '?' };
    Ok(format!("{text}{joint}cache=32MiB"))
}

/// What a store is called in the target of an unfinished copy, however its URL is written: the place without who logs in,
/// and the options that name a part of a server.
fn name(text: &str) -> Result<String> {
    let mut url: StoreUrl = text.parse()?;
    if DIRECTORIES.contains(&url.scheme()) {
        let place = Path::new(url.place());
        let whole = place.canonicalize().or_else(|_| std::path::absolute(place));
        let place = whole.unwrap_or_else(|_| place.to_owned());
        return Ok(format!("{}:{}", url.scheme(), place.display()));
    }
    let written = url.written_place();
    let place = written.rsplit_once('@').map_or(written, |(_, behind)| behind);
    let mut name = format!("{}:{}", url.scheme(), place.trim_start_matches('/'));
    for option in ["host", "prefix", "schema"] {
        if let Some(value) = url.take(option) {
            name.push_str(&format!(" {option}={value}"));
        }
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::{modest, name};

    #[test]
    fn caches_are_small_unless_asked_for() {
        let urls = [
            ("redb:./x", "redb:./x?cache=32MiB"),
            (
                "redb:./x?durability=durable",
                "redb:./x?durability=durable&cache=32MiB",
            ),
            ("redb:./x?cache=1GiB", "redb:./x?cache=1GiB"),
            ("redis://host/0", "redis://host/0"),
        ];
        for (url, wanted) in urls {
            assert_eq!(modest(url).unwrap(), wanted);
        }
    }

    #[test]
    fn a_store_is_named_without_its_secrets() {
        let names = [
            (
                "redis://user:hunter2@host:6379/0?prefix=a:",
                "redis:host:6379/0 prefix=a:",
            ),
            (
                "postgres://app:p%40ss@db/shop?schema=m&password=hunter2",
                "postgres:db/shop schema=m",
            ),
            ("redis://host/0", "redis:host/0"),
        ];
        for (url, wanted) in names {
            assert_eq!(name(url).unwrap(), wanted);
        }
    }

    #[test]
    fn a_directory_has_one_name() {
        let dir = tempfile::tempdir().unwrap();
        let direct = format!("redb:{}?cache=1MiB", dir.path().display());
        let round_about = format!("redb:{}/./", dir.path().display());
        assert_eq!(name(&direct).unwrap(), name(&round_about).unwrap());
    }
}
