//! `stead export`.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;
use stead::codec::{DecodeLimits, StateClass, peek};
use stead::core::{Item, KeyRange, Read, ReadExt, Scan};
use stead::state::{decode_key, encode_range};
use stead::{Error, StateScope};

use super::Session;
use crate::args;
use crate::exit::{Failure, Result};
use crate::output::{Output, note};
use crate::progress;
use crate::record::Shown;

/// Write all values as lines of JSON, as `stead import` reads them
///
/// All of one instant, in the order of the store. Deadlines are kept as points in time. Sensitive values are left out. On
/// a store that has no snapshots, a long export is read in pages, each of an instant of its own.
#[derive(Args, Debug)]
pub(crate) struct Export {
    /// The file to write; `-` or none for stdout. It is there once it is complete
    file: Option<PathBuf>,
    /// Only this scope
    #[arg(long, value_parser = args::scope)]
    scope: Option<StateScope>,
}

/// What became of the entries.
#[derive(Default)]
struct Tally {
    exported: u64,
    sensitive: u64,
    foreign: u64,
}

pub(crate) async fn run(export: &Export, session: &mut Session) -> Result<()> {
    let backend = Arc::clone(&session.store.backend);
    let view = session.store.view().await?;
    let file = export.file.as_deref().filter(|path| *path != Path::new("-"));
    let mut sink = match file {
        Some(path) => Sink::File(Draft::create(path)?),
        None => Sink::Stdout(&mut session.output),
    };
    let range = match &export.scope {
        Some(scope) => encode_range(scope, "")?,
        None => KeyRange::all(),
    };
    let bar = progress::things(0, "entries");
    // On a terminal, a count of what is to come is worth a scan of the keys.
    if !bar.is_hidden() {
        bar.set_length(view.count(&range).await?);
    }
    let limits = DecodeLimits::from(&backend.capabilities().limits);
    let writing = write_all(&*view, range, &limits, &mut sink, &bar);
    let tally = tokio::select! {
        tally = writing => tally?,
        () = session.interrupt.raised() => return Err(Failure::Interrupted(None)),
    };
    bar.finish_and_clear();
    if let Sink::File(draft) = sink {
        draft.finish()?;
        let text = format!("{} entries", tally.exported);
        session
            .output
            .either(&text, &json!({"exported": tally.exported}))?;
    }
    if tally.sensitive > 0 {
        note(&format!("{} sensitive values were left out", tally.sensitive));
    }
    if tally.foreign > 0 {
        note(&format!(
            "{} entries that are no scope's were left out",
            tally.foreign
        ));
    }
    Ok(())
}

async fn write_all(
    view: &dyn Read,
    range: KeyRange,
    limits: &DecodeLimits,
    sink: &mut Sink<'_>,
    bar: &ProgressBar,
) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut cursor = view.scan(&Scan::new(range))?;
    loop {
        let page = cursor.next_page().await?;
        if page.is_empty() {
            return Ok(tally);
        }
        let passed = page.len() as u64;
        for item in page {
            write(item, limits, sink, &mut tally)?;
            sink.pass_on().await?;
        }
        bar.inc(passed);
        tokio::task::yield_now().await;
    }
}

fn write(item: Item, limits: &DecodeLimits, sink: &mut Sink<'_>, tally: &mut Tally) -> Result<()> {
    let Ok((scope, key)) = decode_key(&item.key) else {
        tally.foreign += 1;
        return Ok(());
    };
    let Some(entry) = item.entry else {
        return Ok(());
    };
    let place = |error: Error| error.with("scope", &scope).with("key", key.escape_debug());
    if peek(entry.value()).map_err(place)?.class() == StateClass::Sensitive {
        tally.sensitive += 1;
        return Ok(());
    }
    let shown = Shown::of_stored(scope.to_string(), key.clone(), &entry, limits).map_err(place)?;
    sink.write(&shown)?;
    tally.exported += 1;
    Ok(())
}

enum Sink<'a> {
    Stdout(&'a mut Output),
    File(Draft),
}

impl Sink<'_> {
    fn write(&mut self, shown: &Shown<'_>) -> Result<()> {
        match self {
            Sink::Stdout(output) => output.json(shown),
            Sink::File(draft) => draft.write(shown),
        }
    }

    async fn pass_on(&mut self) -> Result<()> {
        match self {
            Sink::Stdout(output) => output.pass_on().await,
            Sink::File(_) => Ok(()),
        }
    }
}

/// A file that is written under another name, and takes its own once it is complete. Dropped before, it is gone.
struct Draft {
    out: Option<BufWriter<File>>,
    draft: PathBuf,
    path: PathBuf,
}

impl Draft {
    fn create(path: &Path) -> Result<Self> {
        // The draft takes the place of a file, never of a device, a pipe or what a link points to.
        let there = fs::symlink_metadata(path).ok();
        if there.as_ref().is_some_and(|there| !there.is_file()) {
            return Err(
                Error::invalid("not a regular file; name another, or export to stdout")
                    .with("file", path.display())
                    .into(),
            );
        }
        check_outside_stores(path)?;
        let mut name = path
            .file_name()
            .ok_or_else(|| Error::invalid("the path names no file").with("file", path.display()))?
            .to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let draft = path.with_file_name(name);
        let file = File::create_new(&draft).map_err(|cause| unwritable(path, cause))?;
        if let Some(there) = there {
            file.set_permissions(there.permissions())
                .map_err(|cause| unwritable(path, cause))?;
        }
        Ok(Draft {
            out: Some(BufWriter::new(file)),
            draft,
            path: path.to_owned(),
        })
    }

    fn write(&mut self, shown: &Shown<'_>) -> Result<()> {
        let Some(out) = &mut self.out else {
            return Err(Error::internal("the file was finished before").into());
        };
        serde_json::to_writer(&mut *out, shown)
            .map_err(std::io::Error::from)
            .and_then(|()| out.write_all(b"\n"))
            .map_err(|cause| unwritable(&self.path, cause))
    }

    /// Puts the file in its place, complete and on disk.
    fn finish(mut self) -> Result<()> {
        let out = self.out.take();
        let finish = || -> std::io::Result<()> {
            if let Some(out) = out {
                out.into_inner()?.sync_all()?;
            }
            fs::rename(&self.draft, &self.path)
        };
        let result = finish();
        if result.is_err() {
            drop(fs::remove_file(&self.draft));
        }
        result.map_err(|cause| unwritable(&self.path, cause))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.out.take().is_some() {
            // Half an export helps nobody; where it cannot be removed, its name says what it is.
            drop(fs::remove_file(&self.draft));
        }
    }
}

/// An export that took the place of a store's own file would be the end of the store.
fn check_outside_stores(path: &Path) -> Result<()> {
    let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let dir = fs::canonicalize(beside.unwrap_or(Path::new("."))).map_err(|cause| unwritable(path, cause))?;
    let is_store =
        |dir: &&Path| fs::read(dir.join("STEAD")).is_ok_and(|marker| marker.starts_with(b"stead store\n"));
    match dir.ancestors().find(is_store) {
        None => Ok(()),
        Some(store) => Err(
            Error::invalid("the file would lie among those of a store; name one elsewhere")
                .with("file", path.display())
                .with("store", store.display())
                .into(),
        ),
    }
}

fn unwritable(path: &Path, cause: std::io::Error) -> Failure {
    let error = Error::unavailable("cannot write the file")
        .with("file", path.display())
        .because(cause);
    error.into()
}
