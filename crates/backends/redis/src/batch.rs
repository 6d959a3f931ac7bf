//! Batches on their way to the server, and outcomes on their way back.

use stead_core::kit::by_key;
use stead_core::{
    Conflict, Error, Expect, Expiry, Fingerprint, Found, Key, Mutation, Outcome, Precondition, Result,
    Revision, Timestamp, WriteBatch,
};

use stead_network::Repeat;

use crate::record::{bounds, halves, malformed, text_number};

/// One argument of a script. Values are not copied.
pub(crate) enum Argument {
    Fixed(&'static [u8]),
    Bytes(Vec<u8>),
    Key(Key),
    Value(bytes::Bytes),
}

impl AsRef<[u8]> for Argument {
    fn as_ref(&self) -> &[u8] {
        match self {
            Argument::Fixed(bytes) => bytes,
            Argument::Bytes(bytes) => bytes,
            Argument::Key(key) => key.as_bytes(),
            Argument::Value(value) => value,
        }
    }
}

impl From<String> for Argument {
    fn from(text: String) -> Self {
        Argument::Bytes(text.into_bytes())
    }
}

/// What the commit script is told beside the batch.
pub(crate) struct Terms<'a> {
    pub(crate) lineage: &'a str,
    pub(crate) channel: &'a str,
    pub(crate) now: Timestamp,
    pub(crate) change_retention: u64,
    pub(crate) request_retention: u64,
}

/// A batch as the commit script takes it.
pub(crate) struct Encoded {
    pub(crate) arguments: Vec<Argument>,
    /// The keys of the preconditions, for the answer.
    pub(crate) conditions: Vec<Option<Key>>,
    /// Nothing is written but removals.
    pub(crate) only_removes: bool,
    /// There is nothing to check, to write or to remember.
    pub(crate) is_empty: bool,
    /// How far it may be repeated.
    pub(crate) repeat: Repeat,
    /// The request id and the fingerprint; both empty without.
    pub(crate) request: [Vec<u8>; 2],
    /// Where it is committed.
    pub(crate) shard: usize,
    /// Where its request id is claimed before.
    pub(crate) claimed_in: Option<usize>,
}

/// Encodes `batch`.
///
/// # Errors
///
/// `Invalid` for a deadline beyond the end of time.
pub(crate) fn encode(batch: &WriteBatch, terms: &Terms<'_>) -> Result<Encoded> {
    let [now_high, now_low] = halves(terms.now);
    let (id, fingerprint) = match batch.id() {
        Some(id) => (id.as_bytes().to_vec(), Fingerprint::of(batch).as_bytes().to_vec()),
        None => (Vec::new(), Vec::new()),
    };
    let mut arguments: Vec<Argument> = vec![
        terms.lineage.to_owned().into(),
        terms.channel.to_owned().into(),
        now_high.into(),
        now_low.into(),
        terms.change_retention.to_string().into(),
        Argument::Bytes(id.clone()),
        Argument::Bytes(fingerprint.clone()),
        terms.request_retention.to_string().into(),
        batch
            .raised_to()
            .unwrap_or(Revision::ZERO)
            .get()
            .to_string()
            .into(),
        batch.preconditions().len().to_string().into(),
    ];
    for precondition in batch.preconditions() {
        encode_precondition(precondition, &mut arguments);
    }
    arguments.push(batch.mutations().len().to_string().into());
    for mutation in by_key(batch.mutations()) {
        encode_mutation(mutation, terms.now, &mut arguments)?;
    }
    let conditions = batch.preconditions().iter().map(|one| match one {
        Precondition::Key { key, .. } => Some(key.clone()),
        Precondition::Count { .. } => None,
    });
    let removes = |mutation: &Mutation| matches!(mutation, Mutation::Delete { .. });
    Ok(Encoded {
        arguments,
        conditions: conditions.collect(),
        only_removes: !batch.mutations().is_empty() && batch.mutations().iter().all(removes),
        is_empty: batch.is_empty() && batch.id().is_none(),
        repeat: match (batch.id(), batch.mutations().is_empty()) {
            (Some(_), _) => Repeat::SafeWrite,
            (None, true) => Repeat::Read,
            (None, false) => Repeat::Write,
        },
        request: [id, fingerprint],
        shard: 0,
        claimed_in: None,
    })
}

