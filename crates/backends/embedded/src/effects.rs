//! What the mutations of one batch come to, key by key, before anything of it is taken in.

use std::borrow::Cow;
use std::collections::btree_map::Entry;

use stead_core::{Key, Mutation, Result, Timestamp};

use crate::format::{DataRecord, data_record_bytes};
use crate::group::{Group, Slots};
use crate::{Keyspace, View};

/// The last state of each key that a batch names.
pub(crate) struct Effects<'a> {
    pub(crate) slots: Slots<'a>,
}

/// One key before and after a batch.
pub(crate) struct Slot<'a> {
    /// The stored entry, past its deadline or not.
    pub(crate) before: Option<Before>,
    /// Whether it is past its deadline, and so missing to all who look.
    pub(crate) expired: bool,
    pub(crate) state: State<'a>,
}

/// What is stored.
#[derive(Clone, Copy)]
pub(crate) struct Before {
    pub(crate) deadline: Option<Timestamp>,
    /// What the entry counts for in the store's byte counter.
    pub(crate) bytes: u64,
}

/// What the batch made of a key so far.
pub(crate) enum State<'a> {
    /// What it was before.
    Untouched,
    /// Gone, or never there.
    Absent,
    /// Written.
    Present {
        value: Cow<'a, [u8]>,
        deadline: Option<Timestamp>,
    },
}

impl<'a> Effects<'a> {
    /// Works the mutations out against what `group` sees.
    pub(crate) fn of<V: View>(mutations: &'a [Mutation], group: &Group<V>) -> Result<Self> {
        let mut slots = Slots::new();
        for mutation in mutations {
            let touched = matches!(mutation, Mutation::Touch { .. });
            let (slot, old_value) = match slots.entry(mutation.key()) {
                Entry::Occupied(slot) => (slot.into_mut(), None),
                Entry::Vacant(place) => {
                    let (slot, old_value) = load(mutation.key(), group, touched)?;
                    (place.insert(slot), old_value)
                }
            };
            slot.apply(mutation, old_value, group.now)?;
        }
        Ok(Effects { slots })
    }
}

/// What is stored under `key`, with its value if it is wanted: only a touch that comes first writes it again.
fn load<'a, V: View>(key: &Key, group: &Group<V>, with_value: bool) -> Result<(Slot<'a>, Option<Vec<u8>>)> {
    let bytes = key.as_bytes();
    let found = group.read(Keyspace::Data, bytes, |record| {
        let record = DataRecord::decode(bytes, record)?;
        let before = Before {
            deadline: record.deadline,
            bytes: data_record_bytes(bytes, record.value),
        };
        let value = with_value.then(|| record.value.to_vec());
        Ok((before, record.is_expired(group.now), value))
    })?;
    let (before, expired, value) = match found {
        Some((before, expired, value)) => (Some(before), expired, value),
        None => (None, false, None),
    };
    let slot = Slot {
        before,
        expired,
        state: State::Untouched,
    };
    Ok((slot, value))
}

impl<'a> Slot<'a> {
    /// The deadline of the visible entry, or `None` if there is no visible entry.
    fn visible(&self, now: Timestamp) -> Option<Option<Timestamp>> {
        let deadline = match (&self.state, self.before) {
            (State::Untouched, Some(before)) => before.deadline,
            (State::Present { deadline, .. }, _) => *deadline,
            (State::Untouched, None) | (State::Absent, _) => return None,
        };
        deadline.is_none_or(|deadline| deadline > now).then_some(deadline)
    }

    fn apply(&mut self, mutation: &'a Mutation, old_value: Option<Vec<u8>>, now: Timestamp) -> Result<()> {
        let visible = self.visible(now);
        match mutation {
            Mutation::Put { value, expiry, .. } => {
                self.state = State::Present {
                    value: Cow::Borrowed(value),
                    deadline: expiry.resolve(now, visible.flatten())?,
                };
            }
            Mutation::Delete { .. } => {
                if self.before.is_some() || !matches!(self.state, State::Untouched) {
                    self.state = State::Absent;
                }
            }
            Mutation::Touch { expiry, .. } => {
                // A deadline that cannot be is refused whether or not there is something to give it to.
                let deadline = expiry.resolve(now, visible.flatten())?;
                if visible.is_none() {
                    return Ok(());
                }
                match &mut self.state {
                    State::Present { deadline: old, .. } => *old = deadline,
                    state => {
                        let value = old_value.expect("a touch that comes first has loaded the value");
                        *state = State::Present {
                            value: Cow::Owned(value),
                            deadline,
                        };
                    }
                }
            }
        }
        Ok(())
    }
}
