//! Deciding the preconditions of a batch.

use crate::{Conflict, Expect, Found, Key, KeyRange, Precondition, Result, Revision};

/// What a batch is judged against: the state at the instant of its commit, without entries past their deadline.
pub trait Lookup {
    /// The revision of the visible entry under `key`.
    ///
    /// # Errors
    ///
    /// A failure to read.
    fn revision_of(&mut self, key: &Key) -> Result<Option<Revision>>;

    /// The number of visible entries in `range`; may stop counting at `enough`.
    ///
    /// # Errors
    ///
    /// A failure to read.
    fn count(&mut self, range: &KeyRange, enough: u64) -> Result<u64>;
}

/// The first precondition that does not hold, if any.
///
/// # Errors
///
/// A failure to read; the batch is then neither committed nor rejected.
#[inline]
pub fn judge(preconditions: &[Precondition], state: &mut dyn Lookup) -> Result<Option<Conflict>> {
    for (index, precondition) in preconditions.iter().enumerate() {
        let conflict = match precondition {
            Precondition::Key { key, expect } => judge_key(key, *expect, state)?,
            Precondition::Count { range, entries } => judge_count(range, *entries, state)?,
        };
        if let Some((key, found)) = conflict {
            return Ok(Some(Conflict {
                precondition: index,
                key,
                found,
            }));
        }
    }
    Ok(None)
}

type Mismatch = Option<(Option<Key>, Found)>;

fn judge_key(key: &Key, expect: Expect, state: &mut dyn Lookup) -> Result<Mismatch> {
    let current = state.revision_of(key)?;
    let holds = match expect {
        Expect::Absent => current.is_none(),
        Expect::Present => current.is_some(),
        Expect::At(revision) => current == Some(revision),
    };
    let found = current.map_or(Found::Missing, Found::Revision);
    Ok((!holds).then(|| (Some(key.clone()), found)))
}

fn judge_count(range: &KeyRange, entries: u64, state: &mut dyn Lookup) -> Result<Mismatch> {
    let counted = state.count(range, entries.saturating_add(1))?;
    Ok((counted != entries).then_some((None, Found::Count(counted))))
}
