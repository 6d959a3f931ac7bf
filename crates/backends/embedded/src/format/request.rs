//! Records of remembered requests.

use stead_core::{Conflict, Error, Fingerprint, Found, Key, Outcome, RequestId, Result, Revision, Timestamp};

use super::reader::{push_short, seal, verified};
use super::{RECORD_VERSION, Reader};

/// In front of a request id in the meta keyspace.
pub(crate) const REQUEST_PREFIX: u8 = b'r';

/// In front of a sequence number in the meta keyspace, where the id stands.
pub(crate) const ORDER_PREFIX: u8 = b'q';

/// Where a request is found by its id.
pub(crate) fn request_key(id: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + id.len());
    key.push(REQUEST_PREFIX);
    key.extend_from_slice(id);
    key
}

/// Where the id of the request with this sequence number is found.
pub(crate) fn order_key(sequence: u64) -> [u8; 9] {
    let mut key = [ORDER_PREFIX; 9];
    key[1..].copy_from_slice(&sequence.to_be_bytes());
    key
}

/// The sequence number of an [`order_key`].
pub(crate) fn order_key_sequence(key: &[u8]) -> Option<u64> {
    let (prefix, sequence) = key.split_first()?;
    let sequence = u64::from_be_bytes(sequence.try_into().ok()?);
    (*prefix == ORDER_PREFIX).then_some(sequence)
}

/// How a batch with a request id ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) sequence: u64,
    pub(crate) time: Timestamp,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) outcome: Outcome,
}

impl Remembered {
    pub(crate) fn encode(&self, id: &RequestId) -> Vec<u8> {
        let mut out = Vec::with_capacity(70);
        out.push(RECORD_VERSION);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.time.as_millis().to_be_bytes());
        out.extend_from_slice(self.fingerprint.as_bytes());
        match &self.outcome {
            Outcome::Committed(revision) => {
                out.push(0);
                out.extend_from_slice(&revision.get().to_be_bytes());
            }
            Outcome::Rejected(conflict) => {
                out.push(1);
                out.extend_from_slice(&(conflict.precondition as u64).to_be_bytes());
                push_short(&mut out, conflict.key.as_ref().map_or(&[], Key::as_bytes));
                let (tag, number) = match conflict.found {
                    Found::Missing => (0, 0),
                    Found::Revision(revision) => (1, revision.get()),
                    Found::Count(count) => (2, count),
                };
                out.push(tag);
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
        seal(&request_key(id.as_bytes()), out)
    }

    /// Reads what is remembered of `id`.
    ///
    /// # Errors
    ///
    /// `Corrupt` when these are not the bytes that were written there.
    pub(crate) fn decode(id: &[u8], bytes: &[u8]) -> Result<Self> {
        verified(&request_key(id), bytes)
            .and_then(parse)
            .ok_or_else(|| Error::corrupt("a remembered request is not what was written"))
    }
}

fn parse(body: &[u8]) -> Option<Remembered> {
    let mut reader = Reader::new(body);
    if reader.u8()? != RECORD_VERSION {
        return None;
    }
    let sequence = reader.u64()?;
    let time = Timestamp::from_millis(reader.u64()?);
    let fingerprint = Fingerprint::from_bytes(reader.array()?);
    let outcome = match reader.u8()? {
        0 => Outcome::Committed(Revision::new(reader.u64()?)),
        1 => Outcome::Rejected(parse_conflict(&mut reader)?),
        _ => return None,
    };
    reader.is_empty().then_some(Remembered {
        sequence,
        time,
        fingerprint,
        outcome,
    })
}

fn parse_conflict(reader: &mut Reader<'_>) -> Option<Conflict> {
    let precondition = usize::try_from(reader.u64()?).ok()?;
    let key = match reader.short()? {
        [] => None,
        bytes => Some(Key::from_encoded(bytes).ok()?),
    };
    let tag = reader.u8()?;
    let number = reader.u64()?;
    let found = match tag {
        0 => Found::Missing,
        1 => Found::Revision(Revision::new(number)),
        2 => Found::Count(number),
        _ => return None,
    };
    Some(Conflict {
        precondition,
        key,
        found,
    })
}

#[cfg(test)]
mod tests {
    use stead_core::Partition;

    use super::*;

    fn outcomes() -> Vec<Outcome> {
        let key = Key::new(&Partition::new("p").unwrap(), "k").unwrap();
        let conflict = |key, found| {
            Outcome::Rejected(Conflict {
                precondition: 3,
                key,
                found,
            })
        };
        vec![
            Outcome::Committed(Revision::new(5)),
            conflict(Some(key.clone()), Found::Missing),
            conflict(Some(key), Found::Revision(Revision::new(4))),
            conflict(None, Found::Count(7)),
        ]
    }

    #[test]
    fn every_outcome_is_read_as_written_and_every_flipped_bit_is_found() {
        let id = RequestId::new("request-1").unwrap();
        for outcome in outcomes() {
            let remembered = Remembered {
                sequence: 11,
                time: Timestamp::from_millis(12),
                fingerprint: Fingerprint::from_bytes([7; 32]),
                outcome,
            };
            let bytes = remembered.encode(&id);
            assert_eq!(Remembered::decode(id.as_bytes(), &bytes).unwrap(), remembered);
            assert!(Remembered::decode(b"request-2", &bytes).is_err());
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(Remembered::decode(id.as_bytes(), &flipped).is_err(), "bit {bit}");
            }
        }
        assert_eq!(order_key_sequence(&order_key(258)), Some(258));
        assert_eq!(order_key_sequence(b"r12345678"), None);
    }
}
