//! `stead backup diff`.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use stead::backup::{BackupId, Diff as Differences, Difference, DifferenceKind, Repository, RestorePoint};
use stead::codec::DecodeLimits;
use stead::core::{Entry, Key, KeyRange};
use stead::state::{StateEntry, decode_key, encode_range};
use stead::{Error, StateScope};

use super::{find, id, shown_by, written};
use crate::args;
use crate::exit::{Failure, Result};
use crate::fields::to_base64;
use crate::output::{Output, plain};
use crate::record::Shown;
use crate::sorted::Sorted;
use crate::store::{self, Purpose};

/// Print what changed between two backups, or since a backup
///
/// One line for each key: added, changed or removed, its scope, the key, and revision, size and deadline of what it held and
/// holds. A value that was written again as it was counts as unchanged. A value whose deadline had passed when a backup was
/// taken is not in that backup.
#[derive(Args, Debug)]
pub(super) struct Diff {
    /// The backup to begin with
    #[arg(value_name = "A", value_parser = id)]
    before: BackupId,
    /// The backup to compare it with; the store, as it is now, where none is named
    #[arg(value_name = "B", value_parser = id)]
    after: Option<BackupId>,
    /// This scope alone
    #[arg(long, value_name = "SCOPE", value_parser = args::scope)]
    scope: Option<StateScope>,
    /// Of the scope, only keys that start with this
    #[arg(long, default_value = "", hide_default_value = true, requires = "scope")]
    prefix: String,
    /// Print the values, too: as `stead get` does
    #[arg(long, conflicts_with = "summary")]
    values: bool,
    /// Print how many keys of each scope changed, and not which
    #[arg(long)]
    summary: bool,
}

pub(super) async fn run(
    diff: &Diff,
    repository: &Repository,
    store: Option<&str>,
    bar: &ProgressBar,
    output: &mut Output,
) -> Result<()> {
    let range = match &diff.scope {
        Some(scope) => encode_range(scope, &diff.prefix)?,
        None => KeyRange::all(),
    };
    for id in [Some(diff.before), diff.after].into_iter().flatten() {
        find(repository, RestorePoint::Backup(id)).await?;
    }
    if let Some(after) = &diff.after {
        let differences = repository.diff(&diff.before, after, &range).await?;
        return print(diff, differences, DecodeLimits::default(), bar, output).await;
    }
    let opened = store::open(&store::which(store)?, Purpose::Find).await?;
    let capabilities = opened.backend.capabilities();
    let limits = DecodeLimits::from(&capabilities.limits);
    let view = opened.view().await?;
    let compared = async {
        let differences = repository
            .diff_store(&diff.before, &*view, capabilities, &range)
            .await?;
        print(diff, differences, limits, bar, output).await
    };
    let compared = compared.await;
    drop(view);
    let closed = opened.backend.close().await.map_err(Failure::from);
    compared.and(closed)
}

async fn print(
    diff: &Diff,
    mut differences: Differences<'_>,
    limits: DecodeLimits,
    bar: &ProgressBar,
    output: &mut Output,
) -> Result<()> {
    // A bar would be drawn over the lines.
    if diff.summary || !io::stdout().is_terminal() {
        differences = differences.with_observer(shown_by(bar));
    }
    let values = diff.values.then_some(limits);
    let mut whole = Tally::default();
    // Scopes come one after the other; keys that are no scope's may come between.
    let (mut scope, mut of_scope, mut of_none) = (None, Tally::default(), Tally::default());
    while let Some(difference) = differences.next().await? {
        let place = Place::of(&difference.key);
        whole.count(&difference);
        if !diff.summary {
            line(&difference, &place, values, output)?;
        } else if place.scope.is_none() {
            of_none.count(&difference);
        } else {
            if scope != place.scope {
                of_scope.print(scope.as_deref(), output)?;
                (scope, of_scope) = (place.scope, Tally::default());
            }
            of_scope.count(&difference);
        }
        output.pass_on().await?;
    }
    of_scope.print(scope.as_deref(), output)?;
    of_none.print(None, output)?;
    bar.finish_and_clear();
    if !output.is_json() {
        let mut text = whole.text();
        if differences.rewritten() > 0 {
            let _ = write!(text, "; {} written again as they were", differences.rewritten());
        }
        output.text(&text);
    }
    Ok(())
}

/// Where an entry lies: a scope and a key, or what the store calls it where it is no scope's.
struct Place {
    scope: Option<String>,
    key: String,
}

impl Place {
    fn of(key: &Key) -> Self {
        match decode_key(key) {
            Ok((scope, key)) => Place {
                scope: Some(scope.to_string()),
                key,
            },
            Err(_) => Place {
                scope: None,
                key: format!(
                    "{}/{}",
                    key.partition_bytes().escape_ascii(),
                    key.path().escape_ascii()
                ),
            },
        }
    }
}

/// How many keys changed.
#[derive(Default)]
struct Tally {
    added: u64,
    changed: u64,
    removed: u64,
}