fn encode_precondition(precondition: &Precondition, arguments: &mut Vec<Argument>) {
    match precondition {
        Precondition::Key { key, expect } => {
            let (kind, revision): (&'static [u8], _) = match expect {
                Expect::Absent => (b"a", None),
                Expect::Present => (b"p", None),
                Expect::At(revision) => (b"r", Some(revision)),
            };
            arguments.push(Argument::Fixed(kind));
            arguments.push(Argument::Key(key.clone()));
            arguments.extend(revision.map(|revision| Argument::Bytes(revision.get().to_be_bytes().to_vec())));
        }
        Precondition::Count { range, entries } => {
            let (from, to) = bounds(range);
            arguments.push(Argument::Fixed(b"c"));
            arguments.push(Argument::Bytes(from));
            arguments.push(Argument::Bytes(to));
            arguments.push(entries.to_string().into());
        }
    }
}

fn encode_mutation(mutation: &Mutation, now: Timestamp, arguments: &mut Vec<Argument>) -> Result<()> {
    match mutation {
        Mutation::Put { key, value, expiry } => {
            arguments.push(Argument::Fixed(b"p"));
            arguments.push(Argument::Key(key.clone()));
            arguments.push(encode_expiry(*expiry, now)?);
            arguments.push(Argument::Value(value.clone()));
        }
        Mutation::Delete { key } => {
            arguments.push(Argument::Fixed(b"d"));
            arguments.push(Argument::Key(key.clone()));
        }
        Mutation::Touch { key, expiry } => {
            arguments.push(Argument::Fixed(b"t"));
            arguments.push(Argument::Key(key.clone()));
            arguments.push(encode_expiry(*expiry, now)?);
        }
    }
    Ok(())
}

fn encode_expiry(expiry: Expiry, now: Timestamp) -> Result<Argument> {
    if expiry == Expiry::Keep {
        return Ok(Argument::Fixed(b"="));
    }
    Ok(match expiry.resolve(now, None)? {
        None => Argument::Fixed(b""),
        Some(deadline) => Argument::Bytes(deadline.as_millis().to_be_bytes().to_vec()),
    })
}

/// Reads an outcome as the commit script writes it: `C 12`, or `R`, the precondition, and what was found.
///
/// # Errors
///
/// `Corrupt` for anything else.
pub(crate) fn outcome(text: &[u8], conditions: &[Option<Key>]) -> Result<Outcome> {
    let wrong = || malformed("outcome");
    let words: Vec<&[u8]> = text.split(|byte| *byte == b' ').collect();
    match words[..] {
        [b"C", revision] => {
            let revision = text_number(revision).ok_or_else(wrong)?;
            Ok(Outcome::Committed(Revision::new(revision)))
        }
        [b"R", place, kind, number] => {
            let number = text_number(number).ok_or_else(wrong)?;
            let found = match kind {
                b"m" => Found::Missing,
                b"v" => Found::Revision(Revision::new(number)),
                b"c" => Found::Count(number),
                _ => return Err(wrong()),
            };
            let place = text_number(place).and_then(|place| usize::try_from(place).ok());
            let precondition = place
                .filter(|place| *place < conditions.len())
                .ok_or_else(wrong)?;
            Ok(Outcome::Rejected(Conflict {
                precondition,
                key: conditions[precondition].clone(),
                found,
            }))
        }
        _ => Err(wrong()),
    }
}

/// The id belongs to another batch.
pub(crate) fn taken() -> Error {
    Error::conflict("the request id was used for another batch; take a new one")
}
