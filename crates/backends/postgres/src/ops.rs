//! What a batch makes of each key, said for both states in which the server may find it.

use bytes::Bytes;
use stead_core::kit::{Settled, by_key, same_key, settle};
use stead_core::{Error, Key, Mutation, Result, Timestamp};

/// What becomes of a key under which there is no visible entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    Unchanged,
    Put(Option<Timestamp>),
    /// One past its deadline is removed.
    Removed,
}

/// What becomes of a visible entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Present {
    Unchanged,
    Put(Option<Timestamp>),
    /// It is written and keeps the deadline that it has.
    PutKeeping,
    Removed,
}

/// What a batch makes of one key. A put without a value keeps the one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Op<'a> {
    pub(crate) key: &'a Key,
    pub(crate) value: Option<&'a Bytes>,
    pub(crate) absent: Absent,
    pub(crate) present: Present,
}

/// Stands for whatever deadline an entry has. No mutation can give it to one.
const KEPT: Timestamp = Timestamp::MAX;

/// One op for each key that `mutations` name, in key order. The kit decides, once for a key without a visible entry and
/// once for one with: the server only picks.
///
/// # Errors
///
/// `Invalid` for a deadline beyond the end of time.
pub(crate) fn ops(mutations: &[Mutation], now: Timestamp) -> Result<Vec<Op<'_>>> {
    // At the end of time itself everything has passed, and the sign for what is kept with it.
    let now = now.min(Timestamp::from_millis(u64::MAX - 1));
    by_key(mutations)
        .chunk_by(same_key)
        .map(|mutations| op(mutations, now))
        .collect()
}

fn op<'a>(mutations: &[&'a Mutation], now: Timestamp) -> Result<Op<'a>> {
    let (key, without) = settle(mutations, None, now)?;
    let (_, with) = settle(mutations, Some(Some(KEPT)), now)?;
    let absent = match without {
        Settled::Unchanged => Absent::Unchanged,
        Settled::Absent => Absent::Removed,
        Settled::Put {
            value: Some(_),
            deadline,
        } => Absent::Put(deadline),
        Settled::Put { value: None, .. } => {
            return Err(Error::internal(
                "a batch keeps the value of an entry that is not there",
            ));
        }
    };
    let present = match with {
        Settled::Unchanged => Present::Unchanged,
        Settled::Absent => Present::Removed,
        Settled::Put {
            deadline: Some(KEPT), ..
        } => Present::PutKeeping,
        Settled::Put { deadline, .. } => Present::Put(deadline),
    };
    let value = match (without, with) {
        (
            Settled::Put {
                value: Some(value), ..
            },
            _,
        )
        | (
            _,
            Settled::Put {
                value: Some(value), ..
            },
        ) => Some(value),
        _ => None,
    };
    Ok(Op {
        key,
        value,
        absent,
        present,
    })
}

impl Op<'_> {
    /// The deadline of a write that does not depend on what is there.
    pub(crate) fn plain(&self) -> Option<Option<Timestamp>> {
        match (self.absent, self.present) {
            (Absent::Put(absent), Present::Put(present)) if absent == present => self.value.map(|_| present),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use stead_core::{Expiry, Partition};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn key() -> Key {
        Key::new(&Partition::new("p").unwrap(), "k").unwrap()
    }

    fn put(expiry: Expiry) -> Mutation {
        Mutation::Put {
            key: key(),
            value: Bytes::from_static(b"v"),
            expiry,
        }
    }

    fn touch(expiry: Expiry) -> Mutation {
        Mutation::Touch { key: key(), expiry }
    }

    fn delete() -> Mutation {
        Mutation::Delete { key: key() }
    }

    fn settled(mutations: &[Mutation]) -> (Absent, Present, bool) {
        let ops = ops(mutations, NOW).unwrap();
        assert_eq!(ops.len(), 1);
        (ops[0].absent, ops[0].present, ops[0].value.is_some())
    }

    #[test]
    fn each_sequence_is_one_choice() {
        let later = Expiry::At(Timestamp::from_millis(2_000));
        let at = Some(Timestamp::from_millis(2_000));
        let cases: [(&[Mutation], Absent, Present, bool); 8] = [
            (&[put(later)], Absent::Put(at), Present::Put(at), true),
            (&[put(Expiry::Keep)], Absent::Put(None), Present::PutKeeping, true),
            (&[delete()], Absent::Removed, Present::Removed, false),
            (&[touch(later)], Absent::Unchanged, Present::Put(at), false),
            (
                &[touch(Expiry::Keep)],
                Absent::Unchanged,
                Present::PutKeeping,
                false,
            ),
            (
                &[delete(), put(Expiry::Keep)],
                Absent::Put(None),
                Present::Put(None),
                true,
            ),
            (
                &[put(Expiry::Never), delete()],
                Absent::Removed,
                Present::Removed,
                false,
            ),
            (
                &[touch(later), put(Expiry::Keep)],
                Absent::Put(None),
                Present::Put(at),
                true,
            ),
        ];
        for (mutations, absent, present, value) in cases {
            assert_eq!(settled(mutations), (absent, present, value), "{mutations:?}");
        }
    }

    #[test]
    fn end_of_time_keeps_deadlines_too() {
        let mutations = [put(Expiry::Keep)];
        assert_eq!(
            ops(&mutations, Timestamp::MAX).unwrap()[0].present,
            Present::PutKeeping
        );
    }
}