impl Tally {
    fn count(&mut self, difference: &Difference) {
        *match difference.kind() {
            DifferenceKind::Added => &mut self.added,
            DifferenceKind::Changed => &mut self.changed,
            DifferenceKind::Removed => &mut self.removed,
        } += 1;
    }

    fn text(&self) -> String {
        format!(
            "{} added, {} changed, {} removed",
            self.added, self.changed, self.removed
        )
    }

    /// Prints the counts of a scope, unless there are none.
    fn print(&self, scope: Option<&str>, output: &mut Output) -> Result<()> {
        if self.added + self.changed + self.removed == 0 {
            return Ok(());
        }
        let text = format!(
            "{}\t{}",
            scope.map_or_else(|| NO_SCOPE.to_owned(), plain),
            self.text()
        );
        let object = json!({
            "scope": scope,
            "added": self.added,
            "changed": self.changed,
            "removed": self.removed,
        });
        output.either(&text, &Sorted(&object))
    }
}

/// What stands in the place of a scope where a key is none's.
const NO_SCOPE: &str = "(no scope)";

fn line(
    difference: &Difference,
    place: &Place,
    values: Option<DecodeLimits>,
    output: &mut Output,
) -> Result<()> {
    let sides = [&difference.before, &difference.after];
    let kind = difference.kind().as_str();
    if output.is_json() {
        let [before, after] = sides.map(|entry| object(entry.as_ref(), place, values));
        let object = json!({
            "change": kind,
            "scope": place.scope,
            "key": place.key,
            "before": before?,
            "after": after?,
        });
        return output.json(&Sorted(&object));
    }
    let scope = place.scope.as_deref().map_or_else(|| NO_SCOPE.to_owned(), plain);
    let held: Vec<String> = sides
        .iter()
        .filter_map(|entry| entry.as_ref().map(told))
        .collect();
    output.text(&format!(
        "{kind}\t{scope}\t{}\t{}",
        plain(&place.key),
        held.join(" -> ")
    ));
    if let Some(limits) = values {
        for (sign, entry) in ["-", "+"].iter().zip(sides) {
            if let Some(entry) = entry {
                output.text(&format!("{sign}\t{}", value(entry, place, limits)?));
            }
        }
    }
    Ok(())
}

/// An entry without its value.
fn told(entry: &Entry) -> String {
    let mut text = format!("revision {}, {} bytes", entry.revision(), entry.value().len());
    if let Some(deadline) = entry.deadline() {
        let _ = write!(text, ", until {}", written(deadline));
    }
    text
}

fn value(entry: &Entry, place: &Place, limits: DecodeLimits) -> Result<String> {
    let Some(scope) = &place.scope else {
        return Ok(format!("<bytes in base64: {}>", to_base64(entry.value())));
    };
    let entry = readable(entry, place, limits)?;
    Ok(Shown::of_state(scope, &entry)?.text())
}

/// An entry for programs; with what `get --json` prints of it where values are asked for.
fn object(entry: Option<&Entry>, place: &Place, values: Option<DecodeLimits>) -> Result<Value> {
    let Some(entry) = entry else {
        return Ok(Value::Null);
    };
    let mut object = match (values, &place.scope) {
        (Some(limits), Some(scope)) => {
            let entry = readable(entry, place, limits)?;
            serde_json::to_value(Shown::of_state(scope, &entry)?)
                .map_err(|cause| Error::internal("an entry cannot be shown as JSON").because(cause))?
        }
        (Some(_), None) => json!({"bytes": to_base64(entry.value())}),
        (None, _) => json!({}),
    };
    if let Value::Object(fields) = &mut object {
        fields.retain(|name, _| name != "scope" && name != "key");
        fields.insert("revision".to_owned(), entry.revision().get().into());
        fields.insert("size_bytes".to_owned(), entry.value().len().into());
        if let Some(deadline) = entry.deadline() {
            fields.insert("deadline_ms".to_owned(), deadline.as_millis().into());
        }
    }
    Ok(object)
}

fn readable(entry: &Entry, place: &Place, limits: DecodeLimits) -> Result<StateEntry> {
    StateEntry::new(place.key.clone(), entry.clone(), limits).map_err(|error| {
        let scope = place.scope.as_deref().unwrap_or(NO_SCOPE);
        Failure::from(error.with("scope", scope).with("key", place.key.escape_debug()))
    })
}

#[cfg(test)]
mod tests {
    use stead::core::Partition;

    use super::*;

    #[test]
    fn keys_that_are_no_scopes_are_told_as_they_are() {
        let partition = Partition::new([b'x', 0xff]).unwrap();
        let place = Place::of(&Key::new(&partition, "a\tb").unwrap());
        assert_eq!((place.scope, &*place.key), (None, "x\\xff/a\\tb"));
        let key = stead::state::encode_key(&StateScope::agent("planner"), "goal").unwrap();
        let place = Place::of(&key);
        assert_eq!(
            (place.scope.as_deref(), &*place.key),
            (Some("agent:planner"), "goal")
        );
    }
}
