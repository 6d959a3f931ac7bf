//! The way that a store went, as far as its log of changes tells: an increment stands on what the store was when its base
//! was taken. One that was put back to an older state, or goes on as a copy, has the same name and may have the same revisions,
//! and means something else by them.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use stead_core::{
    Backend, ChangeSet, Entry, Key, KeyRange, Result, Revision, Snapshot, WatchEvent, WatchSpec,
};

use crate::manifest::is_hex;

/// How far back marks are set, from the last change set on: the nearer, the denser.
const BACK: [usize; 8] = [0, 1, 3, 7, 15, 31, 63, 255];
/// So many revisions of the log are read for them.
const REVISIONS: u64 = 256;
/// Why there is no increment of a store that is another than it was.
const ANOTHER_WAY: &str = "the store is not what it was when the backup before was taken: it was put back to an older state, or is a copy";
/// No manifest has more.
pub(crate) const MOST_MARKS: usize = 16;

/// A change set of the store that a backup was taken of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mark {
    pub(crate) revision: u64,
    /// The first 16 hexadecimal digits of the SHA-256 over the kinds and keys of its changes.
    changes: String,
    /// Those of the SHA-256 over the value of its first key, where the entry was the one of this change set.
    value: Option<String>,
}

impl Mark {
    pub(crate) fn is_sound(&self) -> bool {
        let is_short = |text: &str| is_hex(text, 16);
        is_short(&self.changes) && self.value.as_deref().is_none_or(is_short)
    }
}

/// The marks of a store as `view` shows it, whose revision is `upto`; none where the log tells nothing of it.
///
/// # Errors
///
/// What the store reports.
pub(crate) async fn marks(store: &dyn Backend, view: &dyn Snapshot, upto: Revision) -> Result<Vec<Mark>> {
    let (sets, _) = tail(store, upto).await?;
    let marked = BACK.iter().rev();
    let marked = marked.filter_map(|back| sets.get(sets.len().checked_sub(back + 1)?));
    let marked: Vec<&ChangeSet> = marked.collect();
    let values = values(view, &marked).await?;
    let marks = marked.iter().zip(values).map(|(set, value)| Mark {
        revision: set.revision.get(),
        changes: changes_of(set),
        value,
    });
    Ok(marks.collect())
}

/// Whether the store went the way that `marks` tell, up to `upto`; where it did not, or no longer says, why an increment cannot
/// be had.
///
/// # Errors
///
/// What the store reports.
pub(crate) async fn went(
    store: &dyn Backend,
    view: &dyn Snapshot,
    marks: &[Mark],
    upto: Revision,
) -> Result<std::result::Result<(), &'static str>> {
    if marks.is_empty() {
        return Ok(Ok(()));
    }
    let (sets, begins) = tail(store, upto).await?;
    let known: Vec<&Mark> = marks.iter().filter(|mark| mark.revision > begins.get()).collect();
    if known.is_empty() {
        return Ok(Err(
            "the store's log of changes no longer shows the state of the backup before",
        ));
    }
    let found = |mark: &&Mark| sets.iter().find(|set| set.revision.get() == mark.revision);
    let marked: Vec<&ChangeSet> = known.iter().filter_map(found).collect();
    let values = values(view, &marked).await?;
    let same = |((mark, set), value): ((&&Mark, &&ChangeSet), &Option<String>)| {
        // What was overwritten since has no value of then.
        mark.changes == changes_of(set) && (value.is_none() || mark.value == *value)
    };
    let is_the_same = marked.len() == known.len() && known.iter().zip(&marked).zip(&values).all(same);
    Ok(if is_the_same { Ok(()) } else { Err(ANOTHER_WAY) })
}

/// The last change sets up to `upto`, and the revision behind which these are all that there were.
async fn tail(store: &dyn Backend, upto: Revision) -> Result<(Vec<ChangeSet>, Revision)> {
    let mut after = Revision::new(upto.get().saturating_sub(REVISIONS));
    let mut sets = Vec::new();
    if !store.capabilities().watch {
        return Ok((sets, upto));
    }
    let spec = |after| WatchSpec::new(KeyRange::all()).after(after);
    let mut watcher = store.watch(&spec(after))?;
    loop {
        let page = watcher.page_up_to(upto).await?;
        if page.is_empty() {
            return Ok((sets, after));
        }
        for event in page {
            match event {
                WatchEvent::Changes(set) => sets.push(set),
                WatchEvent::Compacted { oldest } | WatchEvent::Lagged { oldest } => {
                    if oldest >= upto || oldest <= after {
                        return Ok((Vec::new(), upto));
                    }
                    sets.clear();
                    after = oldest;
                    watcher = store.watch(&spec(after))?;
                    break;
                }
            }
        }
    }
}

/// Of each change set, the value of its first key where that is still of this set.
async fn values(view: &dyn Snapshot, sets: &[&ChangeSet]) -> Result<Vec<Option<String>>> {
    let first = |set: &&ChangeSet| set.changes.first().map(|change| change.key.clone());
    let keys: Vec<Key> = sets.iter().filter_map(first).collect();
    let mut found = view.get_many(&keys).await?.into_iter();
    let value = |set: &&ChangeSet| {
        set.changes.first()?;
        let entry: Entry = found.next()??;
        (entry.revision() == set.revision).then(|| short(Sha256::digest(entry.value()).into()))
    };
    Ok(sets.iter().map(value).collect())
}

/// What a change set is known by.
fn changes_of(set: &ChangeSet) -> String {
    let mut hash = Sha256::new();
    for change in &set.changes {
        let key = change.key.as_bytes();
        hash.update(change.kind.as_str());
        hash.update((key.len() as u64).to_be_bytes());
        hash.update(key);
    }
    short(hash.finalize().into())
}

fn short(hash: [u8; 32]) -> String {
    let digits = hash[..8].iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}
