//! What the mutations of one batch come to, key by key, before anything of it is taken in.

use std::borrow::Cow;

use stead_core::kit::{Settled, by_key, same_key, settle};
use stead_core::{Key, Mutation, Result, Timestamp};

use crate::format::{DataRecord, counted_bytes};
use crate::group::Group;
use crate::planted::planted;
use crate::recent::Facts;
use crate::{Keyspace, View};

/// What a batch does to one key.
pub(crate) struct Effect<'a> {
    pub(crate) key: &'a Key,
    /// The stored entry, past its deadline or not.
    pub(crate) before: Option<Before>,
    pub(crate) after: After<'a>,
}

/// What is stored.
#[derive(Clone, Copy)]
pub(crate) struct Before {
    pub(crate) deadline: Option<Timestamp>,
    /// What the entry counts for in the store's byte counter.
    pub(crate) bytes: u64,
    /// Whether it is past its deadline, and so missing to all who look.
    pub(crate) expired: bool,
}

/// What a key is left with.
pub(crate) enum After<'a> {
    Removed,
    Written {
        value: Cow<'a, [u8]>,
        deadline: Option<Timestamp>,
    },
}

/// Works the mutations out against what `group` sees: an effect for each key that changes, in key order.
pub(crate) fn effects<'a, V: View>(mutations: &'a [Mutation], group: &Group<V>) -> Result<Vec<Effect<'a>>> {
    let mut effects = Vec::new();
    for mutations in by_key(mutations).chunk_by(same_key) {
        // Only a touch writes the value again that is there.
        let with_value = mutations.iter().any(|one| matches!(one, Mutation::Touch { .. }));
        let (before, old_value) = load(mutations[0].key(), group, with_value)?.unzip();
        let visible = before
            .filter(|before| !before.expired)
            .map(|before| before.deadline);
        let settled = settle(mutations, visible, group.now);
        if settled.is_err() && planted("batch-halved") {
            break;
        }
        let (key, settled) = settled?;
        let after = match settled {
            Settled::Unchanged => continue,
            Settled::Absent if before.is_none() => continue,
            Settled::Absent => After::Removed,
            Settled::Put { value, deadline } => {
                let kept = || Cow::Owned(old_value.flatten().expect("a touch has loaded the value"));
                let value = value.map_or_else(kept, |value| Cow::Borrowed(&value[..]));
                After::Written { value, deadline }
            }
        };
        effects.push(Effect { key, before, after });
    }
    Ok(effects)
}

/// What is stored under `key`, with its value if it is wanted.
fn load<V: View>(key: &Key, group: &Group<V>, with_value: bool) -> Result<Option<(Before, Option<Vec<u8>>)>> {
    let bytes = key.as_bytes();
    let before = |facts: Facts| Before {
        deadline: facts.deadline,
        bytes: counted_bytes(bytes, facts.value_bytes),
        expired: facts.is_expired(group.now),
    };
    if !with_value {
        return Ok(group.facts(bytes)?.map(|facts| (before(facts), None)));
    }
    group.read(Keyspace::Data, bytes, |record| {
        let record = DataRecord::decode(bytes, record)?;
        Ok((before(record.facts()), Some(record.value.to_vec())))
    })
}
