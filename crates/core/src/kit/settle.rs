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
        // What an earlier mutation wrote with a deadline in the past is missing to the later ones.
        let seen = deadline.filter(|deadline| deadline.is_none_or(|deadline| deadline > now));
        match mutation {
            Mutation::Put { value, expiry, .. } => {
                deadline = Some(expiry.resolve(now, seen.flatten())?);
                new_value = Some(value);
                touched = true;
            }
            Mutation::Delete { .. } => {
                deadline = None;
                new_value = None;
                touched = true;
            }
            Mutation::Touch { expiry, .. } => {
                // A deadline that cannot be is refused whether or not there is something to give it to.
                let renewed = expiry.resolve(now, seen.flatten())?;
                if seen.is_some() {
                    deadline = Some(renewed);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Expiry, Partition};

    #[test]
    fn entry_written_past_its_deadline_is_missing_to_the_rest_of_the_batch() {
        let key = Key::new(&Partition::new("p").unwrap(), "k").unwrap();
        let now = Timestamp::from_millis(1_000);
        let past = Expiry::At(now);
        let put = |expiry| Mutation::Put {
            key: key.clone(),
            value: Bytes::from_static(b"v"),
            expiry,
        };
        let touch = Mutation::Touch {
            key: key.clone(),
            expiry: Expiry::Never,
        };
        let deadline_after = |first: &Mutation, second: &Mutation| match settle(&[first, second], None, now) {
            Ok((_, Settled::Put { deadline, .. })) => deadline,
            other => panic!("the key is written: {other:?}"),
        };
        assert_eq!(deadline_after(&put(past), &touch), Some(now));
        assert_eq!(deadline_after(&put(past), &put(Expiry::Keep)), None);
        assert_eq!(deadline_after(&put(Expiry::Never), &touch), None);
    }

    #[test]
    fn deadline_that_cannot_be_is_refused_even_with_nothing_to_touch() {
        let touch = Mutation::Touch {
            key: Key::new(&Partition::new("p").unwrap(), "k").unwrap(),
            expiry: Expiry::At(Timestamp::MAX),
        };
        assert!(settle(&[&touch], None, Timestamp::EPOCH).is_err());
    }
}
