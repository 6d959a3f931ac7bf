//! `stead import`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use stead::Error;
use stead::core::{Backend, Limits, Outcome, Reply, WriteBatch};

use super::Session;
use crate::exit::{Failure, Result};
use crate::lines::{self, Line};
use crate::progress;
use crate::record::Imported;
use crate::value::unreadable;

/// Write the values in a file of JSON lines, as `stead export` writes them
///
/// A line is `{"scope":"agent:planner","key":"goal","value":"tidy up"}`, and may have "ttl" ("5m") or "deadline_ms", and
/// "class". What is there already is overwritten; the later of two lines about the same key counts.
///
/// Lines are committed 500 at a time. At a line that is wrong, the lines before it stay, and nothing behind it is read.
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// The file; `-` for stdin
    file: PathBuf,
    /// All lines or none: refused when they do not fit into one batch
    #[arg(long)]
    atomic: bool,
}

/// Lines of one commit, unless it is atomic.
const COMMIT_LINES: usize = 500;
/// A commit is also closed once it holds this much.
const COMMIT_BYTES: usize = 4 << 20;

/// What is read, and its length where that is known.
pub(super) type Source = (Box<dyn Read + Send>, Option<u64>);

pub(crate) async fn run(import: &Import, (source, length): Source, session: &mut Session) -> Result<()> {
    let backend = &session.store.backend;
    let limits = backend.capabilities().limits;
    let mut lines = lines::read(source, lines::longest(&limits))?;
    let mut writer = Writer {
        backend: &**backend,
        limits,
        atomic: import.atomic,
        gathered: Gathered::default(),
        under_way: None,
        imported: 0,
    };
    let bar = length.map_or_else(|| progress::count("lines"), progress::bytes);
    let interrupted = loop {
        let line = tokio::select! {
            biased;
            () = session.interrupt.raised() => break true,
            line = lines.recv() => line,
        };
        let Some(line) = line else {
            break false;
        };
        bar.set_position(if length.is_some() {
            line.position
        } else {
            line.number
        });
        if let Err(error) = writer.take(line).await {
            bar.finish_and_clear();
            return Err(error);
        }
    };
    bar.finish_and_clear();
    if interrupted && import.atomic {
        return Err(Failure::Interrupted(Some("nothing was imported".to_owned())));
    }
    writer.finish().await?;
    let imported = writer.imported;
    if interrupted {
        let note = format!("{imported} entries were imported, from the beginning of the file");
        return Err(Failure::Interrupted(Some(note)));
    }
    session
        .output
        .either(&format!("{imported} entries"), &json!({"imported": imported}))
}

/// Opens the file.
pub(super) fn open(import: &Import) -> Result<Source> {
    let path = import.file.as_path();
    if path == Path::new("-") {
        return Ok((Box::new(std::io::stdin()), None));
    }
    let unreadable = |cause| unreadable(&path.display().to_string(), cause);
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let length = metadata.is_file().then_some(metadata.len());
    Ok((Box::new(file), length))
}

/// Gathers lines into batches and commits one while it gathers the next.
struct Writer<'a> {
    backend: &'a dyn Backend,
    limits: Limits,
    atomic: bool,
    gathered: Gathered,
    under_way: Option<(Gathered, Reply<'a, Outcome>)>,
    imported: u64,
}

/// The lines of a batch.
#[derive(Default)]
struct Gathered {
    batch: WriteBatch,
    lines: usize,
    bytes: usize,
    first: u64,
    last: u64,
}

impl Writer<'_> {
    async fn take(&mut self, line: Line) -> Result<()> {
        let number = line.number;
        let parsed = line.text.and_then(|text| Imported::parse(&text, &self.limits));
        let entry = match parsed {
            Ok(entry) => entry,
            Err(error) => return Err(self.stop_at(number, error).await),
        };
        let gathered = &mut self.gathered;
        if gathered.lines == 0 {
            gathered.first = number;
        }
        gathered.last = number;
        gathered.lines += 1;
        gathered.bytes += entry.key.as_bytes().len() + entry.value.len();
        gathered.batch = std::mem::take(&mut gathered.batch).put_with(entry.key, entry.value, entry.expiry);
        if self.atomic {
            return self.check_fits(number);
        }
        if gathered.lines >= COMMIT_LINES || gathered.bytes >= COMMIT_BYTES {
            self.commit().await?;
        }
        Ok(())
    }

    /// What was gathered is still committed; the failure names the line.
    async fn stop_at(&mut self, number: u64, error: Error) -> Failure {
        if !self.atomic
            && let Err(failure) = self.finish().await
        {
            return failure;
        }
        error
            .with("line", number)
            .with("imported_entries", self.imported)
            .into()
    }

    /// Refuses the first line that makes an atomic import too large, so that it is not gathered without end.
    fn check_fits(&self, number: u64) -> Result<()> {
        let fits = self.gathered.lines <= self.limits.batch_operations
            && self.gathered.bytes <= self.limits.batch_bytes;
        if fits {
            return Ok(());
        }
        let error = Error::invalid(
            "the file does not fit into one atomic batch and nothing was imported; split it, or leave --atomic out",
        );
        Err(error
            .with("line", number)
            .with("limit_lines", self.limits.batch_operations)
            .with("limit_bytes", self.limits.batch_bytes)
            .into())
    }

    /// Hands the gathered lines over, once those before them are there.
    async fn commit(&mut self) -> Result<()> {
        self.settle().await?;
        let mut gathered = std::mem::take(&mut self.gathered);
        let reply = self.backend.apply(std::mem::take(&mut gathered.batch));
        self.under_way = Some((gathered, reply));
        Ok(())
    }

    async fn settle(&mut self) -> Result<()> {
        let Some((gathered, reply)) = self.under_way.take() else {
            return Ok(());
        };
        let outcome = reply.await.and_then(Outcome::committed);
        outcome.map_err(|error| {
            error
                .with("lines", format!("{}-{}", gathered.first, gathered.last))
                .with("imported_entries", self.imported)
        })?;
        self.imported += gathered.lines as u64;
        Ok(())
    }

    /// Commits what is left.
    async fn finish(&mut self) -> Result<()> {
        if self.gathered.lines > 0 {
            self.commit().await?;
        }
        self.settle().await
    }
}
