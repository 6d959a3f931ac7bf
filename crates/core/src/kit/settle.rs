//! What a batch makes of each key that it names.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{Key, Mutation, Result, Timestamp};

/// What becomes of one key when all its mutations have been applied in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled<'a> {
    /// It is written.
    Put {
        /// The new value; `None` keeps the one that is there.
        value: Option<&'a Bytes>,
        /// The new deadline.
        deadline: Option<Timestamp>,
    },
    /// There is no entry any more. The backend says whether there was one to remove.
    Absent,
    /// The entry is left as it was.
    Unchanged,
}

/// The mutations sorted by key, those of one key in the order of the batch: [`slice::chunk_by`] then gives a group per
/// key, in the order that change sets want.
#[must_use]
pub fn by_key(mutations: &[Mutation]) -> SmallVec<[&Mutation; 4]> {
    let mut sorted: SmallVec<[&Mutation; 4]> = mutations.iter().collect();
    sorted.sort_by(|a, b| a.key().cmp(b.key()));
    sorted
}

/// Whether two mutations are of the same key.
#[must_use]
pub fn same_key(a: &&Mutation, b: &&Mutation) -> bool {
    a.key() == b.key()
}

/// Applies the `mutations` of one key, given the entry that is visible there before: `None` for no entry, else its
/// deadline.
///
/// # Errors
///
/// `Invalid` for a deadline beyond the end of time.
///
/// # Panics
///
/// When `mutations` is empty.
#[inline]
pub fn settle<'a>(
    mutations: &[&'a Mutation],
    visible: Option<Option<Timestamp>>,
    now: Timestamp,
) -> Result<(&'a Key, Settled<'a>)> {
    let key = mutations[0].key();
    let mut deadline = visible;
    let mut new_value = None;
    let mut touched = false;
    for mutation in mutations {
        match mutation {
            Mutation::Put { value, expiry, .. } => {
                deadline = Some(expiry.resolve(now, deadline.flatten())?);
                new_value = Some(value);
                touched = true;
            }
            Mutation::Delete { .. } => {
                deadline = None;
                new_value = None;
                touched = true;
            }
            Mutation::Touch { expiry, .. } => {
                if let Some(current) = deadline {
                    deadline = Some(expiry.resolve(now, current)?);
                    touched = true;
                }
            }
        }
    }
    let settled = match deadline {
        _ if !touched => Settled::Unchanged,
        Some(deadline) => Settled::Put {
            value: new_value,
            deadline,
        },
        None => Settled::Absent,
    };
    Ok((key, settled))
}
